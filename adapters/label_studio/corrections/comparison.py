"""Compares an annotation with its prediction: keypoint by keypoint, and whether boxes changed.

Both are read as for export, so counted corrections equal exported ones.

Observed with Label Studio 1.23.2: a region accepted from a prediction keeps its id, moved or not; a newly drawn one
gets another. Untouched key frames of a clip are returned as predicted.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from adapters.label_studio.annotations.people import UNSEEN, AnnotatedPerson, AnnotatedPicture, read_people
from adapters.label_studio.annotations.regions import read_region
from adapters.label_studio.annotations.tasks import AnnotatedTask, Work
from adapters.label_studio.corrections.box_changes import boxes_changed, read_boxes
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from wholebody.schema import KEYPOINTS, Part

UNMOVED = 1e-4
"""Largest distance that counts as unmoved, in diagonals of the person's box: editors round positions."""

REMOVED = 1.0
"""Distance of a removed keypoint, in the same unit."""


class Outcome(StrEnum):
    """The outcome of a comparison.

    `ACCEPTED`: all keypoints and boxes are as predicted. `CORRECTED`: some were moved, removed, added, relabelled or
    marked as occluded.
    `SKIPPED`: the annotator skipped the task. `NOT_PREDICTED`: it was not made from a prediction of the current model
    version. `GONE`: the annotation does not exist (any more). `OLD`: it was not changed recently, so the webhook is not
    from Label Studio. `FAILED`: the request to Label Studio failed. `DROPPED`: too many annotations at once.
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
    """The comparison of an annotation with its prediction.

    Attributes:
        outcome: The outcome.
        distances: Part and distance of every predicted keypoint: from its predicted position to the annotated one of
            the same person and keypoint, in diagonals of the person's box. About 0 if unchanged, `REMOVED` if missing
            in the annotation.
    """

    outcome: Outcome
    distances: tuple[tuple[Part, float], ...] = ()


def compare(task: AnnotatedTask, annotation: Work, model_version: str, meanings: LabelMeanings) -> Comparison:
    """Compare an annotation of a task with the prediction that it was made from.

    Args:
        task: The task, its predictions in full.
        annotation: The annotation.
        model_version: Predictions of other versions and models are ignored.
        meanings: The meanings of the project's labels.
    """
    if annotation.was_cancelled:
        return Comparison(Outcome.SKIPPED)
    prediction = task.prediction_of(annotation, model_version)
    if prediction is None:
        return Comparison(Outcome.NOT_PREDICTED)
    (ids, vertices), (ids_now, vertices_now) = _ids(prediction.result), _ids(annotation.result)
    if annotation.parent_prediction is None and not (ids | vertices) & (ids_now | vertices_now):
        return Comparison(Outcome.NOT_PREDICTED)  # drawn without a prediction
    predicted = _people(read_people(prediction.result, meanings, _ignore))
    people = _people(read_people(annotation.result, meanings, _ignore, prediction.result))
    distances = tuple(
        distance for name, person in predicted.items() for distance in _distances(person, people.get(name))
    )
    changed = (
        any(distance > UNMOVED for _, distance in distances)
        or any(_added_to(predicted.get(name), person) for name, person in people.items())
        or not vertices_now <= vertices  # added by hand: their keypoint is unknown
        or boxes_changed(read_boxes(prediction.result), read_boxes(annotation.result))
    )
    return Comparison(Outcome.CORRECTED if changed else Outcome.ACCEPTED, distances)


def _ignore(_: str) -> None:
    """Drop warnings: the export shows them."""


def _ids(result: Sequence[object]) -> tuple[set[str], set[str]]:
    """Return the ids of all readable regions and vertices."""
    regions = [region for item in result if (region := read_region(item, _ignore)) is not None]
    return {region.id for region in regions}, {
        vertex.id for region in regions for vertex in region.value.vertices
    }


def _people(pictures: Sequence[AnnotatedPicture]) -> dict[tuple[str, int | None, str], AnnotatedPerson]:
    """Return people by Image tag, frame and name, which together are unique."""
    return {
        (picture.image, picture.frame, person.name): person
        for picture in pictures
        for person in picture.people
    }


def _distances(predicted: AnnotatedPerson, now: AnnotatedPerson | None) -> Iterator[tuple[Part, float]]:
    """Part and distance of each keypoint of a predicted person, in diagonals of their box."""
    diagonal = max(math.dist(predicted.box[:2], predicted.box[2:]), 1.0)
    for index in np.flatnonzero(predicted.visibility):
        distance = REMOVED
        if now is not None and now.visibility[index]:
            distance = math.dist(predicted.keypoints[index], now.keypoints[index]) / diagonal
        yield KEYPOINTS[index].part, distance


def _added_to(predicted: AnnotatedPerson | None, now: AnnotatedPerson) -> bool:
    """Return whether a person was added, or a keypoint or an occlusion mark to them."""
    if predicted is None:
        return True
    return bool(((now.visibility != UNSEEN) & (now.visibility != predicted.visibility)).any())
