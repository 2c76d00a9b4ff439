"""People as Label Studio's predictions: boxes, keypoints and bones in percent of the upright picture, by person.

Observed with Label Studio 1.23.2: ids must be unique in a task; `parentID` nests the keypoints of a person under
their box in the region tree, survives submitting, and is what exports tell people apart by. A `parentID` that
names no region leaves the keypoints loose, at the top of the tree.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from adapters.label_studio.label_config_controls import (
    ImageControls,
    KeypointControl,
    KeypointLabel,
    SkeletonControl,
    SkeletonLabel,
)
from adapters.label_studio.regions import (
    BonesValue,
    BoxValue,
    KeypointValue,
    Prediction,
    Region,
    RegionMeta,
    RegionType,
    RegionValue,
    VertexValue,
    VideoRegion,
)
from adapters.label_studio.uncertainty import uncertainty
from adapters.label_studio.video_regions import PeopleInVideo, video_regions
from wholebody.bone_trees import LINES, Tree, Vertex, grown
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
    """What was found in one picture.

    Attributes:
        image: The Image tag and what is to be drawn on it.
        people: The people found.
        size: Width and height of the upright picture in pixels.
        frame: Position of the picture in the tag's list of frames, from 0; None where the tag shows one picture.
        id_prefix: Put before every id. Answers for interactive use need one of their own, because their regions join
            others in the task.
    """

    image: ImageControls
    people: Sequence[Person]
    size: Size
    frame: int | None = None
    id_prefix: str = ""


def prediction(
    found: Sequence[PeopleInImage],
    *,
    model_version: str,
    thresholds: Thresholds,
    only: Part | None = None,
    videos: Sequence[PeopleInVideo] = (),
) -> Prediction:
    """Write what was found in a task's pictures as one prediction.

    A box is clipped to the picture; a person whose box lies outside it, or has no finite size, is left out. A
    keypoint outside the picture is left out, not moved to its border: a point on the border would claim to have
    been seen there. Scores are clamped to 0..1.

    A project without RectangleLabels gets keypoints and bones without `parentID`. They can still be told apart: ids
    begin with `p0-`, `p1-`, ..., and each carries its person's name as a note.

    Args:
        found: The pictures of the task: one per Image tag, or several frames of one, each at most once under one
            `id_prefix`.
        model_version: The version that /setup answers.
        thresholds: Lowest scores where the label config sets none.
        only: Send the keypoints and bones of this part only.
        videos: The clips of the task, one per Video tag.

    Returns:
        A prediction whose `score` is the confidence: the mean over the people of the mean score of their
        keypoints (of their bones, or their boxes, where no keypoint was sent); 0 where nobody was found. Its `result`
        is then empty. Each person's uncertainty is in the `meta` of their box (or of their regions without a box).
    """
    regions: list[Region | VideoRegion] = []
    confidences: list[float] = []
    positions: dict[str, int] = {}
    for picture in found:
        drawing = _Drawing(picture, thresholds, only)
        position = positions.setdefault(picture.image.name, len(positions))
        prefix = picture.id_prefix
        prefix += f"i{position}-" if position else ""
        prefix += "" if picture.frame is None else f"f{picture.frame}-"
        sent = 0
        for person in picture.people:
            of_person = _regions(drawing, person, f"{prefix}p{sent}", note=f"p{sent}")
            if of_person:
                sent += 1
                regions += of_person
                confidences.append(_confidence(of_person))
    for position, video in enumerate(videos):
        prefix = f"v{position}-" if found or position else ""
        boxes = video_regions(video, person_threshold=thresholds.person, id_prefix=prefix)
        regions += boxes
        confidences += [box["score"] for box in boxes]
    score = sum(confidences) / len(confidences) if confidences else 0.0
    return {"model_version": model_version, "score": round(score, _DECIMALS), "result": regions}


@dataclass(frozen=True)
class _Drawing:
    """One picture and what of its people is to be sent."""

    picture: PeopleInImage
    thresholds: Thresholds
    only: Part | None


def _confidence(regions: Sequence[Region]) -> float:
    for kind in ("keypointlabels", "vectorlabels", "rectanglelabels"):
        scores = [region["score"] for region in regions if region["type"] == kind]
        if scores:
            return sum(scores) / len(scores)
    raise AssertionError("a person that is sent has a region")


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
    image = drawing.picture.image
    box = _clipped(person, drawing.picture.size)
    score = _unit(person.box_score)
    if box is None or score is None:
        return []
    boxes: list[Region] = []
    if image.box is not None and score >= _box_threshold(image, drawing.thresholds):
        value = _box_value(box, drawing.picture.size, image.box.label)
        boxes.append(_region(drawing, "rectanglelabels", image.box.name, "box", score=score, value=value))
    inside: list[Region] = []
    for control in image.keypoints:
        if score >= _first(control.person_threshold, drawing.thresholds.person):
            widths = _point_widths(control, person, drawing.picture.size[0])
            regions = (_keypoint_region(drawing, person, control, label, widths) for label in control.labels)
            inside += [region for region in regions if region is not None]
    for control in image.skeletons:
        if score >= _first(control.person_threshold, drawing.thresholds.person):
            for label in control.labels:
                inside += _bone_regions(drawing, person, control, label, person_id)
    if drawing.only is not None and not inside:
        return []
    meta: RegionMeta = {"text": [note], "uncertainty": _uncertainty(drawing, person)}
    taken: set[str] = set()
    for region in (*boxes, *inside):
        region["id"] = _free_id(f"{person_id}-{region['id']}", taken)
        if boxes and region is not boxes[0]:
            region["parentID"] = boxes[0]["id"]
        else:
            region["meta"] = meta
    return [*boxes, *inside]


def _region(  # noqa: PLR0913 - the parts of a region
    drawing: _Drawing, kind: RegionType, control: str, name: str, *, score: float, value: RegionValue
) -> Region:
    """Write a region. Its id is a name, still to be made unique."""
    width, height = drawing.picture.size
    region: Region = {
        "id": name,
        "from_name": control,
        "to_name": drawing.picture.image.name,
        "type": kind,
        "score": score,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": value,
    }
    if drawing.picture.frame is not None:
        region["item_index"] = drawing.picture.frame
    return region


def _uncertainty(drawing: _Drawing, person: Person) -> float:
    """How uncertain the keypoints are that the project asks for; the person, where it asks for boxes alone."""
    image, thresholds = drawing.picture.image, drawing.thresholds
    asked: dict[int, float] = {}
    for control in image.keypoints:
        for label in control.labels:
            if drawing.only in (None, KEYPOINTS[label.index].part):
                threshold = _first(label.threshold, control.keypoint_threshold, thresholds.keypoint)
                asked.setdefault(label.index, threshold)
    for control in image.skeletons:
        for label in control.labels:
            threshold = _first(label.threshold, control.keypoint_threshold, thresholds.keypoint)
            for index in _keypoints_of(label.tree):
                if drawing.only in (None, KEYPOINTS[index].part):
                    asked.setdefault(index, threshold)
    scored = [(float(person.scores[index]), threshold) for index, threshold in asked.items()]
    return round(uncertainty(scored or [(person.box_score, _box_threshold(image, thresholds))]), _DECIMALS)


def _box_threshold(image: ImageControls, thresholds: Thresholds) -> float:
    """A box is drawn from its own tag's threshold on, otherwise wherever keypoints or bones of its person may be."""
    if image.box is not None and image.box.person_threshold is not None:
        return image.box.person_threshold
    controls = (*image.keypoints, *image.skeletons)
    return min(
        (_first(control.person_threshold, thresholds.person) for control in controls),
        default=thresholds.person,
    )


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
    """Write one keypoint, or None if it is not to be sent."""
    keypoint = KEYPOINTS[label.index]
    threshold = _first(label.threshold, control.keypoint_threshold, drawing.thresholds.keypoint)
    place = _place(drawing, person, label.index, threshold)
    if place is None or drawing.only not in (None, keypoint.part):
        return None
    x, y, score = place
    value: KeypointValue = {
        "x": x,
        "y": y,
        "width": widths[keypoint.part],
        "keypointlabels": [label.label],
    }
    return _region(drawing, "keypointlabels", control.name, keypoint.name, score=score, value=value)


def _place(
    drawing: _Drawing, person: Person, index: int, threshold: float
) -> tuple[float, float, float] | None:
    """Return x and y of a keypoint in percent, and its score; None if it is not to be seen."""
    score = _unit(person.scores.item(index))
    if not score or score < threshold:
        return None
    x, y = person.keypoints.item(index, 0), person.keypoints.item(index, 1)
    width, height = drawing.picture.size
    if not (0 <= x <= width and 0 <= y <= height):  # false for NaN as well
        return None
    return _percent(x, width), _percent(y, height), score


@cache
def _keypoints_of(tree: Tree) -> tuple[int, ...]:
    """Return the indices of the keypoints that bones of a tree go to."""
    return tuple(
        sorted({index for line in LINES if line.tree is tree for bone in line.bones for index in bone})
    )


def _bone_regions(
    drawing: _Drawing, person: Person, control: SkeletonControl, label: SkeletonLabel, person_id: str
) -> list[Region]:
    """Write the lines of a part of the skeleton.

    Label Studio's editor hangs every vertex without a parent, except the first, on the one before it: what does not
    hang together must be regions of its own.
    """
    threshold = _first(label.threshold, control.keypoint_threshold, drawing.thresholds.keypoint)
    places = {
        index: place
        for index in _keypoints_of(label.tree)
        if drawing.only in (None, KEYPOINTS[index].part)
        and (place := _place(drawing, person, index, threshold)) is not None
    }
    regions: list[Region] = []
    for line in (line for line in LINES if line.tree is label.tree):
        for tree in grown(line, places):
            value: BonesValue = {
                "closed": False,
                "vertices": [_vertex(vertex, places[vertex.index], person_id) for vertex in tree],
                "vectorlabels": [label.label],
            }
            score = round(sum(places[vertex.index][2] for vertex in tree) / len(tree), _DECIMALS)
            name = f"bones-{line.name}"
            regions.append(_region(drawing, "vectorlabels", control.name, name, score=score, value=value))
    return regions


def _vertex(vertex: Vertex, place: tuple[float, float, float], person_id: str) -> VertexValue:
    x, y, _ = place
    parent = None if vertex.parent is None else f"{person_id}-{KEYPOINTS[vertex.parent].name}"
    name = f"{person_id}-{KEYPOINTS[vertex.index].name}"
    return {"id": name, "x": x, "y": y, "isBezier": False, "prevPointId": parent}


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
    return round(min(max(score, 0.0), 1.0), _DECIMALS)


def _first(*numbers: float | None) -> float:
    """Return the first number that is set; the last one always is."""
    # Asked for every keypoint of everybody: a generator would take three times as long.
    for number in numbers:
        if number is not None:
            return number
    raise AssertionError("the last number is always set")
