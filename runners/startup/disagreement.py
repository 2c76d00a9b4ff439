"""How far the results of a network lie from those that are expected of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wholebody.detection import Detections
from wholebody.estimation import FaceDetections, FaceMesh, HandLandmarks

SURE = 0.5
"""Score from which on a result counts: of what is not there, networks may say anything."""


def disagreement(expected: Sequence[Any], found: Sequence[Any]) -> float:
    """Return the largest distance between results, as a share of the person's box or of the crop.

    Args:
        expected: What the reference says of some crops.
        found: What another one says of the same.

    Returns:
        The share; infinity where one sees what the other does not, or something that is no number.
    """
    apart = [_of_one(*pair) for pair in zip(expected, found, strict=True)]
    return max(apart, default=0.0)


def _of_one(expected: Any, found: Any) -> float:
    match expected, found:
        case Detections(), Detections():
            return _of_boxes(expected, found)
        case HandLandmarks(), HandLandmarks():
            return _of_points(
                expected.points, found.points, np.array([expected.score]), np.array([found.score])
            )
        case FaceMesh(), FaceMesh():
            return _of_points(
                expected.points, found.points, np.array([expected.score]), np.array([found.score])
            )
        case FaceDetections(), FaceDetections():
            if len(expected.points) != len(found.points):
                return np.inf
            return _of_points(expected.points, found.points, expected.scores[:, None], found.scores[:, None])
        case _:  # keypoints: x, y, score in pixels of the crop
            extent = float(np.ptp(expected[:, :2], axis=0).max()) or 1.0
            return _of_points(expected[:, :2] / extent, found[:, :2] / extent, expected[:, 2], found[:, 2])


def _of_boxes(expected: Detections, found: Detections) -> float:
    sure = expected.scores >= SURE
    if not sure.any():
        return 0.0
    if not len(found.boxes):
        return np.inf
    boxes = expected.boxes[sure]
    diagonals = np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=1)
    apart = np.abs(boxes[:, np.newaxis] - found.boxes[np.newaxis]).max(axis=2).min(axis=1)
    return _finite(float((apart / np.maximum(diagonals, 1)).max()))


def _of_points(
    expected: NDArray[np.floating],
    found: NDArray[np.floating],
    expected_scores: NDArray[np.floating],
    found_scores: NDArray[np.floating],
) -> float:
    sure = np.broadcast_to(expected_scores >= SURE, expected.shape[:-1])
    if not sure.any():
        return 0.0
    if not np.isfinite(found_scores).all():
        return np.inf
    return _finite(float(np.abs(expected - found).max(axis=-1)[sure].max()))


def _finite(share: float) -> float:
    return share if np.isfinite(share) else np.inf
