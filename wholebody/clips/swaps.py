"""Repairs short exchanges of left and right.

Where limbs cross or touch, pose networks take the left for the right in some frames. A run of frames is exchanged if
both sides jump at its ends, and do not if exchanged. A long run stays: it may be what the person did.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wholebody.clips.trajectories import Floats, Trajectories
from wholebody.schema import KEYPOINTS, PART_RANGES, Part

LONGEST_S = 0.5
"""Longest run that is repaired."""
LEAST_SAVED = 0.12
"""Least length that the paths of both sides lose, in diagonals of the person's box."""
MOST_LEFT = 0.5
"""Largest path that remains at the run's ends, as a share of the raw one."""

# The keypoint that decides, and those that are exchanged with it; all on the left.
_LIMBS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (5, (5,)),  # shoulder
    (7, (7,)),  # elbow
    (9, (9, *PART_RANGES[Part.LEFT_HAND])),  # wrist
    (11, (11,)),  # hip
    (13, (13,)),  # knee
    (15, (15, 17, 18, 19)),  # ankle and foot
)


def unswapped(raw: Trajectories) -> Trajectories:
    """Return the trajectories with short exchanges of left and right repaired."""
    points, scores, states = raw.points.copy(), raw.scores.copy(), raw.states.copy()
    sizes = raw.sizes
    for leading, limb in _LIMBS:
        left = list(limb)
        right = [KEYPOINTS[index].twin for index in limb]
        for run in _swapped_runs(
            raw.times, raw.points[:, leading], raw.points[:, KEYPOINTS[leading].twin], sizes
        ):
            for values in (points, scores, states):
                values[run, left], values[run, right] = values[run, right], values[run, left].copy()
    return replace(raw, points=points, scores=scores, states=states)


def _swapped_runs(times: Floats, left: Floats, right: Floats, sizes: Floats) -> list[slice]:
    """Return the runs to exchange, none of which overlap; those that save most first."""
    candidates: list[tuple[float, int, int]] = []
    step = _length(left[1:] - left[:-1]) + _length(right[1:] - right[:-1])  # from frame i to i + 1
    crossed = _length(right[1:] - left[:-1]) + _length(left[1:] - right[:-1])
    saved = step - crossed
    for frames in range(1, len(times) - 1):
        first = np.arange(1, len(times) - frames)
        last = first + frames - 1
        short = times[last] - times[first] <= LONGEST_S
        if not short.any():
            break
        kept, gone = step[first - 1] + step[last], saved[first - 1] + saved[last]
        better = (
            short & (gone >= LEAST_SAVED * sizes[first]) & (kept - gone <= MOST_LEFT * kept)
        )  # false for NaN
        candidates += [(float(gone[i]), int(first[i]), int(last[i])) for i in np.flatnonzero(better)]
    candidates.sort(key=lambda run: (-run[0], run[1]))
    taken = np.zeros(len(times), np.bool_)
    runs: list[slice] = []
    for _, begin, end in candidates:
        # With its neighbours: their paths were counted.
        if not taken[begin - 1 : end + 2].any():
            taken[begin : end + 1] = True
            runs.append(slice(begin, end + 1))
    return runs


def _length(vectors: Floats) -> NDArray[np.float64]:
    return np.hypot(vectors[:, 0], vectors[:, 1])
