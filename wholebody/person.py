"""A person found in a picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wholebody.schema import KEYPOINT_COUNT, PART_RANGES, Part

_MARGIN = 0.1
"""Margin around a person's box within which a point still hits them, as a share of its sides."""


@dataclass(frozen=True)
class Person:
    """One person: box and keypoints.

    Attributes:
        box: Bounding box x1, y1, x2, y2 in pixels of the upright picture, shape (4,), float32. It may reach beyond
            the picture, as the detector gives it.
        box_score: Confidence of the detector, 0 to 1; 1.0 for a box that an annotator drew.
        keypoints: x, y in pixels of the upright picture in COCO-WholeBody order, shape (133, 2), float32.
        scores: Confidence of each keypoint, shape (133,), float32; 0 where a keypoint was not found. SimCC scores
            may exceed 1 slightly.
    """

    box: NDArray[np.float32]
    box_score: float
    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        assert self.box.shape == (4,)
        assert self.keypoints.shape == (KEYPOINT_COUNT, 2)
        assert self.scores.shape == (KEYPOINT_COUNT,)

    @classmethod
    def of_part(cls, part: Part, points: NDArray[np.float32], scores: NDArray[np.float32]) -> "Person":
        """Return a person of whom only a part is known; its points are pixels, shape (n, 2), its scores (n,)."""
        where = list(PART_RANGES[part])
        keypoints, all_scores = (
            np.zeros((KEYPOINT_COUNT, 2), np.float32),
            np.zeros(KEYPOINT_COUNT, np.float32),
        )
        keypoints[where], all_scores[where] = points, scores
        box = np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float32)
        return cls(box, 1.0, keypoints, all_scores)

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        x1, y1, x2, y2 = (float(edge) for edge in self.box)
        return (x2 - x1) * (y2 - y1)

    def is_pointed_at(self, x: float, y: float) -> bool:
        """Return whether the box, enlarged by a margin, contains a position in pixels."""
        x1, y1, x2, y2 = (float(edge) for edge in self.box)
        across, down = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
        return x1 - across <= x <= x2 + across and y1 - down <= y <= y2 + down
