"""Finds keypoints that jump away for a few frames and come back.

The test is robust: a jump is compared with the fastest of the steps before and after it, so a fast hand is none. A
turning point is none either: it lies no farther from the straight line than the steps beside it allow.
"""

import numpy as np
from numpy.typing import NDArray

from wholebody.clips.trajectories import Floats, Trajectories

LONGEST_FRAMES = 3
LONGEST_S = 0.17
"""Longest time between the frames before and after, if several frames are out."""
FARTHEST_STEPS = 4.0
"""Distance from the line between the frames before and after, in the longest of the steps beside it."""
LEAST = 0.02
"""Least such distance, in diagonals of the person's box."""
_BESIDE = 3  # frames on each side whose steps count


def without_outliers(raw: Trajectories) -> Trajectories:
    """Return the trajectories without keypoints that jump away and back."""
    return raw.without(_outliers(raw.times, raw.points, raw.sizes))


def _outliers(times: Floats, points: Floats, sizes: Floats) -> NDArray[np.bool_]:
    found = np.zeros(points.shape[:2], np.bool_)
    count = len(times)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=2)  # from frame i to i + 1
    for frames in range(1, LONGEST_FRAMES + 1):
        first = np.arange(_BESIDE, count - frames - _BESIDE + 1)
        if not len(first):
            break
        before, after = first - 1, first + frames
        beside = [steps[before - i] for i in range(1, _BESIDE)] + [
            steps[after + i] for i in range(_BESIDE - 1)
        ]
        across = np.linalg.norm(points[after] - points[before], axis=2) / (frames + 1)
        # Steps to missing points are unknown; the known ones decide.
        fastest = np.fmax.reduce([*beside, across])
        away = np.full(fastest.shape, np.inf)
        for i in range(frames):
            share = ((times[first + i] - times[before]) / (times[after] - times[before]))[:, None, None]
            line = points[before] * (1 - share) + points[after] * share
            away = np.minimum(away, np.linalg.norm(points[first + i] - line, axis=2))
        short = (times[after] - times[before] <= LONGEST_S + 1e-6)[:, None] | (frames == 1)
        jumped = (
            short & (away > FARTHEST_STEPS * fastest) & (away > LEAST * sizes[first, None])
        )  # false for NaN
        for i in range(frames):
            found[first + i] |= jumped
    return found
