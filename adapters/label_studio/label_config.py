"""Reads a project's label config: which pictures it shows, and which of our keypoints and boxes it wants.

Tag and attribute names follow Label Studio (https://labelstud.io/tags/) and, for what concerns a model, the
attributes that users know from its YOLO backend. Tags and attributes are found whatever their case, as Label
Studio's editor finds them; the name of a region's label is its `alias` if it has one, otherwise its `value`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from xml.etree.ElementTree import Element

from adapters.label_studio.label_config_tree import LabelConfigError, label_config_tree
from adapters.label_studio.label_names import (
    UnknownLabel,
    listed,
    means_body_part,
    means_person,
    nearest_keypoint_names,
    one_line,
)
from adapters.label_studio.task_value import TaskValue
from wholebody.schema import KEYPOINT_COUNT, keypoint_index

__all__ = [
    "BoxControl",
    "ImageControls",
    "KeypointControl",
    "KeypointLabel",
    "LabelConfig",
    "LabelConfigError",
    "parse_label_config",
]

_CONFIGS_KEPT = 32
_PROBLEMS_KEPT = 100
_UNKNOWN_LABELS_KEPT = 100
_UNKNOWN_LABELS_EXPLAINED = 20  # looking for similar names takes up to 2 ms each
_MAX_POINT_SIZE = 1_000.0  # pixels

Attributes: TypeAlias = dict[str, str]


@dataclass(frozen=True)
class KeypointLabel:
    """A label that stands for one of our keypoints.

    Attributes:
        index: Index of the keypoint in COCO-WholeBody order.
        label: Name of the label in the project.
        threshold: Lowest score at which this keypoint is sent (`model_point_threshold` of the Label), if set.
    """

    index: int
    label: str
    threshold: float | None = None


@dataclass(frozen=True)
class KeypointControl:
    """A KeyPointLabels tag.

    Attributes:
        name: Name of the tag, a region's `from_name`.
        labels: Its labels that stand for keypoints of ours; each keypoint at most once.
        person_threshold: Lowest score of a person (`model_score_threshold`), if set.
        keypoint_threshold: Lowest score of a keypoint (`model_point_threshold`), if set.
        point_size: Width of a drawn point in pixels of the picture (`model_point_size`), if set.
        with_boxes: Whether people's boxes are wanted as well (`model_add_bboxes`).
    """

    name: str
    labels: tuple[KeypointLabel, ...]
    person_threshold: float | None = None
    keypoint_threshold: float | None = None
    point_size: float | None = None
    with_boxes: bool = True


@dataclass(frozen=True)
class BoxControl:
    """The RectangleLabels tag that people's boxes go to.

    Attributes:
        name: Name of the tag, a region's `from_name`.
        label: The label that stands for a person.
        person_threshold: Lowest score of a person (`model_score_threshold`), if set.
    """

    name: str
    label: str
    person_threshold: float | None = None


@dataclass(frozen=True)
class ImageControls:
    """An Image tag and what is to be drawn on it; there is at least a box or one keypoint label.

    Attributes:
        name: Name of the tag, a region's `to_name`.
        value: Where the picture is in a task's data.
        keypoints: The KeyPointLabels tags of this image that have a label of ours.
        box: Where people's boxes go to, or None if the project wants none.
    """

    name: str
    value: TaskValue
    keypoints: tuple[KeypointControl, ...]
    box: BoxControl | None


@dataclass(frozen=True)
class LabelConfig:
    """What a project wants from us.

    Attributes:
        images: The Image tags that predictions can be made for.
        unknown_labels: Labels of KeyPointLabels tags that stand for no keypoint of ours; at most 100.
        problems: What a prediction will lack and why, one sentence each, for logs and status pages; at most 100.
        smart_controls: Names of the KeyPointLabels and RectangleLabels tags with `smart="true"`, for which
            Label Studio asks again whenever something is drawn.
    """

    images: tuple[ImageControls, ...]
    unknown_labels: tuple[UnknownLabel, ...] = ()
    problems: tuple[str, ...] = ()
    smart_controls: tuple[str, ...] = ()

    def image(self, name: str) -> ImageControls | None:
        """Return the Image tag of that name, or None if there is nothing to draw on it."""
        return next((image for image in self.images if image.name == name), None)


@lru_cache(maxsize=_CONFIGS_KEPT)
def parse_label_config(xml: str) -> LabelConfig:
    """Read a label config. The same text is read once; the latest few results are kept.

    Args:
        xml: The label config as Label Studio sends it (`label_config` in /predict, `schema` in /setup).

    Raises:
        LabelConfigError: The text is empty, not XML, declares a document type or entities, or is too large.
    """
    return _Reading(label_config_tree(xml)).config()


def _attributes(element: Element) -> Attributes:
    return {name.lower(): value.strip() for name, value in element.attrib.items()}


def _is_yes(text: str) -> bool:
    return text.lower() in {"1", "true", "yes"}


@dataclass(frozen=True)
class _Tag:
    """A KeyPointLabels or RectangleLabels tag as it stands in the text."""

    kind: str
    name: str
    images: tuple[str, ...]
    attributes: Attributes
    labels: tuple[Attributes, ...]

    @property
    def title(self) -> str:
        return f"{self.kind} '{self.name}'"

    @property
    def skipped(self) -> bool:
        return _is_yes(self.attributes.get("model_skip", ""))


class _Reading:
    """One pass over a label config, collecting what is said about it."""

    def __init__(self, root: Element) -> None:
        self._elements = list(root.iter())
        self._problems: list[str] = []
        self._unknown: list[UnknownLabel] = []
        self._unknown_seen: set[tuple[str, str]] = set()

    def config(self) -> LabelConfig:
        values = self._image_values()
        tags = [
            *self._control_tags("KeyPointLabels", values),
            *self._control_tags("RectangleLabels", values),
        ]
        images: list[ImageControls] = []
        for name, value in values.items():
            if value is None:
                self._problems.append(
                    f"Image '{name}' shows a list of frames (valueList), for which there are no predictions yet."
                )
                continue
            keypoint_tags = [tag for tag in tags if tag.kind == "KeyPointLabels" and name in tag.images]
            box_tags = [tag for tag in tags if tag.kind == "RectangleLabels" and name in tag.images]
            image = self._image(name, value, keypoint_tags, box_tags)
            if image is not None:
                images.append(image)
        self._report_nothing_to_draw(values, images)
        if len(self._unknown_seen) > len(self._unknown):
            self._problems.append(f"{len(self._unknown_seen) - len(self._unknown)} more labels are unknown.")
        smart = (tag.name for tag in tags if _is_yes(tag.attributes.get("smart", "")))
        problems = dict.fromkeys(one_line(problem) for problem in self._problems)
        return LabelConfig(
            tuple(images), tuple(self._unknown), tuple(problems)[:_PROBLEMS_KEPT], tuple(smart)
        )

    def _named(self, kind: str) -> Iterable[tuple[Element, Attributes]]:
        for element in self._elements:
            if element.tag.lower() == kind.lower():
                yield element, _attributes(element)

    def _image_values(self) -> dict[str, TaskValue | None]:
        """Find the Image tags: name -> where the picture is; None for lists of frames."""
        values: dict[str, TaskValue | None] = {}
        for _, attributes in self._named("Image"):
            name, value = attributes.get("name", ""), attributes.get("value", "")
            if not name:
                self._problems.append("An Image tag has no name and is ignored.")
            elif name in values:
                self._problems.append(f"There are several Image tags named '{name}'; the first one counts.")
            elif attributes.get("valuelist"):
                values[name] = None
            elif "{{" in value:
                self._problems.append(f"Image '{name}' is inside a Repeater, which is not supported.")
            elif not value:
                self._problems.append(
                    f"Image '{name}' has no value, such as value=\"$image\", and is ignored."
                )
            else:
                values[name] = TaskValue(value)
        return values

    def _control_tags(self, kind: str, images: Iterable[str]) -> Iterable[_Tag]:
        known = set(images)
        for element, attributes in self._named(kind):
            to_names = tuple(name.strip() for name in attributes.get("toname", "").split(",") if name.strip())
            tag = _Tag(
                kind,
                attributes.get("name", ""),
                tuple(name for name in to_names if name in known),
                attributes,
                tuple(_attributes(label) for label in element.iter() if label.tag.lower() == "label"),
            )
            if not tag.name:
                self._problems.append(f"A {kind} tag has no name and is ignored.")
            elif not tag.images:
                missing = f"to {listed(to_names)}" if to_names else "to nothing (toName is missing)"
                self._problems.append(f"{tag.title} belongs {missing}, which is no Image tag; it is ignored.")
            else:
                yield tag

    def _image(
        self, name: str, value: TaskValue, keypoint_tags: list[_Tag], box_tags: list[_Tag]
    ) -> ImageControls | None:
        keypoints = tuple(
            control
            for tag in keypoint_tags
            if not tag.skipped
            for control in [self._keypoint_control(tag)]
            if control.labels
        )
        # The YOLO backend puts the boxes of <KeyPointLabels name="kp"> into <RectangleLabels name="kp_bbox">
        # and has users write model_skip="true" there, so that boxes are not drawn a second time.
        companions = {f"{control.name}_bbox" for control in keypoints if control.with_boxes}
        wanted = [tag for tag in box_tags if tag.name in companions]
        wanted += [tag for tag in box_tags if tag.name not in companions and not tag.skipped]
        if keypoints and not any(control.with_boxes for control in keypoints):
            wanted = []
        box = self._box_control(wanted)
        if keypoints and box is None and any(control.with_boxes for control in keypoints):
            self._problems.append(
                f"Image '{name}' has no RectangleLabels tag for people's boxes: the keypoints of several people "
                "are not grouped in the region tree, and exports cannot tell the people apart."
            )
        if not keypoints and box is None:
            if keypoint_tags or box_tags:
                self._problems.append(f"No tag of Image '{name}' can be filled.")
            else:
                self._problems.append(f"Image '{name}' has neither KeyPointLabels nor RectangleLabels.")
            return None
        return ImageControls(name, value, keypoints, box)

    def _keypoint_control(self, tag: _Tag) -> KeypointControl:
        labels: dict[int, KeypointLabel] = {}
        for attributes in tag.labels:
            label = attributes.get("alias") or attributes.get("value", "")
            if not label:
                continue
            indices = _keypoints_meant(attributes, label)
            if not indices:
                self._note_unknown(tag, label)
            threshold = self._number(tag, attributes, "model_point_threshold", 1.0)
            for index in indices:
                first = labels.setdefault(index, KeypointLabel(index, label, threshold))
                if first.label != label:
                    self._problems.append(
                        f"In {tag.title}, '{first.label}' and '{label}' mean the same keypoint; "
                        f"'{first.label}' is used."
                    )
        if not tag.labels:
            self._problems.append(_no_labels(tag))
        elif not labels:
            self._problems.append(f"No label of {tag.title} stands for a keypoint of ours.")
        return KeypointControl(
            tag.name,
            tuple(labels.values()),
            self._number(tag, tag.attributes, "model_score_threshold", 1.0),
            self._number(tag, tag.attributes, "model_point_threshold", 1.0),
            self._number(tag, tag.attributes, "model_point_size", _MAX_POINT_SIZE) or None,
            _is_yes(tag.attributes.get("model_add_bboxes", "true")),
        )

    def _box_control(self, tags: list[_Tag]) -> BoxControl | None:
        """Choose the tag and label for people: a label that means a person, otherwise a tag's only label."""
        for label_of in (_person_label, _only_label):
            for tag in tags:
                label = label_of(tag)
                if label is not None:
                    threshold = self._number(tag, tag.attributes, "model_score_threshold", 1.0)
                    return BoxControl(tag.name, label, threshold)
        for tag in tags:
            self._problems.append(
                f"{tag.title} has no label for a person: name one 'person' or give it "
                'predicted_values="person".'
                if tag.labels
                else _no_labels(tag)
            )
        return None

    def _number(self, tag: _Tag, attributes: Attributes, name: str, largest: float) -> float | None:
        text = attributes.get(name)
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if 0 <= number <= largest:
            return number
        self._problems.append(
            f'{tag.title}: {name}="{text[:40]}" is not a number from 0 to {largest:g} and is ignored.'
        )
        return None

    def _note_unknown(self, tag: _Tag, label: str) -> None:
        if (tag.name, label) in self._unknown_seen:
            return
        self._unknown_seen.add((tag.name, label))
        if len(self._unknown) < _UNKNOWN_LABELS_KEPT:
            explained = len(self._unknown) < _UNKNOWN_LABELS_EXPLAINED
            nearest = nearest_keypoint_names(label) if explained else ()
            self._unknown.append(UnknownLabel(tag.name, label[:200], nearest))

    def _report_nothing_to_draw(
        self, values: dict[str, TaskValue | None], images: list[ImageControls]
    ) -> None:
        if not values:
            self._problems.append(
                "The label config has no usable Image tag, so there is nothing to look at: add "
                '<Image name="image" value="$image"/>.'
            )
        elif not images:
            self._problems.append(
                "Nothing can be predicted with this label config; `rtmlib-backend label-config` prints one "
                "to paste."
            )


def _keypoints_meant(attributes: Attributes, label: str) -> list[int]:
    """Find the keypoints that a Label stands for.

    `predicted_values` decides if it names keypoints. Otherwise the label's own names do. The YOLO backend's
    notation `predicted_values="person" model_index="0"` gives the index in COCO order instead.
    """
    predicted = [name.strip() for name in attributes.get("predicted_values", "").split(",") if name.strip()]
    meant = [keypoint_index(name) for name in predicted]
    named = [index for index in meant if index is not None]
    if named:
        return list(dict.fromkeys(named))
    for name in (label, attributes.get("value", "")):
        index = keypoint_index(name)
        if index is not None:
            return [index]
    model_index = attributes.get("model_index", "")
    if any(means_person(name) for name in predicted) and model_index.isdecimal() and len(model_index) <= 3:
        return [int(model_index)] if int(model_index) < KEYPOINT_COUNT else []
    return []


def _person_label(tag: _Tag) -> str | None:
    for attributes in tag.labels:
        label = attributes.get("alias") or attributes.get("value", "")
        names = [*attributes.get("predicted_values", "").split(","), label, attributes.get("value", "")]
        if label and any(means_person(name) for name in names):
            return label
    return None


def _only_label(tag: _Tag) -> str | None:
    labels = [attributes.get("alias") or attributes.get("value", "") for attributes in tag.labels]
    if len(labels) == 1 and labels[0] and not means_body_part(labels[0]):
        return labels[0]
    return None


def _no_labels(tag: _Tag) -> str:
    if tag.attributes.get("value", "").startswith("$"):
        return (
            f"{tag.title} takes its labels from the tasks, which is not supported: write them as Label tags."
        )
    return f"{tag.title} has no labels."
