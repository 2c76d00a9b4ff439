"""Groups the points of a picture into people.

A point belongs to the box that it is nested under. If this box is missing, it belongs to the person in its id, or to
that of its former box. Other points go to the person whose joint they continue, or whose box alone contains them.
Deleted people stay deleted: see `_Gathering.without_boxes`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from adapters.label_studio.annotations.box_geometry import Size, holding, holds, pixels
from adapters.label_studio.annotations.points import DrawnPoint, Predicted
from adapters.label_studio.annotations.regions import (
    DrawnRegion,
    Warn,
    is_of_picture,
    joined_later,
    person_of_box,
    predicted_box,
    predicted_point,
)
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.sentences import one_line
from wholebody.schema import FACE_START, KEYPOINTS, PART_RANGES, Part, keypoint_index

MOST_BOXES = 500
"""With more boxes in a picture, position is not used: so many are not realistic, and it would take too long."""

_FEWEST_OF_A_PART = 5  # loose points that count as a part of a body
_LIMBS: dict[Part, tuple[int, int, str]] = {
    Part.LEFT_HAND: (PART_RANGES[Part.LEFT_HAND].start, keypoint_index("left_wrist") or 0, "wrist"),
    Part.RIGHT_HAND: (PART_RANGES[Part.RIGHT_HAND].start, keypoint_index("right_wrist") or 0, "wrist"),
    Part.FACE: (FACE_START + 30, keypoint_index("nose") or 0, "nose"),
}
"""First keypoint of a part, the body's keypoint at the same position, and its name."""


@dataclass
class Gathered:
    """A person while their points are grouped.

    Attributes:
        name: Id of their box; of a predicted person, that of the predicted box, even if it is missing.
        box: Their box, if there is one.
        points: Their points.
    """

    name: str
    box: DrawnRegion | None
    points: list[DrawnPoint] = field(default_factory=list[DrawnPoint])

    @property
    def title(self) -> str:
        """Their name in warnings."""
        return person_of_box(self.name) or repr(self.name)

    @property
    def keypoints(self) -> set[int]:
        """Indices of their keypoints."""
        return {point.index for point in self.points}

    def added(self, point: DrawnPoint) -> bool:
        """Return whether one of their points was not predicted with them."""
        return point.owner is None or predicted_box(point.owner) != self.name or joined_later(point.id)


@dataclass(frozen=True)
class PictureRegions:
    """The regions of one picture.

    Attributes:
        size: Width and height in pixels.
        boxes: By id.
        points: The keypoints.
        parents: Parent of every readable region of the annotation, by id.
        ids: Ids of all its regions.
        predicted: The prediction that it was made from, if known.
        meanings: The meanings of the labels.
        warn: Takes a warning about a decision.
    """

    size: Size
    boxes: Mapping[str, DrawnRegion]
    points: Sequence[DrawnPoint]
    parents: Mapping[str, str]
    ids: Collection[str]
    predicted: Predicted | None
    meanings: LabelMeanings
    warn: Warn

    def is_person(self, one: Gathered) -> bool:
        """Return whether points or a box belong to a person: a box without points may be around anything."""
        return (
            bool(one.points) or one.box is None or self.meanings.is_person(one.box.from_name, one.box.labels)
        )

    def was_predicted(self, one: Gathered) -> bool:
        """Return whether a person was predicted with the whole picture, neither drawn nor added by a smart tool."""
        return is_of_picture(person_of_box(one.name))

    def positions(self, points: Sequence[DrawnPoint]) -> NDArray[np.float64]:
        """Return x, y of points in pixels, shape (n, 2)."""
        return np.array([pixels(point.x, point.y, self.size) for point in points]).reshape(-1, 2)


def gather(picture: PictureRegions) -> list[Gathered]:
    """Group the points of a picture into people; boxes of other objects are ignored."""
    gathering = _Gathering(picture)
    orphans, loose = gathering.under_boxes()
    gathering.without_boxes(orphans)
    gathering.by_position(loose)
    return [one for one in gathering.people.values() if picture.is_person(one)]


class _Gathering:
    """Assigns points to people, the certain ones first."""

    def __init__(self, picture: PictureRegions) -> None:
        self._picture = picture
        self.people = {name: Gathered(name, box) for name, box in picture.boxes.items()}
        self._tops: dict[str, str] = {}
        self._owners: dict[str, str | None] = {}
        self._deleted: set[str] = set(picture.predicted.boxes) if picture.predicted is not None else set()
        self._uses_positions = len(picture.boxes) <= MOST_BOXES
        self._joints: dict[Part, tuple[list[Gathered], NDArray[np.float64]]] = {}

    def under_boxes(self) -> tuple[list[Gathered], list[DrawnPoint]]:
        """Assign points to their boxes; return the people without a box, and the unassigned points."""
        orphans: dict[str, Gathered] = {}
        loose: list[DrawnPoint] = []
        for point in self._picture.points:
            top = self._top(point.parent)
            if top not in self._picture.ids and person_of_box(top) is not None:
                self._deleted.add(top)
            elif top not in self.people:
                owner = self._owner_above(point.parent) or point.owner
                top = "" if owner is None else predicted_box(owner)
            if top in self.people:
                self.people[top].points.append(point)
            elif top:
                orphans.setdefault(top, Gathered(top, None)).points.append(point)
            else:
                loose.append(point)
        return list(orphans.values()), loose

    def _top(self, parent: str) -> str:
        """Return the box above a region with this parent, or the missing region that it is nested under, or ""."""
        path: list[str] = []
        above = parent
        while above not in self._tops:
            self._tops[above] = ""  # for a file with a cycle of parents
            path.append(above)
            if above in self.people or above not in self._picture.parents:
                break
            above = self._picture.parents[above]
        else:
            above = self._tops[above]
        self._tops |= dict.fromkeys(path, above)
        return above

    def _owner_above(self, parent: str) -> str | None:
        """Return the predicted person whose region a point is nested under, for people without boxes."""
        path: list[str] = []
        above, owner = parent, None
        while above in self._picture.parents and above not in self._owners:
            self._owners[above] = None  # where a file nests regions in a circle
            path.append(above)
            if (owner := predicted_point(above)[0]) is not None:
                break
            above = self._picture.parents[above]
        else:
            owner = self._owners.get(above)
        self._owners |= dict.fromkeys(path, owner)
        return owner

    def without_boxes(self, orphans: Iterable[Gathered]) -> None:
        """Keep or drop people without a box.

        If a project has boxes and an annotator deleted one, its person is dropped, unless the annotator worked on them:
        drew a new box around them, corrected or added points, or deleted a part with the box. A part that a smart tool
        added may have no box, or have lost it: it belongs to the person whose joint it continues.
        """
        deleted: list[Gathered] = []
        added: list[Gathered] = []
        for one in orphans:
            if self._is_added_part(one):
                added.append(one)
            else:
                self._keep_unless_deleted(one, deleted)
        for one in added:
            if not self._joined(one.points):
                self._keep_unless_deleted(one, deleted)
        if deleted:
            for one, new in zip(deleted, self._new_boxes(deleted), strict=True):
                self._resolve_deleted(one, new)
        boxless = [one for one in self.people.values() if one.box is None]
        for one, new in zip(boxless, self._new_boxes(boxless) if boxless else (), strict=True):
            if new is not None:
                del self.people[new.name]
                one.box = new.box
                self._warn(f"the box {new.title} has no points and is used as the box of {one.title}")

    def _is_added_part(self, one: Gathered) -> bool:
        """Return whether all points are one part, of no person that was predicted with the picture."""
        parts = {KEYPOINTS[point.index].part for point in one.points}
        return len(parts) == 1 and not self._picture.was_predicted(one)

    def _keep_unless_deleted(self, one: Gathered, deleted: list[Gathered]) -> None:
        """Keep a person who never had a box; add one whose box was deleted to `deleted`."""
        if one.name in self._deleted and one.name not in self._picture.ids:
            deleted.append(one)
        else:
            self.people[one.name] = one

    def _resolve_deleted(self, one: Gathered, new: Gathered | None) -> None:
        if new is not None:
            del self.people[new.name]
            self.people[one.name] = Gathered(one.name, new.box, one.points)
            self._warn(f"the box of {one.title} was deleted; the points go to the new box {new.title}")
            return
        corrected = sum(point.corrected or one.added(point) for point in one.points)
        if corrected:
            self.people[one.name] = one
            self._warn(
                f"the box of {one.title} was deleted, but {corrected} of the {len(one.points)} points were corrected "
                "or added by hand: the person is kept, with a box around the points. To remove the person, delete the "
                "points as well"
            )
            return
        removed = self._removed(one)
        if 0 < removed < len(one.points):
            self.people[one.name] = one
            self._warn(
                f"the box of {one.title} was deleted together with {removed} of the points: the person is kept, with a "
                "box around the other points. To remove the person, delete these as well"
            )
            return
        self._warn(
            f"the box of {one.title} was deleted, so this person's {len(one.points)} remaining points are left out. To "
            "keep the person, draw a new box around them"
        )

    def _removed(self, one: Gathered) -> int:
        """Return the number of a person's predicted points that were deleted, as far as known.

        Selecting a hand with a rectangle, to delete it, also selects the person's box. If most points were deleted with
        the box, the annotator wanted to remove the person.
        """
        predicted, person = self._picture.predicted, person_of_box(one.name)
        if predicted is None or person is None:
            return 0
        return predicted.points_of[person] - len(
            {point.id for point in one.points} & predicted.positions.keys()
        )

    def _new_boxes(self, deleted: Sequence[Gathered]) -> list[Gathered | None]:
        """Return for each person the empty, hand-drawn box with the most of their points, if over a half."""
        positions = self._picture.positions([point for one in deleted for point in one.points])
        starts = np.cumsum([0, *(len(one.points) for one in deleted)])[:-1]
        most = np.array([len(one.points) for one in deleted]) // 2
        found: list[Gathered | None] = [None] * len(deleted)
        for new in list(self.people.values()) if self._uses_positions else ():
            if new.box is None or new.points or person_of_box(new.name) or not self._picture.is_person(new):
                continue
            held = np.add.reduceat(holds(new.box, positions, self._picture.size).astype(np.intp), starts)
            best = int((held - most).argmax())
            if held[best] > most[best]:
                most[best], found[best] = held[best], new
        return found

    def by_position(self, loose: list[DrawnPoint]) -> None:
        """Assign points without an owner in their id to the person at their position."""
        if not loose:
            return
        people = [one for one in self.people.values() if self._picture.is_person(one)]
        if not people:
            self.people[""] = Gathered("", None, loose)
            self._warn(f"{len(loose)} points belong to no box and count as one person")
            return
        if len(people) == 1:
            people[0].points += loose
            self._warn(
                f"{len(loose)} points without a parent are assigned to the person whose box they lie in"
            )
            return
        self._joints.clear()
        loose = self._without_parts(loose)
        if not loose:
            return
        boxed = [one for one in people if one.box is not None] if self._uses_positions else []
        boxes = [one.box for one in boxed if one.box is not None]
        count, last = holding(boxes, self._picture.positions(loose), self._picture.size)
        for point, times, position in zip(loose, count, last, strict=True):
            if times == 1:
                boxed[position].points.append(point)
        given = int(np.count_nonzero(count == 1))
        if given:
            self._warn(f"{given} points without a parent are assigned to the person whose box they lie in")
        if given < len(loose):
            self._warn(
                f"{len(loose) - given} points may belong to several people or to none, and are left out: drag them "
                "onto their box in the region panel"
            )

    def _without_parts(self, loose: list[DrawnPoint]) -> list[DrawnPoint]:
        """Assign whole hands and faces to the people whose wrist or nose they continue; return the other points."""
        given: set[str] = set()
        for part in _LIMBS:
            points = [point for point in loose if KEYPOINTS[point.index].part is part]
            once = len({point.index for point in points}) == len(points)
            if len(points) >= _FEWEST_OF_A_PART and once and self._joined(points):
                given |= {point.id for point in points}
        return [point for point in loose if point.id not in given]

    def _joined(self, points: list[DrawnPoint]) -> bool:
        """Assign the points of one part to the nearest person with the joint and without this part."""
        part = KEYPOINTS[points[0].index].part
        if part not in _LIMBS or not self._uses_positions:
            return False
        root, _, name = _LIMBS[part]
        positions = self._picture.positions(points)
        start = next(
            (position for position, point in zip(positions, points, strict=True) if point.index == root), None
        )
        if start is None or len(points) < _FEWEST_OF_A_PART:
            return False
        if part not in self._joints:
            self._joints[part] = self._joints_without(part)
        people, joints = self._joints[part]
        distances = np.hypot(*(joints - start).T)
        # A wrist a hand's length away belongs to another person.
        if not len(people) or distances.min() > np.ptp(positions, axis=0).max():
            return False
        nearest = int(distances.argmin())
        people[nearest].points += points
        joints[nearest] = np.inf
        self._warn(
            f"{len(points)} points of the {part.value.replace('_', ' ')} have no box and are assigned to "
            f"{people[nearest].title}, whose {name} is the nearest"
        )
        return True

    def _joints_without(self, part: Part) -> tuple[list[Gathered], NDArray[np.float64]]:
        """Return the people with a part's joint but no other point of it, and the joints, shape (n, 2)."""
        joint = _LIMBS[part][1]
        people: list[Gathered] = []
        joints: list[DrawnPoint] = []
        for one in self.people.values():
            at = next((point for point in one.points if point.index == joint), None)
            if at is not None and not any(KEYPOINTS[point.index].part is part for point in one.points):
                people.append(one)
                joints.append(at)
        return people, self._picture.positions(joints)

    def _warn(self, message: str) -> None:
        self._picture.warn(one_line(message))
