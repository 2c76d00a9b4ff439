"""People as Label Studio's predictions: boxes and keypoints in percent of the upright picture, grouped by person.

Observed with Label Studio 1.23.2: ids must be unique in a task; `parentID` nests the keypoints of a person under
their box in the region tree, survives submitting, and is what exports tell people apart by. A `parentID` that
names no region leaves the keypoints loose, at the top of the tree.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired, TypeAlias, TypedDict

from adapters.label_studio.label_config import ImageControls, KeypointControl, KeypointLabel
from wholebody.person import Person
from wholebody.schema import KEYPOINTS, Part

# Width of a drawn point as a share of the diagonal of the person's box. Neighbouring points of a face lie about
# 0.004 apart there and those of a finger 0.01, so wider points would cover each other.
_POINT_WIDTHS: dict[Part, float] = {
    Part.BODY: 0.006,
    Part.FEET: 0.006,
    Part.LEFT_HAND: 0.004,
    Part.RIGHT_HAND: 0.004,
    Part.FACE: 0.003,
}
_NARROWEST, _WIDEST = 0.05, 1.0  # percent of the picture's width: still to be clicked on, still a point
_DECIMALS = 4  # of a percentage: a hundredth of a pixel in a picture 10,000 pixels wide


class BoxValue(TypedDict):
    """Upper left corner and size of a box in percent of the picture."""

    x: float
    y: float
    width: float
    height: float
    rotation: float
    rectanglelabels: list[str]


class KeypointValue(TypedDict):
    """Centre and width of a keypoint in percent of the picture."""

    x: float
    y: float
    width: float
    keypointlabels: list[str]


class RegionMeta(TypedDict):
    """A note that Label Studio shows with a region."""

    text: list[str]


class Region(TypedDict):
    """A region as Label Studio stores it."""

    id: str
    parentID: NotRequired[str]
    from_name: str
    to_name: str
    type: Literal["rectanglelabels", "keypointlabels"]
    score: float
    original_width: int
    original_height: int
    image_rotation: int
    meta: NotRequired[RegionMeta]
    value: BoxValue | KeypointValue


class Prediction(TypedDict):
    """A prediction as Label Studio stores it."""

    model_version: str
    score: float
    result: list[Region]


Size: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Thresholds:
    """Lowest scores that are sent where the label config sets none.

    Attributes:
        person: For a person, 0 to 1.
        keypoint: For a keypoint, 0 to 1. Keypoints with score 0 were not found and are never sent.
    """

    person: float
    keypoint: float


@dataclass(frozen=True)
class PeopleInImage:
    """What was found in the picture of one Image tag.

    Attributes:
        image: The Image tag and what is to be drawn on it.
        people: The people found.
        size: Width and height of the upright picture in pixels.
    """

    image: ImageControls
    people: Sequence[Person]
    size: Size


def prediction(
    found: Sequence[PeopleInImage],
    *,
    model_version: str,
    thresholds: Thresholds,
    id_prefix: str = "",
    only: Part | None = None,
) -> Prediction:
    """Write what was found in a task's pictures as one prediction.

    A box is clipped to the picture; a person whose box lies outside it, or has no finite size, is left out. A
    keypoint outside the picture is left out, not moved to its border: a point on the border would claim to have
    been seen there. Scores are clamped to 0..1.

    A project without RectangleLabels gets keypoints without `parentID`. They can still be told apart: ids begin
    with `p0-`, `p1-`, ..., and each keypoint carries its person's name as a note.

    Args:
        found: The pictures of the task, one per Image tag, each tag at most once.
        model_version: The version that /setup answers.
        thresholds: Lowest scores where the label config sets none.
        id_prefix: Put before every id. Answers for interactive use need one of their own, because their regions
            join others in the task.
        only: Send the keypoints of this part only.

    Returns:
        A prediction whose `score` is the confidence: the mean over the people of the mean score of their
        keypoints (of their box where no keypoint was sent); 0 where nobody was found. Its `result` is then empty.
    """
    regions: list[Region] = []
    confidences: list[float] = []
    for position, picture in enumerate(found):
        drawing = _Drawing(picture, thresholds, only)
        image_prefix = id_prefix if position == 0 else f"{id_prefix}i{position}-"
        sent = 0
        for person in picture.people:
            of_person = _regions(drawing, person, f"{image_prefix}p{sent}", note=f"p{sent}")
            if of_person:
                sent += 1
                regions += of_person
                confidences.append(_confidence(of_person))
    score = sum(confidences) / len(confidences) if confidences else 0.0
    return {"model_version": model_version, "score": round(score, _DECIMALS), "result": regions}


@dataclass(frozen=True)
class _Drawing:
    """One picture and what of its people is to be sent."""

    picture: PeopleInImage
    thresholds: Thresholds
    only: Part | None


def _confidence(regions: Sequence[Region]) -> float:
    of_keypoints = [region["score"] for region in regions if region["type"] == "keypointlabels"]
    scores = of_keypoints or [region["score"] for region in regions]
    return sum(scores) / len(scores)


@dataclass(frozen=True)
class _Box:
    """A person's box in pixels, clipped to the picture."""

    x: float
    y: float
    width: float
    height: float


def _clipped(person: Person, size: Size) -> _Box | None:
    x1, y1, x2, y2 = (float(edge) for edge in person.box)
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        return None
    width, height = size
    x1, x2 = max(x1, 0.0), min(x2, float(width))
    y1, y2 = max(y1, 0.0), min(y2, float(height))
    # An edge thinner than this would be rounded to nothing.
    thinnest_x, thinnest_y = width * 10**-_DECIMALS / 100, height * 10**-_DECIMALS / 100
    return _Box(x1, y1, x2 - x1, y2 - y1) if x2 - x1 > thinnest_x and y2 - y1 > thinnest_y else None


def _regions(drawing: _Drawing, person: Person, person_id: str, note: str) -> list[Region]:
    image, (width, height) = drawing.picture.image, drawing.picture.size
    box = _clipped(person, drawing.picture.size)
    score = _unit(person.box_score)
    if box is None or score is None:
        return []
    boxes: list[Region] = []
    if image.box is not None and score >= _box_threshold(image, drawing.thresholds):
        boxes.append(
            {
                "id": f"{person_id}-box",
                "from_name": image.box.name,
                "to_name": image.name,
                "type": "rectanglelabels",
                "score": score,
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "meta": {"text": [note]},
                "value": _box_value(box, drawing.picture.size, image.box.label),
            }
        )
    keypoints: list[Region] = []
    for control in image.keypoints:
        if score < _first(control.person_threshold, drawing.thresholds.person):
            continue
        widths = _point_widths(control, person, width)
        regions = (_keypoint_region(drawing, person, control, label, widths) for label in control.labels)
        keypoints += [region for region in regions if region is not None]
    taken = {region["id"] for region in boxes}
    for region in keypoints:
        region["id"] = _free_id(f"{person_id}-{region['id']}", taken)
        if boxes:
            region["parentID"] = boxes[0]["id"]
        else:
            region["meta"] = {"text": [note]}
    if drawing.only is not None and not keypoints:
        return []
    return [*boxes, *keypoints]


def _box_threshold(image: ImageControls, thresholds: Thresholds) -> float:
    """A box is drawn from its own tag's threshold on, otherwise wherever keypoints of its person may be."""
    assert image.box is not None
    if image.box.person_threshold is not None:
        return image.box.person_threshold
    of_keypoints = [_first(control.person_threshold, thresholds.person) for control in image.keypoints]
    return min(of_keypoints, default=thresholds.person)


def _box_value(box: _Box, size: Size, label: str) -> BoxValue:
    width, height = size
    x, y = _percent(box.x, width), _percent(box.y, height)
    return {
        "x": x,
        "y": y,
        "width": min(_percent(box.width, width), round(100 - x, _DECIMALS)),
        "height": min(_percent(box.height, height), round(100 - y, _DECIMALS)),
        "rotation": 0,
        "rectanglelabels": [label],
    }


def _keypoint_region(
    drawing: _Drawing,
    person: Person,
    control: KeypointControl,
    label: KeypointLabel,
    widths: Mapping[Part, float],
) -> Region | None:
    """Write one keypoint, or None if it is not to be sent. Its id is its name, still to be made unique."""
    keypoint = KEYPOINTS[label.index]
    if drawing.only is not None and keypoint.part is not drawing.only:
        return None
    score = _unit(float(person.scores[label.index]))
    threshold = _first(label.threshold, control.keypoint_threshold, drawing.thresholds.keypoint)
    if not score or score < threshold:
        return None
    x, y = (float(coordinate) for coordinate in person.keypoints[label.index])
    width, height = drawing.picture.size
    if not (0 <= x <= width and 0 <= y <= height):  # false for NaN as well
        return None
    return {
        "id": keypoint.name,
        "from_name": control.name,
        "to_name": drawing.picture.image.name,
        "type": "keypointlabels",
        "score": score,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "x": _percent(x, width),
            "y": _percent(y, height),
            "width": widths[keypoint.part],
            "keypointlabels": [label.label],
        },
    }


def _point_widths(control: KeypointControl, person: Person, picture_width: int) -> dict[Part, float]:
    """Width of a person's drawn points in percent of the picture's width, for each part."""
    if control.point_size is not None:
        wanted = min(max(_percent(control.point_size, picture_width), 10**-_DECIMALS), 100.0)
        return dict.fromkeys(Part, wanted)
    x1, y1, x2, y2 = (float(edge) for edge in person.box)
    diagonal = math.hypot(x2 - x1, y2 - y1)
    return {
        part: round(min(max(100 * (share * diagonal / picture_width), _NARROWEST), _WIDEST), _DECIMALS)
        for part, share in _POINT_WIDTHS.items()
    }


def _free_id(wanted: str, taken: set[str]) -> str:
    """Return an id that is not taken yet: the same keypoint may have labels in several tags."""
    free, number = wanted, 2
    while free in taken:
        free, number = f"{wanted}-{number}", number + 1
    taken.add(free)
    return free


def _percent(pixels: float, length: int) -> float:
    return round(100 * pixels / length, _DECIMALS)


def _unit(score: float) -> float | None:
    """Clamp a score to 0..1 (SimCC scores may exceed 1 slightly); None for NaN."""
    if math.isnan(score):
        return None
    return round(min(max(float(score), 0.0), 1.0), _DECIMALS)


def _first(*numbers: float | None) -> float:
    """Return the first number that is set; the last one always is."""
    return next(number for number in numbers if number is not None)
