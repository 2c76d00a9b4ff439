"""People of a file as a prediction of a task."""

from collections.abc import Sequence

import numpy as np

from adapters.coco.reading import CocoPerson
from adapters.files.importing.task_pictures import Posed
from adapters.label_studio.regions.predictions import PeopleInImage, Size, Thresholds, prediction
from adapters.label_studio.regions.region import Prediction
from wholebody.person import Person

_LEAST_SIDE = 1.0
"""Of a box in pixels: around a single point, there would be none."""


def task_prediction(
    posed: Sequence[tuple[Posed, Size]], *, model_version: str, keypoint_threshold: float
) -> Prediction:
    """Return the prediction of a task.

    Args:
        posed: Its pictures with their people, and their width and height in pixels.
        model_version: Of the prediction.
        keypoint_threshold: For keypoints, in label configs without their own.
    """
    found = [
        PeopleInImage(
            one.picture.image, [_person(person) for person in one.poses.people], size, one.picture.frame
        )
        for one, size in posed
    ]
    return prediction(found, model_version=model_version, thresholds=Thresholds(0.0, keypoint_threshold))


def _person(one: CocoPerson) -> Person:
    """Return a person; a flag of visibility (1 or 2) counts as a score of 1."""
    seen = one.visibility > 0
    box = one.edges
    if not (box[2:] > box[:2]).all() and seen.any():
        points = one.keypoints[seen]
        box = np.concatenate([points.min(axis=0), points.max(axis=0)])
        lacking = (_LEAST_SIDE - (box[2:] - box[:2])).clip(0) / 2
        box += np.concatenate([-lacking, lacking])
    return Person(
        box.astype(np.float32),
        float(np.clip(one.score, 0, 1)),
        one.keypoints.astype(np.float32),
        np.where(seen, one.visibility.clip(0, 1), 0).astype(np.float32),
    )
