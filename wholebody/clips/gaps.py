"""Interpolates keypoints and boxes across short gaps, and marks them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wholebody.clips.trajectories import Floats, Trajectories
from wholebody.posed_clip import KeypointState

LONGEST_GAP_S = 0.3
"""Longest time from the last frame in which a point was seen to the next one, less one frame."""


def filled(found: Trajectories) -> Trajectories:
    """Return the trajectories with gaps of at most `LONGEST_GAP_S` filled on straight lines."""
    frames, points = found.scores.shape
    if frames < 3:
        return found
    number: NDArray[np.intp] = np.broadcast_to(np.arange(frames, dtype=np.intp)[:, None], (frames, points))
    before = np.maximum.accumulate(np.where(found.seen, number, -1), axis=0)
    after = np.minimum.accumulate(np.where(found.seen, number, frames)[::-1], axis=0)[::-1]
    inside = (before >= 0) & (after < frames) & ~found.seen
    before, after = np.maximum(before, 0), np.minimum(after, frames - 1)
    times = found.times
    # The gap itself: without the frame that is seen at its end.
    missing_s = times[after] - times[np.minimum(before + 1, frames - 1)]
    inside &= missing_s <= LONGEST_GAP_S + 1e-6
    span = np.where(inside, times[after] - times[before], 1)
    share = np.where(inside, (times[:, None] - times[before]) / span, 0)
    at: NDArray[np.intp] = np.arange(points, dtype=np.intp)[None]

    def between(values: Floats) -> Floats:
        part = share.reshape(share.shape + (1,) * (values.ndim - 2))
        return values[before, at] * (1 - part) + values[after, at] * part

    box_scores = found.box_scores
    corner = points - 1
    lost = inside[:, corner] & (box_scores <= 0)
    box_scores = np.where(
        lost, np.minimum(box_scores[before[:, corner]], box_scores[after[:, corner]]), box_scores
    )
    return replace(
        found,
        points=np.where(inside[..., None], between(found.points), found.points),
        scores=np.where(inside, between(found.scores), found.scores),
        states=np.where(inside, np.uint8(KeypointState.INTERPOLATED), found.states),
        box_scores=box_scores,
    )
