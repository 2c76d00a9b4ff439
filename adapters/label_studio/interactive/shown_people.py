"""The people that an annotator's page shows: read from the draft, the annotation or the prediction in a request.

Label Studio sends a task with its drafts, annotations and predictions when a smart tool is used (observed with 1.23.2).
Drafts are saved some seconds after a change, so what is read here may be a little behind the page.
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
_SAME_PLACE = 0.1
"""Farthest that the keypoints of a found and a shown person may lie apart in the median, in diagonals of the box."""
_SAME_BOX = 0.5
"""Lowest intersection over union of the boxes of the same person, where one of them has no keypoints."""
_FAR = 1e7
"""Pixels; outside of every picture. Farther places, which a request may hold, float32 cannot."""


@dataclass(frozen=True)
class ShownPerson:
    """A person on the page.

    Attributes:
        handle: Id of the region that the person's others are nested under: their box, or the bones of their body.
        name: What ids call them, such as "p0"; None of somebody whose box was drawn by hand.
        person: Their box, drawn or round the points, and keypoints in pixels; the score is 1 where one is shown.
    """

    handle: str
    name: str | None
    person: Person

    @property
    def parts(self) -> frozenset[Part]:
        """The parts of which a keypoint is shown."""
        return parts_of(self.person)


def parts_of(person: Person) -> frozenset[Part]:
    """Return the parts of which a person has a keypoint."""
    return frozenset(KEYPOINTS[index].part for index in np.flatnonzero(person.scores))


def shown_result(task: Task, model_version: str) -> list[Any]:
    """Return the regions that the page most likely shows: of the latest draft, else annotation, else prediction."""
    ours = [one for one in task.predictions if one.get("model_version") == model_version]
    for works in (task.drafts, task.annotations, ours, task.predictions):
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
        meanings: What the labels stand for.
        image: Name of the Image tag.
        frame: Position in its list of frames, or None where it shows one picture.
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
    """Return the person on the page whom a found person is, or None.

    It is the one whose keypoints lie nearest, or whose box agrees best where there are no keypoints to compare.
    """
    x1, y1, x2, y2 = (float(edge) for edge in found.box)
    diagonal = max(float(np.hypot(x2 - x1, y2 - y1)), 1.0)
    apart = [_apart(one.person, found) / diagonal for one in shown]
    nearest = min(range(len(shown)), key=lambda position: apart[position], default=None)
    if nearest is not None and apart[nearest] <= _SAME_PLACE:
        return shown[nearest]
    boxed = [one for one, distance in zip(shown, apart, strict=True) if not np.isfinite(distance)]
    if not boxed:
        return None
    boxes = np.stack([one.person.box for one in boxed]).astype(np.float64)
    shared = overlaps(found.box[np.newaxis], boxes)[0]
    best = int(shared.argmax())
    return boxed[best] if shared[best] >= _SAME_BOX else None


def _apart(one: Person, other: Person) -> float:
    """Median distance in pixels of the keypoints that both have; infinite if they have none in common."""
    both = (one.scores > 0) & (other.scores > 0)
    if not both.any():
        return np.inf
    offsets = one.keypoints[both] - other.keypoints[both]
    return float(np.median(np.hypot(offsets[:, 0], offsets[:, 1])))


def shown_at(shown: Sequence[ShownPerson], x: float, y: float) -> ShownPerson | None:
    """Return the person on the page whose box holds a place in pixels, or nearly; of several the smallest."""
    pointed_at = (one for one in shown if one.person.is_pointed_at(x, y))
    return min(pointed_at, key=lambda one: one.person.area, default=None)
