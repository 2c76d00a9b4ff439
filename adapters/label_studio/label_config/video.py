"""The controls of a label config for clips: VideoRectangle tags for people, on Video tags.

In Label Studio, a clip's regions take their labels from a Labels tag beside them:

    <Video name="video" value="$video" frameRate="25"/>
    <VideoRectangle name="box" toName="video"/>
    <Labels name="labels" toName="video"><Label value="person"/></Labels>
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from adapters.label_studio.label_config.tags import (
    Attributes,
    Complaints,
    attributes_of,
    control_tags,
)
from adapters.label_studio.label_config.task_value import TaskDataError, TaskValue

_DEFAULT_FRAME_RATE = 24.0  # Label Studio's, whatever the clip's own is
_FASTEST = 1000.0


@dataclass(frozen=True)
class VideoControls:
    """A Video tag and its control for people.

    Attributes:
        name: Name of the Video tag, a region's `to_name`.
        value: The field of a task's data with the clip.
        frame_rate: Its `frameRate` as written: a number, or a field of a task's data.
        box: Name of the VideoRectangle tag, a region's `from_name`.
        label: The label for a person; None in a project without labels for clips.
        person_threshold: Lowest score of a person (`model_score_threshold`), if set.
    """

    name: str
    value: TaskValue
    frame_rate: str
    box: str
    label: str | None
    person_threshold: float | None

    def frames_per_second(self, data: Mapping[str, object]) -> float:
        """Return Label Studio's frames per second for this task's clip.

        Its player ignores the clip's own frames. It multiplies the time by the tag's `frameRate`, by default 24; a
        number below 1 is the duration of a frame.
        """
        readable = {key: str(item) if isinstance(item, int | float) else item for key, item in data.items()}
        try:
            rate = float(TaskValue(self.frame_rate).address(readable)) if self.frame_rate else math.nan
        except (TaskDataError, ValueError):
            rate = math.nan
        if not 1 / _FASTEST <= rate <= _FASTEST:  # false for NaN as well
            return _DEFAULT_FRAME_RATE
        return rate if rate >= 1 else 1 / rate


def video_controls(elements: Iterable[Element], complaints: Complaints) -> list[VideoControls]:
    """Return the Video tags with a control for people.

    Args:
        elements: The elements of the label config.
        complaints: Collects problems.
    """
    elements = list(elements)
    shown = _videos_shown(elements, complaints)
    boxes = list(control_tags(_of(elements, "videorectangle"), "VideoRectangle", shown, complaints, "Video"))
    # In other projects, Labels belong to texts and sounds, which are no problem.
    of_videos = [one for one in _of(elements, "labels") if _to_names(one) & shown.keys()]
    labels_tags = list(control_tags(of_videos, "Labels", shown, complaints))
    found: list[VideoControls] = []
    for name, attributes in shown.items():
        box = next((tag for tag in boxes if name in tag.objects and not tag.skipped), None)
        if box is None:
            complaints.add(f"Video '{name}' has no VideoRectangle tag for people's boxes.")
            continue
        beside = [tag for tag in labels_tags if name in tag.objects and not tag.skipped]
        labels = [*(tag.person_label for tag in beside), *(tag.only_label for tag in beside)]
        label = next((label for label in labels if label is not None), None)
        if beside and label is None:
            complaints.add(
                f"{box.title} gets no boxes: no label of {beside[0].title} means a person. Name one 'person' or "
                'give it predicted_values="person".'
            )
            continue
        threshold = complaints.number(box, box.attributes, "model_score_threshold", 1.0)
        found.append(
            VideoControls(
                name,
                TaskValue(attributes["value"]),
                attributes.get("framerate", ""),
                box.name,
                label,
                threshold,
            )
        )
    return found


def _of(elements: Iterable[Element], kind: str) -> list[Element]:
    return [element for element in elements if element.tag.lower() == kind]


def _to_names(element: Element) -> set[str]:
    return {name.strip() for name in attributes_of(element).get("toname", "").split(",")}


def _videos_shown(elements: Iterable[Element], complaints: Complaints) -> dict[str, Attributes]:
    shown: dict[str, Attributes] = {}
    for element in _of(elements, "video"):
        attributes = attributes_of(element)
        name = attributes.get("name", "")
        if not name:
            complaints.add("A Video tag has no name and is ignored.")
        elif name in shown:
            complaints.add(f"There are several Video tags named '{name}'; the first one counts.")
        elif not attributes.get("value"):
            complaints.add(f"Video '{name}' has no value, such as value=\"$video\", and is ignored.")
        else:
            shown[name] = attributes
    return shown
