"""Positions and scores of a posed person as files hold them."""

import numpy as np
from numpy.typing import NDArray

from wholebody.posed_clip import KeypointState, PosedPerson

LOWEST_SCORE = 0.001
"""Of a point that is there: file formats read a score of 0 as a missing point."""

_THERE = (KeypointState.SEEN, KeypointState.INTERPOLATED, KeypointState.CORRECTED)


def visible(posed: PosedPerson) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return x, y in pixels, shape (133, 2), and scores from `LOWEST_SCORE` to 1, shape (133,), float32.

    Both are 0 where a keypoint is missing or was removed.
    """
    person = posed.person
    there = np.isin(posed.states, _THERE) & np.isfinite(person.keypoints).all(axis=1)
    scores = np.where(there, np.clip(person.scores, LOWEST_SCORE, 1), 0).astype(np.float32)
    return np.where(there[:, None], person.keypoints, 0).astype(np.float32), scores
