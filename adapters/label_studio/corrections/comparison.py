"""What an annotator changed in a prediction: keypoint by keypoint, and whether in its boxes.

Both are read as for export, so that what counts as corrected is what is exported as corrected.

Observed with Label Studio 1.23.2: a region that is accepted from a prediction keeps its id, whether it is moved or
not; one that is drawn anew gets another. Key frames of a clip that are not touched come back as they were predicted.
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
"""Largest distance, in diagonals of the person's box, that is none: editors round positions."""

REMOVED = 1.0
"""What a removed keypoint counts as, in the same unit."""


class Outcome(StrEnum):
    """What came of an annotation.

    `ACCEPTED`: every keypoint and box is where it was predicted. `CORRECTED`: some were moved, removed, added,
    relabelled or marked as occluded.
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
        distances: Part and distance of every predicted keypoint, from where it was predicted to where the annotation
            has this keypoint of this person, in diagonals of the person's box: 0 or almost where it was left alone,
            `REMOVED` where the annotation does not have it.
    """

    outcome: Outcome
    distances: tuple[tuple[Part, float], ...] = ()


def compare(task: AnnotatedTask, annotation: Work, model_version: str, meanings: LabelMeanings) -> Comparison:
    """Compare an annotation of a task with the prediction that it was made from.

    Args:
        task: The task, its predictions in full.
        annotation: The annotation.
        model_version: Predictions of other versions, and of other models, are none of ours.
        meanings: What the labels of the project stand for.
    """
    if annotation.was_cancelled:
        return Comparison(Outcome.SKIPPED)
    prediction = task.prediction_of(annotation, model_version)
    if prediction is None:
        return Comparison(Outcome.NOT_PREDICTED)
    (ids, vertices), (ids_now, vertices_now) = _ids(prediction.result), _ids(annotation.result)
    if annotation.parent_prediction is None and not (ids | vertices) & (ids_now | vertices_now):
        return Comparison(Outcome.NOT_PREDICTED)  # made by hand, from nothing
    predicted = _people(read_people(prediction.result, meanings, _ignore))
    people = _people(read_people(annotation.result, meanings, _ignore, prediction.result))
    distances = tuple(
        distance for name, person in predicted.items() for distance in _distances(person, people.get(name))
    )
    changed = (
        any(distance > UNMOVED for _, distance in distances)
        or any(_added_to(predicted.get(name), person) for name, person in people.items())
        or not vertices_now <= vertices  # drawn by hand: they say nothing of a keypoint
        or boxes_changed(read_boxes(prediction.result), read_boxes(annotation.result))
    )
    return Comparison(Outcome.CORRECTED if changed else Outcome.ACCEPTED, distances)


def _ignore(_: str) -> None:
    """What is left out of an annotation is said where it is exported."""


def _ids(result: Sequence[object]) -> tuple[set[str], set[str]]:
    """Return the ids of all regions, and of all vertices, that can be read."""
    regions = [region for item in result if (region := read_region(item, _ignore)) is not None]
    return {region.id for region in regions}, {
        vertex.id for region in regions for vertex in region.value.vertices
    }


def _people(pictures: Sequence[AnnotatedPicture]) -> dict[tuple[str, int | None, str], AnnotatedPerson]:
    """Return people by what tells them apart: Image tag, frame, and name."""
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
    """Tell whether a person was added, or anything to them: a keypoint, or that one is occluded."""
    if predicted is None:
        return True
    return bool(((now.visibility != UNSEEN) & (now.visibility != predicted.visibility)).any())
