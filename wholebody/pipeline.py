"""Finds the people in a picture: detector, then pose estimator."""

import numpy as np
from numpy.typing import NDArray

from wholebody.clicks import JOINT_SCORE
from wholebody.detection import PersonDetector
from wholebody.estimation import PoseEstimator
from wholebody.geometry import Picture
from wholebody.person import Person
from wholebody.schema import FEET_START
from wholebody.stages import stage

PIPELINE_VERSION = 2
"""Part of every model version: increase it when the same weights can give other keypoints."""


async def find_people(
    picture: Picture,
    detector: PersonDetector,
    estimator: PoseEstimator,
    boxes: NDArray[np.float32] | None = None,
) -> list[Person]:
    """Find the people in a picture and their keypoints.

    Args:
        picture: H×W×3 uint8, BGR, upright.
        detector: Finds the people's boxes; not called if `boxes` are given.
        estimator: Finds the keypoints in the boxes.
        boxes: Drawn boxes: x1, y1, x2, y2 in pixels, shape (n, 4).

    Returns:
        The people by falling confidence of the detector. Boxes without an area are omitted. In a drawn box without a
        sure keypoint of a body, the hands that are found alone, each as a person.
    """
    drawn = boxes is not None
    if boxes is None:
        with stage("detect"):
            found = await detector.detect(picture)
        boxes, box_scores = found.boxes, found.scores
    else:
        box_scores = np.ones(len(boxes), np.float32)
    usable = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    boxes, box_scores = boxes[usable], box_scores[usable]
    if not len(boxes):
        return []
    estimate = await estimator.estimate(picture, boxes)
    people = [
        Person(box, float(box_score), keypoints, scores)
        for box, box_score, keypoints, scores in zip(
            boxes, box_scores, estimate.keypoints, estimate.scores, strict=True
        )
    ]
    if not drawn:
        return people
    return [one for person in people for one in await _person_or_hands(picture, estimator, person)]


async def _person_or_hands(picture: Picture, estimator: PoseEstimator, person: Person) -> list[Person]:
    """Return a person, or the hands in their box if the body network is unsure: it finds a body in every box."""
    if person.scores[:FEET_START].max() >= JOINT_SCORE:
        return [person]
    hands = await estimator.hands_alone(picture, person.box)
    return [Person.of_part(part, *found) for part, found in hands] or [person]
