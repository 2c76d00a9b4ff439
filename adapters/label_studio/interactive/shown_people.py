"""The people on an annotator's page, read from the draft, annotation or prediction in a request.

For smart tools, Label Studio sends a task with its drafts, annotations and predictions (observed with 1.23.2). It saves
drafts some seconds after a change, so they may lag behind the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.label_studio.annotations.people import read_people
from adapters.label_studio.annotations.regions import person_of_box
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.schemas import Task
from wholebody.geometry import overlaps
from wholebody.person import Person
from wholebody.schema import KEYPOINTS, Part

_MAX_REGIONS_READ = 20_000
_SAME_POSITION = 0.1
"""Largest median distance between the keypoints of a found and a shown person, in diagonals of the box."""
_SAME_BOX = 0.5
"""Lowest intersection over union of the boxes of the same person, if one of them has no keypoints."""
_FAR = 1e7
"""Pixels, outside every picture. Requests may have positions beyond the range of float32."""


@dataclass(frozen=True)
class ShownPerson:
    """A person on the page.

    Attributes:
        handle: Id of the region that their other regions are nested under: their box, or the bones of their body.
        name: Their name in ids, such as "p0"; None for a box drawn by hand.
        person: Their box, drawn or around the points, and keypoints in pixels; the score is 1 for shown ones.
    """

    handle: str
    name: str | None
    person: Person

    @property
    def parts(self) -> frozenset[Part]:
        """The parts with at least one shown keypoint."""
        return parts_of(self.person)


def parts_of(person: Person) -> frozenset[Part]:
    """Return the parts with at least one keypoint of a person."""
    return frozenset(KEYPOINTS[index].part for index in np.flatnonzero(person.scores))


def shown_result(task: Task, model_version: str) -> list[Any]:
    """Return the regions that the page probably shows: of the latest draft, else annotation, else prediction."""
    current = [one for one in task.predictions if one.get("model_version") == model_version]
    for works in (task.drafts, task.annotations, current, task.predictions):
        made = [one for one in works if isinstance(one.get("result"), list)]
        if made:
            return max(made, key=_changed_at)["result"][:_MAX_REGIONS_READ]
    return []


def _changed_at(work: Mapping[str, Any]) -> str:
    at = work.get("updated_at") or work.get("created_at")
    return at if isinstance(at, str) else ""


def shown_people(
    result: Sequence[object], meanings: LabelMeanings, image: str, frame: int | None
) -> list[ShownPerson]:
    """Read the people on one picture.

    Args:
        result: The regions of a draft, an annotation or a prediction.
        meanings: The meanings of the labels.
        image: Name of the Image tag.
        frame: Index in its list of frames, or None if it shows one picture.
    """
    pictures = read_people(result, meanings, lambda _: None)
    return [
        ShownPerson(
            one.handle,
            person_of_box(one.name),
            Person(
                one.box.clip(-_FAR, _FAR).astype(np.float32),
                1.0,
                one.keypoints.clip(-_FAR, _FAR).astype(np.float32),
                (one.visibility > 0).astype(np.float32),
            ),
        )
        for picture in pictures
        if picture.image == image and (frame is None or (picture.frame or 0) == frame)
        for one in picture.people
    ]


def shown_as(shown: Sequence[ShownPerson], found: Person) -> ShownPerson | None:
    """Return the person on the page that matches a found person, or None.

    It is the one with the nearest keypoints, or with the best matching box if there are no keypoints to compare.
    """
    x1, y1, x2, y2 = (float(edge) for edge in found.box)
    diagonal = max(float(np.hypot(x2 - x1, y2 - y1)), 1.0)
    apart = [_apart(one.person, found) / diagonal for one in shown]
    nearest = min(range(len(shown)), key=lambda position: apart[position], default=None)
    if nearest is not None and apart[nearest] <= _SAME_POSITION:
        return shown[nearest]
    boxed = [one for one, distance in zip(shown, apart, strict=True) if not np.isfinite(distance)]
    if not boxed:
        return None
    boxes = np.stack([one.person.box for one in boxed]).astype(np.float64)
    shared = overlaps(found.box[np.newaxis], boxes)[0]
    best = int(shared.argmax())
    return boxed[best] if shared[best] >= _SAME_BOX else None


def _apart(one: Person, other: Person) -> float:
    """Return the median distance in pixels of common keypoints; infinite without any."""
    both = (one.scores > 0) & (other.scores > 0)
    if not both.any():
        return np.inf
    offsets = one.keypoints[both] - other.keypoints[both]
    return float(np.median(np.hypot(offsets[:, 0], offsets[:, 1])))


def shown_at(shown: Sequence[ShownPerson], x: float, y: float) -> ShownPerson | None:
    """Return the person on the page whose enlarged box contains a position in pixels; of several the smallest."""
    pointed_at = (one for one in shown if one.person.is_pointed_at(x, y))
    return min(pointed_at, key=lambda one: one.person.area, default=None)
