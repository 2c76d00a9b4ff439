"""What an annotator changed in a prediction: keypoint by keypoint, and whether in its boxes.

Observed with Label Studio 1.23.2: a region that is accepted from a prediction keeps its id, whether it is moved or
not; one that is drawn anew gets another. Key frames of a clip that are not touched come back as they were predicted.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from adapters.label_studio.annotated_tasks import AnnotatedTask, Work
from adapters.label_studio.box_changes import boxes_changed, read_boxes
from adapters.label_studio.drawn_regions import (
    DrawnRegion,
    predicted_point,
    read_region,
    with_bones_as_points,
)
from wholebody.schema import KEYPOINTS, Part

UNMOVED = 1e-4
"""Largest distance, in diagonals of the person's box, that is none: editors round positions."""

REMOVED = 1.0
"""What a removed keypoint counts as, in the same unit."""


class Outcome(StrEnum):
    """What came of an annotation.

    `ACCEPTED`: every keypoint and box is where it was predicted. `CORRECTED`: some were moved, removed or added.
    `SKIPPED`: the annotator skipped the task. `NOT_PREDICTED`: it was not made from a prediction of the present model
    version. `GONE`: the annotation is not there (any more). `OLD`: it was not changed just now, so the webhook is not
    Label Studio's. `FAILED`: Label Studio could not be asked. `DROPPED`: too many annotations came at once.
    """

    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    SKIPPED = "skipped"
    NOT_PREDICTED = "not_predicted"
    GONE = "gone"
    OLD = "old"
    FAILED = "failed"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Comparison:
    """An annotation beside its prediction.

    Attributes:
        outcome: What came of it.
        distances: Part and distance of every predicted keypoint, in diagonals of the person's box: 0 or almost where it
            was left alone, `REMOVED` where it was removed.
    """

    outcome: Outcome
    distances: tuple[tuple[Part, float], ...] = ()


def compare(task: AnnotatedTask, annotation: Work, model_version: str) -> Comparison:
    """Compare an annotation of a task with the prediction that it was made from.

    Args:
        task: The task, its predictions in full.
        annotation: The annotation.
        model_version: Predictions of other versions, and of other models, are none of ours.
    """
    if annotation.was_cancelled:
        return Comparison(Outcome.SKIPPED)
    prediction = _prediction(task, annotation, model_version)
    if prediction is None:
        return Comparison(Outcome.NOT_PREDICTED)
    kept = {region.id: region for region in _regions(annotation.result)}
    predicted = _regions(prediction.result)
    boxes, boxes_now = read_boxes(prediction.result), read_boxes(annotation.result)
    ids = {region.id for region in predicted} | boxes.keys()
    if annotation.parent_prediction is None and not ids & (kept.keys() | boxes_now.keys()):
        return Comparison(Outcome.NOT_PREDICTED)  # made by hand, from nothing
    diagonals = _diagonals(predicted)
    distances: list[tuple[Part, float]] = []
    for region in predicted:
        person, index = predicted_point(region.id)
        if region.type != "keypointlabels" or person is None or index is None:
            continue
        now = kept.get(region.id)
        moved = REMOVED if now is None else _pixels_between(region, now) / diagonals[person]
        distances.append((KEYPOINTS[index].part, moved))
    added = any(region.type == "keypointlabels" and region.id not in ids for region in kept.values())
    changed = (
        added
        or any(distance > UNMOVED for _, distance in distances)
        or not _vertices(annotation.result) <= _vertices(prediction.result)
        or boxes_changed(boxes, boxes_now)
    )
    return Comparison(Outcome.CORRECTED if changed else Outcome.ACCEPTED, tuple(distances))


def _prediction(task: AnnotatedTask, annotation: Work, model_version: str) -> Work | None:
    ours = [one for one in task.predictions if isinstance(one, Work) and one.model_version == model_version]
    if annotation.parent_prediction is not None:
        return next((one for one in ours if one.id == annotation.parent_prediction), None)
    return max(ours, key=lambda one: (one.created_at, one.id), default=None)


def _regions(result: Sequence[object]) -> list[DrawnRegion]:
    read = (read_region(item, lambda _: None) for item in result)
    drawn = [region for region in read if region is not None and region.original_width is not None]
    return with_bones_as_points(drawn, lambda _: None)


def _vertices(result: Sequence[object]) -> set[str]:
    """The ids of all vertices of bones; those that were drawn by hand say nothing of a keypoint."""
    read = (read_region(item, lambda _: None) for item in result)
    return {vertex.id for region in read if region is not None for vertex in region.value.vertices}


def _pixels(region: DrawnRegion) -> tuple[float, float, float, float]:
    """Left, top, width and height in pixels."""
    assert region.original_width is not None
    assert region.original_height is not None
    across, down = region.original_width / 100, region.original_height / 100
    value = region.value
    return value.x * across, value.y * down, value.width * across, value.height * down


def _pixels_between(region: DrawnRegion, other: DrawnRegion) -> float:
    (x, y, *_), (other_x, other_y, *_) = _pixels(region), _pixels(other)
    return math.hypot(x - other_x, y - other_y)


def _diagonals(predicted: Iterable[DrawnRegion]) -> dict[str, float]:
    """By person: the diagonal of their box, or of their points where the project wants no boxes, in pixels."""
    boxes: dict[str, float] = {}
    points: dict[str, list[tuple[float, float]]] = {}
    for region in predicted:
        x, y, width, height = _pixels(region)
        if region.type == "rectanglelabels":
            boxes[region.id.removesuffix("-box")] = math.hypot(width, height)
        elif region.type == "keypointlabels" and (person := predicted_point(region.id)[0]) is not None:
            points.setdefault(person, []).append((x, y))
    return {person: max(boxes.get(person) or _spread(places), 1.0) for person, places in points.items()}


def _spread(places: Sequence[tuple[float, float]]) -> float:
    across, down = zip(*places, strict=True)
    return math.hypot(max(across) - min(across), max(down) - min(down))
