"""The keypoints of one person over time."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wholebody.person import Person
from wholebody.posed_clip import KeypointState
from wholebody.schema import KEYPOINT_COUNT

Floats = NDArray[np.float64]

BOX_CORNERS = slice(KEYPOINT_COUNT, KEYPOINT_COUNT + 2)
"""The box's corners are two more points, so they are steadied and interpolated like keypoints."""
POINT_COUNT = KEYPOINT_COUNT + 2


@dataclass(frozen=True)
class Trajectories:
    """Keypoints and box of one person in consecutive frames.

    Attributes:
        times: Of the frames in seconds, rising, shape (frames,).
        points: x, y in pixels, shape (frames, 135, 2); NaN where a point is missing.
        scores: Shape (frames, 135); 0 where a point is missing.
        states: `KeypointState` of each point, shape (frames, 135), uint8.
        box_scores: Confidence of the detector, shape (frames,).
    """

    times: Floats
    points: Floats
    scores: Floats
    states: NDArray[np.uint8]
    box_scores: Floats

    @classmethod
    def of(cls, times: Floats, people: list[Person | None]) -> "Trajectories":
        """Return the trajectories of a person as found in each frame; None where nobody was found."""
        points = np.full((len(times), POINT_COUNT, 2), np.nan)
        scores = np.zeros((len(times), POINT_COUNT))
        box_scores = np.zeros(len(times))
        for frame, person in enumerate(people):
            if person is not None:
                points[frame, :KEYPOINT_COUNT], scores[frame, :KEYPOINT_COUNT] = (
                    person.keypoints,
                    person.scores,
                )
                points[frame, BOX_CORNERS], scores[frame, BOX_CORNERS] = person.box.reshape(2, 2), 1
                box_scores[frame] = person.box_score
        scores = np.where(np.isfinite(points).all(axis=2) & (scores > 0), scores, 0)
        states = np.where(scores > 0, KeypointState.SEEN, KeypointState.MISSING).astype(np.uint8)
        return cls(times, points, scores, states, box_scores).without(scores <= 0)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Whether each point was found, shape (frames, 135)."""
        return self.states == KeypointState.SEEN

    @property
    def sizes(self) -> Floats:
        """Diagonal of the person's box in pixels, shape (frames,); NaN where the person is missing."""
        corners = self.points[:, BOX_CORNERS]
        return np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)

    def without(self, points: NDArray[np.bool_]) -> "Trajectories":
        """Return them with some points missing, shape (frames, 135)."""
        return replace(
            self,
            points=np.where(points[..., None], np.nan, self.points),
            scores=np.where(points, 0, self.scores),
            states=np.where(points, np.uint8(KeypointState.MISSING), self.states),
        )

    def person(self, frame: int) -> Person | None:
        """Return the person in a frame; None if it has no box there."""
        corners = self.points[frame, BOX_CORNERS]
        if not np.isfinite(corners).all():
            return None
        points = self.points[frame, :KEYPOINT_COUNT]
        return Person(
            corners.reshape(4).astype(np.float32),
            float(self.box_scores[frame]),
            np.nan_to_num(points).astype(np.float32),
            self.scores[frame, :KEYPOINT_COUNT].astype(np.float32),
        )


def differences(points: Floats, order: int) -> Floats:
    """Return differences of an order between consecutive frames, over the last frame; NaN at the beginning."""
    found = np.full_like(points, np.nan)
    if len(points) > order:
        found[order:] = np.diff(points, order, axis=0)
    return found
