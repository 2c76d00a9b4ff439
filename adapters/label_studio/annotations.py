"""Reads the regions of an annotation, or of a prediction, into the people that they show.

Points, and the vertices of bones, belong to the box that their `parentID` names. Points without a box, which
annotators leave when they delete one or draw without one, are put together by the person that their id names
(`p0-nose`), by the only box that they lie in, or, where nobody else is in the picture, as one person.

Label Studio has no flag for a hidden point. One is read from a per-region Choices tag (`perRegion="true"`) whose
choice is called "occluded", or from a note with this word. (The eye in the region panel only hides a region from the
annotator's view; it is not stored.)
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from adapters.label_studio.drawn_regions import (
    DrawnRegion,
    Warn,
    predicted_point,
    read_region,
    with_bones_as_points,
)
from adapters.label_studio.label_config import LabelConfig
from adapters.label_studio.label_names import means_person, one_line
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS, keypoint_index, normalised

UNSEEN, OCCLUDED, VISIBLE = 0, 1, 2
"""COCO's visibility flags: not annotated; annotated and hidden; annotated and visible."""

_OCCLUSION_WORDS = frozenset({"occluded", "occlusion", "hidden", "invisible", "notvisible"})


@dataclass(frozen=True)
class AnnotatedPerson:
    """A person as annotated or predicted.

    Attributes:
        box: x1, y1, x2, y2 in pixels, shape (4,), float64: round the drawn box, which may be turned, and within the
            picture; round the points where no box was drawn.
        keypoints: x, y in pixels, shape (133, 2), float64; 0, 0 where not annotated.
        visibility: `UNSEEN`, `OCCLUDED` or `VISIBLE`, shape (133,), uint8.
        score: Confidence of a predicted person: the mean score of their points times that of their box, as in
            MMPose. 1 where no scores are given.
    """

    box: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    visibility: NDArray[np.uint8]
    score: float


@dataclass(frozen=True)
class AnnotatedPicture:
    """What was drawn on one picture.

    Attributes:
        image: Name of the Image tag.
        frame: Which picture of a list (`item_index`), or None for a single one.
        size: Width and height in pixels.
        people: The people.
    """

    image: str
    frame: int | None
    size: tuple[int, int]
    people: tuple[AnnotatedPerson, ...]


@dataclass(frozen=True)
class LabelMeanings:
    """What the labels of a project stand for.

    Attributes:
        keypoints: Indices of keypoints, by tag and label. Others are recognised by their spelling.
        people: Tag and label of the boxes that are people; None: whatever label means a person.
    """

    keypoints: Mapping[tuple[str, str], tuple[int, ...]] = field(
        default_factory=dict[tuple[str, str], tuple[int, ...]]
    )
    people: frozenset[tuple[str, str]] | None = None

    @classmethod
    def of(cls, config: LabelConfig) -> "LabelMeanings":
        """Read them off a label config."""
        keypoints: defaultdict[tuple[str, str], tuple[int, ...]] = defaultdict(tuple)
        for image in config.images:
            for control in image.keypoints:
                for label in control.labels:
                    known = keypoints[control.name, label.label]
                    keypoints[control.name, label.label] = tuple(dict.fromkeys((*known, label.index)))
        people = frozenset((image.box.name, image.box.label) for image in config.images if image.box)
        return cls(dict(keypoints), people or None)


def read_people(result: Sequence[object], meanings: LabelMeanings, warn: Warn) -> list[AnnotatedPicture]:
    """Read the regions of an annotation or a prediction.

    Args:
        result: The regions as Label Studio stores them. What cannot be read is left out and warned about.
        meanings: What the labels stand for.
        warn: Takes a sentence about something that was left out or decided.

    Returns:
        The pictures that something is drawn on, in the order in which they first appear.
    """
    regions = [region for item in result if (region := read_region(item, warn)) is not None]
    hidden = {region.id for region in regions if _says_occluded(region)}
    hidden |= {vertex.id for region in regions if region.id in hidden for vertex in region.value.vertices}
    regions = with_bones_as_points(regions, warn)
    pictures: dict[tuple[str, int | None], list[DrawnRegion]] = defaultdict(list)
    others: set[str] = set()
    for region in regions:
        if region.type in ("keypointlabels", "rectanglelabels"):
            pictures[region.to_name, region.item_index].append(region)
        elif region.type != "choices":
            others.add(region.type)
    for kind in sorted(others):
        warn(f"regions of type {kind[:40]!r} are neither points nor boxes of people; they are left out")
    return [
        _Picture(shown, regions_shown, hidden, meanings, warn).read()
        for shown, regions_shown in pictures.items()
    ]


def _says_occluded(region: DrawnRegion) -> bool:
    notes = region.meta.get("text")
    words = cast("list[object]", notes) if isinstance(notes, list) else [notes]
    said = [*words, *region.value.choices, *region.value.keypointlabels]
    return any(isinstance(word, str) and normalised(word) in _OCCLUSION_WORDS for word in said)


@dataclass
class _Gathered:
    """A person while their points are gathered."""

    box: DrawnRegion | None
    points: list[DrawnRegion] = field(default_factory=list[DrawnRegion])


class _Picture:
    """The regions of one picture on their way to its people."""

    def __init__(
        self,
        shown: tuple[str, int | None],
        regions: Sequence[DrawnRegion],
        hidden: set[str],
        meanings: LabelMeanings,
        warn: Warn,
    ) -> None:
        self._image, self._frame = shown
        self._hidden, self._meanings, self._warn = hidden, meanings, warn
        first = regions[0]
        assert first.original_width is not None
        assert first.original_height is not None
        self._size = (first.original_width, first.original_height)
        same = [region for region in regions if (region.original_width, region.original_height) == self._size]
        if len(same) < len(regions):
            warn(
                f"{len(regions) - len(same)} regions are of a picture with another size than {self._size[0]} × "
                f"{self._size[1]}; they are left out"
            )
        self._boxes = {region.id: region for region in same if region.type == "rectanglelabels"}
        self._points = [region for region in same if region.type == "keypointlabels"]
        self._parents = {region.id: region.parent for region in same}

    def read(self) -> AnnotatedPicture:
        gathered, loose = self._under_boxes()
        loose = self._by_id(gathered, loose)
        self._by_place(gathered, loose)
        people = (self._person(one) for one in gathered.values() if self._is_person(one))
        return AnnotatedPicture(
            self._image, self._frame, self._size, tuple(person for person in people if person is not None)
        )

    def _under_boxes(self) -> tuple[dict[str, _Gathered], list[DrawnRegion]]:
        gathered = {name: _Gathered(box) for name, box in self._boxes.items()}
        loose: list[DrawnRegion] = []
        for point in self._points:
            box = self._box_above(point)
            if box is None:
                loose.append(point)
            else:
                gathered[box].points.append(point)
        return gathered, loose

    def _box_above(self, point: DrawnRegion) -> str | None:
        above, seen = point.parent, set[str]()
        # Annotators can nest regions as they like, and a file may have a circle.
        while above and above not in seen:
            if above in self._boxes:
                return above
            seen.add(above)
            above = self._parents.get(above, "")
        return None

    def _by_id(self, gathered: dict[str, _Gathered], loose: Iterable[DrawnRegion]) -> list[DrawnRegion]:
        rest: list[DrawnRegion] = []
        for point in loose:
            person, _ = predicted_point(point.id)
            if person is None:
                rest.append(point)
            else:
                gathered.setdefault(f"{person}-box", _Gathered(None)).points.append(point)
        return rest

    def _by_place(self, gathered: dict[str, _Gathered], loose: Sequence[DrawnRegion]) -> None:
        if not loose:
            return
        people = {name: one for name, one in gathered.items() if self._is_person(one)}
        if not people:
            gathered[""] = _Gathered(None, list(loose))
            self._warn(f"{len(loose)} points belong to no box and are taken as one person")
            return
        lost = 0
        for point in loose:
            round_it = [
                name for name, one in people.items() if one.box is not None and _contains(one.box, point)
            ]
            if len(people) == 1:
                round_it = list(people)
            if len(round_it) == 1:
                people[round_it[0]].points.append(point)
            else:
                lost += 1
        if len(loose) > lost:
            self._warn(
                f"{len(loose) - lost} points without a parent are given to the person whose box they lie in"
            )
        if lost:
            self._warn(
                f"{lost} points could belong to several people or to none, and are left out: drag them onto their "
                "box in the region panel"
            )

    def _is_person(self, one: _Gathered) -> bool:
        if one.points or one.box is None:
            return True
        people = self._meanings.people
        if people is None:
            return any(means_person(label) for label in one.box.labels)
        return any((one.box.from_name, label) in people or means_person(label) for label in one.box.labels)

    def _person(self, one: _Gathered) -> AnnotatedPerson | None:
        keypoints, visibility = np.zeros((KEYPOINT_COUNT, 2)), np.zeros(KEYPOINT_COUNT, np.uint8)
        scores: list[float] = []
        for point in one.points:
            index = self._keypoint(point)
            if index is None:
                continue
            if visibility[index]:
                self._warn(f"{KEYPOINTS[index].name!r} was drawn twice for one person; the later one counts")
            keypoints[index] = _pixels(point.value.x, point.value.y, self._size)
            visibility[index] = OCCLUDED if point.id in self._hidden else VISIBLE
            scores.append(1.0 if point.score is None else point.score)
        box = _hull(one.box, self._size) if one.box else _round_points(keypoints[visibility > 0])
        if box is None:
            if one.box:
                self._warn(one_line(f"box {one.box.id!r} has no area in the picture; the person is left out"))
            return None
        of_box = 1.0 if one.box is None or one.box.score is None else one.box.score
        return AnnotatedPerson(
            box, keypoints, visibility, of_box * (sum(scores) / len(scores) if scores else 1.0)
        )

    def _keypoint(self, point: DrawnRegion) -> int | None:
        """Tell which keypoint a point is; of a label for several, the point's id says which one."""
        for label in point.labels:
            indices = self._meanings.keypoints.get((point.from_name, label))
            if indices is None:
                spelled = keypoint_index(label)
                indices = () if spelled is None else (spelled,)
            if len(indices) == 1:
                return indices[0]
            if indices:
                _, named = predicted_point(point.id)
                if named in indices:
                    return named
                self._warn(
                    one_line(
                        f"a point with the label {label!r}, which stands for several keypoints, is left out"
                    )
                )
                return None
        self._warn(one_line(f"points labelled {', '.join(point.labels)!r} are none of our keypoints"))
        return None


def _pixels(x: float, y: float, size: tuple[int, int]) -> tuple[float, float]:
    return x / 100 * size[0], y / 100 * size[1]


def _corners(box: DrawnRegion, size: tuple[int, int]) -> NDArray[np.float64]:
    """Corners in pixels, shape (4, 2). Label Studio turns a box clockwise round its upper left corner."""
    value = box.value
    width, height = value.width / 100 * size[0], value.height / 100 * size[1]
    angle = math.radians(value.rotation)
    right = np.array([math.cos(angle), math.sin(angle)]) * width
    down = np.array([-math.sin(angle), math.cos(angle)]) * height
    start = np.array(_pixels(value.x, value.y, size))
    return np.stack([start, start + right, start + right + down, start + down])


def _contains(box: DrawnRegion, point: DrawnRegion) -> bool:
    """Tell whether a point lies in a box, which may be turned."""
    assert box.original_width is not None
    assert box.original_height is not None
    size = (box.original_width, box.original_height)
    corners = _corners(box, size)
    offset = np.array(_pixels(point.value.x, point.value.y, size)) - corners[0]
    return all(
        0 <= float(offset @ edge) <= float(edge @ edge)
        for edge in (corners[1] - corners[0], corners[3] - corners[0])
    )


def _hull(box: DrawnRegion, size: tuple[int, int]) -> NDArray[np.float64] | None:
    corners = _corners(box, size)
    low, high = corners.min(axis=0).clip(0, size), corners.max(axis=0).clip(0, size)
    return np.concatenate([low, high]) if (high > low).all() else None


def _round_points(points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    return np.concatenate([points.min(axis=0), points.max(axis=0)]) if len(points) else None
