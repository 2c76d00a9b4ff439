"""From a picture to its people: detector, then pose estimator."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wholebody.detection import PersonDetector
from wholebody.estimation import PartFound, PoseEstimator
from wholebody.geometry import Picture
from wholebody.person import Person
from wholebody.schema import Part
from wholebody.stages import stage

PIPELINE_VERSION = 1
"""Part of every model version: raise it when the same weights can give other keypoints than before."""


async def find_people(
    picture: Picture,
    detector: PersonDetector,
    estimator: PoseEstimator,
    boxes: NDArray[np.float32] | None = None,
) -> list[Person]:
    """Find the people in a picture and their keypoints.

    Args:
        picture: H×W×3 uint8, BGR, upright.
        detector: Finds the people's boxes; not asked when `boxes` are given.
        estimator: Finds the keypoints in the boxes.
        boxes: Boxes that somebody drew: x1, y1, x2, y2 in pixels, shape (n, 4).

    Returns:
        The people, those that the detector is surest of first. Boxes without an area are left out.
    """
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
    return [
        Person(box, float(box_score), keypoints, scores)
        for box, box_score, keypoints, scores in zip(
            boxes, box_scores, estimate.keypoints, estimate.scores, strict=True
        )
    ]


@dataclass(frozen=True)
class Finder:
    """A detector and a pose estimator as one: finds people, and single parts of them.

    Attributes:
        detector: Finds the people's boxes.
        estimator: Finds the keypoints.
    """

    detector: PersonDetector
    estimator: PoseEstimator

    async def __call__(self, picture: Picture, boxes: NDArray[np.float32] | None) -> list[Person]:
        """See `find_people`."""
        return await find_people(picture, self.detector, self.estimator, boxes)

    async def part_at(
        self,
        picture: Picture,
        person: Person | None,
        part: Part,
        point: tuple[float, float],
        reach: float | None,
    ) -> PartFound | None:
        """See `PoseEstimator.part_at`."""
        return await self.estimator.part_at(picture, person, part, point, reach)
