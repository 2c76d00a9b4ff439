"""What annotators do to predicted regions, written as Label Studio stores it, for round trips to an export.

Every edit takes the regions of a result and returns new ones. `Form` is how a project draws people: as points, as
bones, or as both.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.label_studio.label_config.parsing import LabelConfig, parse_label_config
from adapters.label_studio.regions.predictions import PeopleInImage, Thresholds, prediction
from wholebody.bone_trees import Tree
from wholebody.person import Person
from wholebody.schema import KEYPOINTS, PART_RANGES, Part

SIZE = (1600, 900)
Regions = list[dict[str, Any]]

# x in widths and y in heights of the box, in COCO's order: body, then feet.
_BODY = (
    (0.50, 0.09), (0.53, 0.07), (0.47, 0.07), (0.57, 0.08), (0.43, 0.08), (0.66, 0.20), (0.34, 0.20), (0.78, 0.34),
    (0.22, 0.34), (0.86, 0.47), (0.14, 0.47), (0.60, 0.50), (0.40, 0.50), (0.61, 0.71), (0.39, 0.71), (0.62, 0.92),
    (0.38, 0.92), (0.66, 0.98), (0.69, 0.97), (0.61, 0.95), (0.34, 0.98), (0.31, 0.97), (0.39, 0.95),
)  # fmt: skip


class Form(StrEnum):
    """How people are drawn."""

    POINTS = "points"
    BONES = "bones"
    BOTH = "both"


def label_config(form: Form, *, boxes: bool = True, frames: bool = False) -> LabelConfig:
    """A label config with all keypoints in a form."""
    names = "".join(f'<Label value="{keypoint.name}"/>' for keypoint in KEYPOINTS)
    trees = "".join(f'<Label value="{tree}"/>' for tree in ("body", "left_hand", "right_hand", "face"))
    tags = [f'<Image name="image" {"valueList" if frames else "value"}="$image"/>']
    if boxes:
        tags.append('<RectangleLabels name="person" toName="image"><Label value="person"/></RectangleLabels>')
    if form is not Form.BONES:
        tags.append(f'<KeyPointLabels name="keypoints" toName="image">{names}</KeyPointLabels>')
    if form is not Form.POINTS:
        tags.append(f'<VectorLabels name="skeleton" toName="image" skeleton="true">{trees}</VectorLabels>')
    return parse_label_config(f"<View>{''.join(tags)}</View>")


def person(x: float = 200, y: float = 100, height: float = 700) -> Person:
    """Somebody who stands with all keypoints in sight, x and y the upper left corner of their box in pixels."""
    width = 0.55 * height
    places = np.array([*_BODY, *_face(0.5, 0.09), *_hand(0.86, 0.47, 1), *_hand(0.14, 0.47, -1)])
    keypoints = (np.array([x, y]) + places * np.array([width, height])).astype(np.float32)
    box = np.array([x, y, x + width, y + height], np.float32)
    return Person(box, 0.95, keypoints, np.full(len(KEYPOINTS), 0.9, np.float32))


def _face(x: float, y: float) -> list[tuple[float, float]]:
    return [(x + 0.01 * (number % 9 - 4), y + 0.008 * (number // 9 - 4)) for number in range(68)]


def _hand(x: float, y: float, side: int) -> list[tuple[float, float]]:
    fingers = [
        (x + side * 0.012 * (finger - 2), y + 0.012 + 0.01 * joint)
        for finger in range(5)
        for joint in range(1, 5)
    ]
    return [(x, y + 0.002), *fingers]


def without_keypoints(someone: Person, indices: Sequence[int]) -> Person:
    """The same person, of whom some keypoints were not found."""
    scores = someone.scores.copy()
    scores[list(indices)] = 0
    return replace(someone, scores=scores)


def predicted(
    people: Sequence[Person],
    form: Form,
    *,
    frame: int | None = None,
    id_prefix: str = "",
    only: Part | None = None,
    boxes: bool = True,
) -> Regions:
    """What is sent for people."""
    config = label_config(form, boxes=boxes, frames=frame is not None)
    asked = None if only is None else frozenset({only})
    found = [PeopleInImage(config.images[0], people, SIZE, frame, id_prefix, asked)]
    made = prediction(found, model_version="v", thresholds=Thresholds(0.3, 0.3))
    return copy.deepcopy(list(made["result"]))  # pyright: ignore[reportReturnType] - typed dicts


def moved(regions: Regions, name: str, x: float, y: float) -> Regions:
    """Drag a point or a vertex to x and y in percent."""

    def drag(region: dict[str, Any]) -> None:
        places = [vertex for vertex in region["value"].get("vertices", ()) if vertex["id"] == name]
        if region["id"] == name:
            places.append(region["value"])
        for place in places:
            place["x"], place["y"] = x, y

    return _each(regions, drag)


def without(regions: Regions, *names: str) -> Regions:
    """Delete regions; what was nested under them keeps its `parentID`."""
    return [copy.deepcopy(region) for region in regions if region["id"] not in names]


def region_of(regions: Regions, name: str) -> dict[str, Any]:
    """The region with an id that is no mark."""
    return next(region for region in regions if region["id"] == name and region["type"] != "choices")


def without_person(regions: Regions, who: str) -> Regions:
    """Delete everything of a person."""
    return [copy.deepcopy(region) for region in regions if not region["id"].startswith(f"{who}-")]


def of_part(regions: Regions, who: str, part: Part) -> list[str]:
    """Ids of the regions of somebody's part: of its points, and of bones in it."""
    names = {f"{who}-{KEYPOINTS[index].name}" for index in PART_RANGES[part]}
    return [
        region["id"]
        for region in regions
        if region["id"] in names
        or any(vertex["id"] in names for vertex in region["value"].get("vertices", ()))
    ]


def without_part(regions: Regions, who: str, part: Part) -> Regions:
    """Delete all points, and all bones, of a part."""
    return without(regions, *of_part(regions, who, part))


def relabelled(regions: Regions, name: str, label: str) -> Regions:
    """Give a point, or bones, another label; their ids, and those of vertices, stay."""

    def give(region: dict[str, Any]) -> None:
        if region["id"] == name:
            region["value"][region["type"]] = [label]

    return _each(regions, give)


def relabelled_hand(regions: Regions, who: str, part: Part) -> Regions:
    """Give a hand, point by point and bones by bones, the labels of the other hand."""
    twins = {
        f"{who}-{KEYPOINTS[index].name}": KEYPOINTS[KEYPOINTS[index].twin].name for index in PART_RANGES[part]
    }
    other = Tree.RIGHT_HAND if part is Part.LEFT_HAND else Tree.LEFT_HAND
    for name in of_part(regions, who, part):
        regions = relabelled(regions, name, twins.get(name, other))
    return regions


def swapped_hands(regions: Regions, who: str) -> Regions:
    """Relabel both hands."""
    return relabelled_hand(relabelled_hand(regions, who, Part.LEFT_HAND), who, Part.RIGHT_HAND)


def occluded(regions: Regions, *names: str) -> Regions:
    """Choose "occluded" for regions: the choice is a region with the same id."""
    marks = [
        {
            **{
                key: region[key]
                for key in ("id", "to_name", "original_width", "original_height", "image_rotation")
            },
            **({"item_index": region["item_index"]} if "item_index" in region else {}),
            "from_name": "visibility",
            "type": "choices",
            "value": {
                **{key: value for key, value in region["value"].items() if not key.endswith("labels")},
                "choices": ["occluded"],
            },
        }
        for region in regions
        if region["id"] in names
    ]
    return [*copy.deepcopy(regions), *copy.deepcopy(marks)]


def accepted(regions: Regions, suggestion: Regions, *, under: str | None = None) -> Regions:
    """Accept the answer to a smart tool; `under` names the box that it is nested under instead of its own."""
    added = copy.deepcopy(suggestion)
    if under is not None:
        added = [{**region, "parentID": under} for region in added if region["type"] != "rectanglelabels"]
    return [*copy.deepcopy(regions), *({**region, "origin": "manual"} for region in added)]


def drawn_by_hand(suggestion: Regions, *, under: str = "") -> Regions:
    """The same points drawn by hand: their ids say nothing, and nobody knows a score."""
    drawn = [
        {**region, "id": f"kT{number}x", "origin": "manual", "parentID": under}
        for number, region in enumerate(suggestion)
        if region["type"] == "keypointlabels"
    ]
    return [
        {key: value for key, value in region.items() if key != "score"} for region in copy.deepcopy(drawn)
    ]


def with_swapped_hands(someone: Person) -> Person:
    """The person whose left hand is where this one's right hand is, and the reverse."""
    twins = [keypoint.twin if "hand" in keypoint.part else keypoint.index for keypoint in KEYPOINTS]
    return replace(someone, keypoints=someone.keypoints[twins], scores=someone.scores[twins])


def percent(place: NDArray[np.float32]) -> tuple[float, float]:
    """x and y of a place in percent of the picture."""
    return 100 * float(place[0]) / SIZE[0], 100 * float(place[1]) / SIZE[1]


def _each(regions: Regions, edit: Callable[[dict[str, Any]], None]) -> Regions:
    edited = copy.deepcopy(regions)
    for region in edited:
        edit(region)
    return edited
