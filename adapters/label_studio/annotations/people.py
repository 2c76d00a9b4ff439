"""Reads the regions of an annotation or a prediction into people.

`points` determines the keypoint of a point or vertex, and `gathering` its person. `agreeing_boxes` merges people with
two boxes. `doubles` resolves keypoints that occur more than once.

Label Studio has no flag for a hidden point. One is read from a per-region Choices tag (`perRegion="true"`) whose
choice is called "occluded", or from a note with this word. (The eye in the region panel only hides a region from the
annotator's view; it is not stored.)
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from adapters.label_studio.annotations.agreeing_boxes import merged
from adapters.label_studio.annotations.box_geometry import Size, pixels, upright
from adapters.label_studio.annotations.doubles import without_doubles
from adapters.label_studio.annotations.gathering import Gathered, PictureRegions, gather
from adapters.label_studio.annotations.points import PointReader, Predicted, hidden_regions
from adapters.label_studio.annotations.regions import DrawnRegion, Warn, read_region
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.sentences import one_line
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS, Part

UNSEEN, OCCLUDED, VISIBLE = 0, 1, 2
"""COCO's visibility flags: not annotated; annotated and hidden; annotated and visible."""

PictureOfTag: TypeAlias = tuple[str, int | None]
"""Name of the Image tag, and the picture's index in a list (`item_index`), or None for a single one."""


@dataclass(frozen=True)
class AnnotatedPerson:
    """A person as annotated or predicted.

    Attributes:
        name: Id of their box; of a predicted person, that of the predicted box, even if it is missing; "" for points
            that belong to no box. Unique in the picture.
        box: x1, y1, x2, y2 in pixels, shape (4,), float64: around the drawn box, which may be rotated, clipped to the
            picture; around the points if no box was drawn.
        keypoints: x, y in pixels, shape (133, 2), float64; 0, 0 where not annotated.
        visibility: `UNSEEN`, `OCCLUDED` or `VISIBLE`, shape (133,), uint8.
        score: Confidence of a predicted person: the mean score of their points times that of their box, as in
            MMPose. 1 without scores.
        handle: Id of the region that their other regions are nested under: their box, or the bones of their body.
        scores: Confidence of each keypoint, shape (133,), float64; 1 without scores.
    """

    name: str
    box: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    visibility: NDArray[np.uint8]
    score: float
    handle: str = ""
    scores: NDArray[np.float64] = field(default_factory=lambda: np.ones(KEYPOINT_COUNT))


@dataclass(frozen=True)
class AnnotatedPicture:
    """The people on one picture.

    Attributes:
        image: Name of the Image tag.
        frame: Index of the picture in a list (`item_index`), or None for a single one.
        size: Width and height in pixels.
        people: The people.
    """

    image: str
    frame: int | None
    size: Size
    people: tuple[AnnotatedPerson, ...]


def read_people(
    result: Sequence[object],
    meanings: LabelMeanings,
    warn: Warn,
    predicted: Sequence[object] | None = None,
) -> list[AnnotatedPicture]:
    """Read the regions of an annotation or a prediction.

    Args:
        result: The regions as Label Studio stores them, in any order. Unreadable ones are left out with a warning.
        meanings: The meanings of the labels.
        warn: Takes a warning about something that was left out or decided.
        predicted: Of an annotation, the regions of the prediction that it was made from, if known. They show what the
            annotator changed and deleted; without them, the remaining ids and parents do, as far as possible.

    Returns:
        The pictures with regions, in the order in which they first occur.
    """
    regions = [region for item in result if (region := read_region(item, warn)) is not None]
    before = Predicted.of(predicted) if predicted is not None else None
    reader = PointReader(meanings, hidden_regions(regions), before, warn)
    parents = {region.id: region.parent for region in regions if region.type != "choices"}
    ids = _ids(result)
    return [
        _read_picture(picture, drawn, reader, parents, ids) for picture, drawn in _by_picture(regions, reader)
    ]


def picture_sizes(result: Sequence[object], meanings: LabelMeanings) -> dict[PictureOfTag, Size]:
    """Return the pictures with points or boxes, with their width and height in pixels."""
    regions = [region for item in result if (region := read_region(item, lambda _: None)) is not None]
    reader = PointReader(meanings, (), None, lambda _: None)
    return {picture: _size(drawn) for picture, drawn in _by_picture(regions, reader)}


def _by_picture(
    regions: Sequence[DrawnRegion], reader: PointReader
) -> list[tuple[PictureOfTag, list[DrawnRegion]]]:
    pictures: dict[PictureOfTag, list[DrawnRegion]] = defaultdict(list)
    others: set[str] = set()
    for region in regions:
        if region.type == "rectanglelabels" or reader.has_keypoints(region):
            pictures[region.to_name, region.item_index].append(region)
        elif region.type != "choices":
            others.add(region.type)
    for kind in sorted(others):
        reader.warn(
            f"regions of type {kind[:40]!r} are neither points nor boxes of people; they are left out"
        )
    return list(pictures.items())


def _size(regions: Sequence[DrawnRegion]) -> Size:
    first = regions[0]
    assert first.original_width is not None
    assert first.original_height is not None
    return first.original_width, first.original_height


def _ids(result: Sequence[object]) -> set[str]:
    items = (cast("Mapping[str, Any]", item) for item in result if isinstance(item, dict))
    return {name for item in items if isinstance(name := item.get("id"), str)}


def _read_picture(
    picture: PictureOfTag,
    drawn: Sequence[DrawnRegion],
    reader: PointReader,
    parents: Mapping[str, str],
    ids: set[str],
) -> AnnotatedPicture:
    size, warn = _size(drawn), reader.warn
    same = [region for region in drawn if (region.original_width, region.original_height) == size]
    if len(same) < len(drawn):
        warn(
            f"{len(drawn) - len(same)} regions have another picture size than {size[0]} × {size[1]}; they are left out"
        )
    regions = PictureRegions(
        size,
        {region.id: region for region in same if region.type == "rectanglelabels"},
        reader.points([region for region in same if region.type != "rectanglelabels"]),
        parents,
        ids,
        reader.predicted,
        reader.meanings,
        warn,
    )
    people = (_person(one, size, ids, warn) for one in merged(gather(regions), regions))
    return AnnotatedPicture(*picture, size, tuple(person for person in people if person is not None))


def _person(one: Gathered, size: Size, ids: set[str], warn: Warn) -> AnnotatedPerson | None:
    keypoints, visibility = np.zeros((KEYPOINT_COUNT, 2)), np.zeros(KEYPOINT_COUNT, np.uint8)
    scores = np.ones(KEYPOINT_COUNT)
    points = without_doubles(one, warn)
    for index, point in points.items():
        keypoints[index] = pixels(point.x, point.y, size)
        visibility[index] = OCCLUDED if point.hidden else VISIBLE
        scores[index] = 1.0 if point.score is None else point.score
    box = upright(one.box, size) if one.box else _round_points(keypoints[visibility > 0])
    if box is None:
        if one.box:
            warn(one_line(f"box {one.box.id!r} has no area in the picture; the person is left out"))
        return None
    of_box = 1.0 if one.box is None or one.box.score is None else one.box.score
    score = of_box * (float(scores[visibility > 0].mean()) if points else 1.0)
    return AnnotatedPerson(one.name, box, keypoints, visibility, score, _handle(one, ids), scores)


def _handle(one: Gathered, ids: set[str]) -> str:
    """Return the region that most of a person's regions are nested under; else one of a body, else the first."""
    if one.box is not None:
        return one.box.id
    parents = Counter(point.parent for point in one.points if point.parent in ids)
    if parents:
        return parents.most_common(1)[0][0]
    body = (point.region for point in one.points if KEYPOINTS[point.index].part is Part.BODY)
    return next(body, one.points[0].region)


def _round_points(points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    return np.concatenate([points.min(axis=0), points.max(axis=0)]) if len(points) else None
