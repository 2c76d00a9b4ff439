"""Writes people as Label Studio's predictions: boxes, keypoints and bones in percent of the upright picture.

Observed with Label Studio 1.23.2: ids must be unique in a task. `parentID` nests the keypoints of a person under their
box in the region tree, survives submitting, and groups people in exports. With a `parentID` that is no region, the
keypoints stay at the top of the tree.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from adapters.label_studio.label_config.controls import (
    ImageControls,
    KeypointControl,
    KeypointLabel,
    SkeletonControl,
    SkeletonLabel,
)
from adapters.label_studio.regions.region import (
    DECIMALS,
    BonesValue,
    BoxValue,
    KeypointValue,
    NoteValue,
    Prediction,
    Region,
    RegionMeta,
    RegionType,
    RegionValue,
    VertexValue,
    VideoRegion,
    percent,
    percent_box,
)
from adapters.label_studio.regions.uncertainty import uncertainty
from adapters.label_studio.regions.video import PeopleInVideo, video_regions
from wholebody.bone_trees import LINES, Tree, Vertex, grown, keypoints_of
from wholebody.person import Person
from wholebody.schema import KEYPOINTS, Part

# Radius of a drawn point as a share of the diagonal of the person's box: Label Studio calls it width, and draws no less
# than 2 pixels of the screen. Neighbouring points of a face lie about 0.004 apart there and those of a finger 0.01, so
# larger points would cover each other.
_POINT_WIDTHS: dict[Part, float] = {
    Part.BODY: 0.006,
    Part.FEET: 0.006,
    Part.LEFT_HAND: 0.0035,
    Part.RIGHT_HAND: 0.0035,
    Part.FACE: 0.002,
}
_ON_THE_FACE = range(5)  # nose, eyes and ears are points of the body, but lie between those of the face
_NARROWEST, _WIDEST = 0.05, 1.0  # percent of the picture's width: still clickable, still a point
_BODY_BONES = re.compile(r"-bones-(?:body|body_without_feet|upper_body)(?:-\d+)*$")
_FINE_BONES = re.compile(r"-bones-(?:left_hand|right_hand|face_\w+)(?:-\d+)*$")


Size: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Thresholds:
    """Default thresholds and limits, for label configs without their own.

    Attributes:
        person: For a person, 0 to 1.
        keypoint: For a keypoint, 0 to 1. Keypoints with score 0 were not found and are never sent.
        most_people: Of one picture, the largest ones; None for all.
    """

    person: float
    keypoint: float
    most_people: int | None = None


@dataclass(frozen=True)
class PeopleInImage:
    """The people found in one picture.

    Attributes:
        image: The Image tag and its controls.
        people: The people found.
        size: Width and height of the upright picture in pixels.
        frame: Index of the picture in the tag's list of frames, from 0; None if the tag shows one picture.
        id_prefix: Prefix of every id. Results of smart tools need their own, because their regions are added to others
            in the task.
        requested: Requested parts: only these are sent, whatever their score, since the annotator saw them.
        joins: The person on the page who gets the parts, or None: they then get a new box.
    """

    image: ImageControls
    people: Sequence[Person]
    size: Size
    frame: int | None = None
    id_prefix: str = ""
    requested: frozenset[Part] | None = None
    joins: "Joins | None" = None


@dataclass(frozen=True)
class Joins:
    """A person on the annotator's page who gets more regions.

    Attributes:
        handle: Id of the region that their other regions are nested under.
        person: Their name in ids, such as "p0".
        number: Suffix that makes the new ids unique. The person stays at their beginning.
    """

    handle: str
    person: str
    number: int


def prediction(
    found: Sequence[PeopleInImage],
    *,
    model_version: str,
    thresholds: Thresholds,
    videos: Sequence[PeopleInVideo] = (),
) -> Prediction:
    """Return the people in a task's pictures as one prediction.

    A box is clipped to the picture; a person whose box lies outside it, or has no finite size, is omitted. A keypoint
    outside the picture is omitted, not moved to its border, where it was not seen. Scores are clamped to 0..1.

    Without boxes, the parts of a person are nested under the bones of their body; without these, they are at the top.
    People stay distinct: ids begin with `p0-`, `p1-`, ..., and regions at the top have the name as a note.

    Args:
        found: The pictures of the task: one per Image tag, or several frames of one, each at most once under one
            `id_prefix`.
        model_version: The version that /setup returns.
        thresholds: Defaults, for label configs without their own.
        videos: The clips of the task, one per Video tag.

    Returns:
        A prediction whose `score` is the confidence: the mean over the people of the mean score of their keypoints (of
        their bones, or their boxes, if no keypoint was sent). Without people it is 0, and `result` is empty. Each
        person's uncertainty is in the `meta` of their box (or of their regions without a box).
    """
    regions: list[Region | VideoRegion] = []
    confidences: list[float] = []
    positions: dict[str, int] = {}
    for picture in found:
        drawing = _Drawing(picture, thresholds)
        position = positions.setdefault(picture.image.name, len(positions))
        prefix = picture.id_prefix
        prefix += f"i{position}-" if position else ""
        prefix += "" if picture.frame is None else f"f{picture.frame}-"
        sent = 0
        most, people = _limited(picture, thresholds.most_people)
        for person in people:
            if sent == most:
                break
            of_person = _regions(drawing, person, _Ids.of(picture.joins, f"{prefix}p{sent}"), note=f"p{sent}")
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
    # Stable: within a rank, regions stay in the order of their people.
    regions.sort(key=_rank)
    return {"model_version": model_version, "score": round(score, DECIMALS), "result": regions}


def _limited(picture: PeopleInImage, most: int | None) -> tuple[int | None, Sequence[Person]]:
    """Return how many people of a picture are sent at most, and the people in their order: then the largest first.

    Smart tools send whom the annotator meant.
    """
    most = picture.image.most_people or most
    if most is None or picture.id_prefix or len(picture.people) <= most:
        return None, picture.people
    return most, sorted(picture.people, key=_area, reverse=True)


def _area(person: Person) -> float:
    x1, y1, x2, y2 = person.box.tolist()
    area = (x2 - x1) * (y2 - y1)
    return area if math.isfinite(area) else 0.0


def _rank(region: Region | VideoRegion) -> int:
    """Return the rank of a region in the result: Label Studio's editor draws the first one topmost.

    A box catches the mouse on its whole area, a bone within 10 pixels. So points precede bones. Bones of hands and
    faces, which lie close together, precede those of bodies. Boxes are last.
    """
    if region["type"] == "keypointlabels":
        return 0
    if region["type"] == "textarea":
        return 4  # after the region that it describes
    if region["type"] != "vectorlabels":
        return 3
    return 1 if _FINE_BONES.search(region["id"]) else 2


@dataclass(frozen=True)
class _Drawing:
    """One picture, and which regions of its people are sent."""

    picture: PeopleInImage
    thresholds: Thresholds

    def wants(self, index: int) -> bool:
        """Return whether a keypoint may be sent."""
        return self.picture.requested is None or KEYPOINTS[index].part in self.picture.requested

    def threshold(self, *set_in_config: float | None) -> float:
        """Return the threshold of a keypoint: the first one that the label config sets, or the default."""
        return 0.0 if self.picture.requested is not None else _first(*set_in_config, self.thresholds.keypoint)

    def wants_person(self, score: float, set_in_config: float | None) -> bool:
        """Return whether the keypoints of a person with this score are sent."""
        return self.picture.requested is not None or score >= _first(set_in_config, self.thresholds.person)


@dataclass(frozen=True)
class _Ids:
    """Ids of one person's regions, which begin with the person's name, so exports can group them."""

    person: str
    ending: str = ""

    @classmethod
    def of(cls, joins: Joins | None, person: str) -> "_Ids":
        return cls(person) if joins is None else cls(joins.person, f"-{joins.number}")

    def named(self, name: str) -> str:
        return f"{self.person}-{name}{self.ending}"


def _confidence(regions: Sequence[Region]) -> float:
    for kind in ("keypointlabels", "vectorlabels", "rectanglelabels"):
        scores = [region["score"] for region in regions if region["type"] == kind]
        if scores:
            return sum(scores) / len(scores)
    raise AssertionError("a person that is sent has a region")


def _regions(drawing: _Drawing, person: Person, ids: _Ids, note: str) -> list[Region]:
    image, joins = drawing.picture.image, drawing.picture.joins
    box = percent_box(person.box, drawing.picture.size)
    score = _unit(person.box_score)
    if box is None or score is None:
        return []
    boxes: list[Region] = []
    if image.box is not None and joins is None and score >= _box_threshold(image, drawing.thresholds):
        value: BoxValue = {**box, "rotation": 0, "rectanglelabels": [image.box.label]}
        boxes.append(_region(drawing, "rectanglelabels", image.box.name, "box", score=score, value=value))
    inside: list[Region] = []
    for control in image.keypoints:
        if drawing.wants_person(score, control.person_threshold):
            widths = _point_widths(control, person, drawing.picture.size[0])
            regions = (_keypoint_region(drawing, person, control, label, widths) for label in control.labels)
            inside += [region for region in regions if region is not None]
    for control in image.skeletons:
        if drawing.wants_person(score, control.person_threshold):
            for label in control.labels:
                inside += _bone_regions(drawing, person, control, label, ids)
    if drawing.picture.requested is not None and not inside:
        return []
    regions = [*boxes, *inside]
    taken: set[str] = set()
    for region in regions:
        region["id"] = _free_id(ids.named(region["id"]), taken)
    _nest(regions, joins, {"text": [note], "uncertainty": _uncertainty(drawing, person)})
    frame = drawing.picture.frame
    if image.note is not None and frame is not None:
        # A second result of the same region: the region panel shows its text.
        said: NoteValue = {"text": [f"frame {frame + 1}, {note}"]}
        for region in [region for region in regions if "meta" in region]:
            beside = _region(drawing, "textarea", image.note, region["id"], score=region["score"], value=said)
            regions.append(beside)
    return regions


def _nest(regions: Sequence[Region], joins: Joins | None, meta: RegionMeta) -> None:
    """Nest a person's regions under one of them, and add the person's meta to it, or else to all regions."""
    handle = joins.handle if joins is not None else _handle_among(regions)
    for region in regions:
        if handle is not None and region["id"] != handle:
            region["parentID"] = handle
        else:
            region["meta"] = meta


def _handle_among(regions: Sequence[Region]) -> str | None:
    """Return the id of the region for nesting a person's others: the box, or the bones of the body."""
    boxes = [region["id"] for region in regions if region["type"] == "rectanglelabels"]
    bones = (region["id"] for region in regions if region["type"] == "vectorlabels")
    bodies = [name for name in bones if _BODY_BONES.search(name)]
    return next(iter(boxes + bodies), None)


def _region(  # noqa: PLR0913 - the parts of a region
    drawing: _Drawing, kind: RegionType, control: str, name: str, *, score: float, value: RegionValue
) -> Region:
    """Return a region. Its id is a name that is made unique later."""
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
    """Return the uncertainty of the requested keypoints; that of the person if only boxes are requested."""
    image, thresholds = drawing.picture.image, drawing.thresholds
    requested: dict[int, float] = {}
    for control in image.keypoints:
        for label in control.labels:
            if drawing.wants(label.index):
                threshold = _first(label.threshold, control.keypoint_threshold, thresholds.keypoint)
                requested.setdefault(label.index, threshold)
    for control in image.skeletons:
        for label in control.labels:
            threshold = _first(label.threshold, control.keypoint_threshold, thresholds.keypoint)
            for index in keypoints_of(label.tree):
                if drawing.wants(index):
                    requested.setdefault(index, threshold)
    scored = [(float(person.scores[index]), threshold) for index, threshold in requested.items()]
    return round(uncertainty(scored or [(person.box_score, _box_threshold(image, thresholds))]), DECIMALS)


def _box_threshold(image: ImageControls, thresholds: Thresholds) -> float:
    """Return the threshold of a box: that of its tag, else the lowest of its person's keypoints and bones."""
    if image.box is not None and image.box.person_threshold is not None:
        return image.box.person_threshold
    controls = (*image.keypoints, *image.skeletons)
    return min(
        (_first(control.person_threshold, thresholds.person) for control in controls),
        default=thresholds.person,
    )


def _keypoint_region(
    drawing: _Drawing,
    person: Person,
    control: KeypointControl,
    label: KeypointLabel,
    widths: Mapping[Part, float],
) -> Region | None:
    """Return the region of a keypoint, or None if it is not sent."""
    keypoint = KEYPOINTS[label.index]
    threshold = drawing.threshold(label.threshold, control.keypoint_threshold)
    position = _position(drawing, person, label.index, threshold)
    if position is None or not drawing.wants(label.index):
        return None
    x, y, score = position
    value: KeypointValue = {
        "x": x,
        "y": y,
        "width": widths[Part.FACE if label.index in _ON_THE_FACE else keypoint.part],
        "keypointlabels": [label.label],
    }
    return _region(drawing, "keypointlabels", control.name, keypoint.name, score=score, value=value)


def _position(
    drawing: _Drawing, person: Person, index: int, threshold: float
) -> tuple[float, float, float] | None:
    """Return x and y of a keypoint in percent, and its score; None if it is not sent."""
    score = _unit(person.scores.item(index))
    if not score or score < threshold:
        return None
    x, y = person.keypoints.item(index, 0), person.keypoints.item(index, 1)
    width, height = drawing.picture.size
    if not (0 <= x <= width and 0 <= y <= height):  # false for NaN as well
        return None
    return percent(x, width), percent(y, height), score


def _bone_regions(
    drawing: _Drawing, person: Person, control: SkeletonControl, label: SkeletonLabel, ids: _Ids
) -> list[Region]:
    """Return the lines of a part of the skeleton.

    Label Studio's editor connects every vertex without a parent, except the first, to the one before it. So
    disconnected lines must be separate regions.
    """
    threshold = drawing.threshold(label.threshold, control.keypoint_threshold)
    positions = {
        index: position
        for index in _ends_of_wanted_bones(drawing, label.tree)
        if (position := _position(drawing, person, index, threshold)) is not None
    }
    # A joint that only connects an added part keeps its id, so a joint that was moved still counts as moved.
    names = {
        index: (ids if drawing.wants(index) else _Ids(ids.person)).named(KEYPOINTS[index].name)
        for index in positions
    }
    regions: list[Region] = []
    for line in (line for line in LINES if line.tree is label.tree):
        for tree in grown(line, positions):
            value: BonesValue = {
                "closed": False,
                "vertices": [_vertex(vertex, positions[vertex.index], names) for vertex in tree],
                "vectorlabels": [label.label],
            }
            score = round(sum(positions[vertex.index][2] for vertex in tree) / len(tree), DECIMALS)
            name = f"bones-{line.name}"
            regions.append(_region(drawing, "vectorlabels", control.name, name, score=score, value=value))
    return regions


def _ends_of_wanted_bones(drawing: _Drawing, tree: Tree) -> Collection[int]:
    """Return the ends of requested bones. A bone belongs to the part of its outer end: feet begin at the ankles."""
    if drawing.picture.requested is None:
        return keypoints_of(tree)
    bones = (bone for line in LINES if line.tree is tree for bone in line.bones)
    return {index for bone in bones if drawing.wants(max(bone)) for index in bone}


def _vertex(vertex: Vertex, position: tuple[float, float, float], names: Mapping[int, str]) -> VertexValue:
    x, y, _ = position
    parent = None if vertex.parent is None else names[vertex.parent]
    return {"id": names[vertex.index], "x": x, "y": y, "isBezier": False, "prevPointId": parent}


def _point_widths(control: KeypointControl, person: Person, picture_width: int) -> dict[Part, float]:
    """Return the width of a person's points in percent of the picture's width, for each part."""
    if control.point_size is not None:
        wanted = min(max(percent(control.point_size, picture_width), 10**-DECIMALS), 100.0)
        return dict.fromkeys(Part, wanted)
    x1, y1, x2, y2 = (float(edge) for edge in person.box)
    diagonal = math.hypot(x2 - x1, y2 - y1)
    return {
        part: round(min(max(100 * (share * diagonal / picture_width), _NARROWEST), _WIDEST), DECIMALS)
        for part, share in _POINT_WIDTHS.items()
    }


def _free_id(wanted: str, taken: set[str]) -> str:
    """Return an unused id: the same keypoint may have labels in several tags."""
    free, number = wanted, 2
    while free in taken:
        free, number = f"{wanted}-{number}", number + 1
    taken.add(free)
    return free


def _unit(score: float) -> float | None:
    """Clamp a score to 0..1 (SimCC scores may exceed 1 slightly); None for NaN."""
    if math.isnan(score):
        return None
    return round(min(max(score, 0.0), 1.0), DECIMALS)


def _first(*numbers: float | None) -> float:
    """Return the first number that is set; the last one always is."""
    # Called for every keypoint of every person: a generator would take three times as long.
    for number in numbers:
        if number is not None:
            return number
    raise AssertionError("the last number is always set")
