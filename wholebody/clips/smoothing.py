"""A zero-phase filter whose width follows each keypoint's noise, score and motion.

Each position becomes the value of a straight line fitted to the frames around it (local linear regression). The widest
window is taken whose result agrees with those of all narrower ones within the noise: the intersection of confidence
intervals (Goldenshluger and Nemirovski, 1997; Katkovnik, 1999). So still points are averaged over many frames, and at a
turning point or a fast moment nothing is added to the network's error.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wholebody.clips.trajectories import Floats, Trajectories, differences
from wholebody.schema import FACE_START, PART_RANGES, Part

WINDOWS = (2, 3, 5, 8)
"""Half widths of the windows, in frames: the first frame on each side that no longer counts."""
WIDEST_S = 0.35
"""Largest half width: slower clips get narrower windows."""
STILL_CONFIDENCE, FAST_CONFIDENCE = 1.9, 0.7
"""Standard deviations that two windows may differ, for still and for fast points."""
STILL_SPEED, FAST_SPEED = 3.0, 8.0
"""Standard deviations of the noise that these move per frame, at most within `_MOMENT` frames: a fast hand stands still
where it turns."""
_MOMENT = 3
NOISE_OVER_S = 1.0
"""The noise is estimated in this time before and after a frame."""
_QUIET = 0.35  # quantile of the third differences: motion adds to the others
_NOISE_PER_QUIET = 1 / 2.45  # of white noise: from that quantile to a standard deviation
_LEAST_NOISE = 1e-4  # of the person's box diagonal
_LEAST_PIXELS = 1e-3
_SURE = 0.05  # lowest weight of a score

_GROUPS = (*((i,) for i in range(FACE_START)), *(tuple(PART_RANGES[part]) for part in
           (Part.FACE, Part.LEFT_HAND, Part.RIGHT_HAND)), (133, 134))  # fmt: skip
"""Points with a common noise: one network finds them together."""


def smoothed(found: Trajectories) -> Trajectories:
    """Return the trajectories with the positions of all seen points filtered."""
    if len(found.times) < 3:
        return found
    weights = np.where(found.seen, np.clip(found.scores, _SURE, 1), 0)
    noise = _noise(found) / np.sqrt(np.where(weights > 0, weights, 1))
    points = np.where(found.seen[..., None], found.points, 0.0)
    best = points.copy()
    agreed = found.seen.copy()
    confidence = _confidence(points, found.seen, noise)
    narrower: list[tuple[Floats, Floats]] = [(points, noise)]
    frame_s = _frame_s(found.times)
    for width in WINDOWS:
        fitted, factor, whole = _fitted(found.times, points, weights, width, width * frame_s)
        deviation = factor * noise
        for other, other_deviation in narrower:
            apart = np.linalg.norm(fitted - other, axis=2)
            agreed &= apart <= confidence * (deviation + other_deviation)
        agreed &= whole & (width * frame_s <= WIDEST_S)[:, None]
        best = np.where(agreed[..., None], fitted, best)
        narrower.append((fitted, deviation))
    return replace(found, points=np.where(found.seen[..., None], best, found.points))


def _confidence(points: Floats, seen: NDArray[np.bool_], noise: Floats) -> Floats:
    speed = np.zeros(noise.shape)
    speed[1:-1] = np.linalg.norm(points[2:] - points[:-2], axis=2) / 2
    speed[1:-1] *= seen[2:] & seen[:-2]
    fastest = speed.copy()
    for offset in range(1, _MOMENT + 1):
        for here, there in (_pair(len(points), offset), _pair(len(points), -offset)):
            fastest[here] = np.maximum(fastest[here], speed[there])
    share = np.clip((fastest / noise - STILL_SPEED) / (FAST_SPEED - STILL_SPEED), 0, 1)
    return STILL_CONFIDENCE + share * (FAST_CONFIDENCE - STILL_CONFIDENCE)


def _frame_s(times: Floats) -> Floats:
    """Return how long the frames around each frame last on average, in seconds."""
    number = np.arange(len(times))
    first, last = np.maximum(number - WINDOWS[-1], 0), np.minimum(number + WINDOWS[-1], len(times) - 1)
    return (times[last] - times[first]) / (last - first)


def _noise(found: Trajectories) -> Floats:
    """Return the standard deviation of each point's position on one axis, in pixels, shape (frames, points)."""
    third = np.abs(differences(np.where(found.seen[..., None], found.points, np.nan), 3)).mean(axis=2)
    third[:-1] = np.fmin(third[:-1], third[1:])
    reach = found.times[:, None] - found.times[None]
    near = np.abs(reach) <= NOISE_OVER_S
    noise = np.full(found.scores.shape, np.nan)
    for group in _GROUPS:
        together = _median_known(third[:, list(group)])
        quiet = _quantile(np.where(near & np.isfinite(together)[None], together[None], np.inf), _QUIET)
        noise[:, list(group)] = (quiet * _NOISE_PER_QUIET)[:, None]
    return np.fmax(noise, np.fmax(_LEAST_NOISE * found.sizes, _LEAST_PIXELS)[:, None])


def _median_known(values: Floats) -> Floats:
    known = np.isfinite(values)
    ordered = np.sort(np.where(known, values, np.inf), axis=1)
    middle = np.maximum(known.sum(axis=1) - 1, 0) // 2
    return np.where(known.any(axis=1), ordered[np.arange(len(values)), middle], np.nan)


def _quantile(values: Floats, share: float) -> Floats:
    """Return a quantile of each row's finite values; 0 of none."""
    known = np.isfinite(values).sum(axis=1)
    ordered = np.sort(values, axis=1)
    place: NDArray[np.intp] = np.rint(share * np.maximum(known - 1, 0)).astype(np.intp)
    return np.where(known > 0, ordered[np.arange(len(values)), place], 0)


def _fitted(
    times: Floats, points: Floats, weights: Floats, width: int, width_s: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Fit straight lines in windows of a half width.

    Returns:
        The lines' values in the middle of the windows, their standard deviations in those of a single point, and
        whether there are points on both sides.
    """
    count = len(times)
    shape = weights.shape
    sums = np.zeros(
        (5, *shape)
    )  # of w, w d, w d², w x, w d x with the distance d in time; x for both axes below
    moments = np.zeros((2, *shape, 2))
    squares = np.zeros((3, *shape))
    sides = np.zeros((2, *shape), np.bool_)
    for offset in range(-width + 1, width):
        here, there = _pair(count, offset)
        distance = ((times[there] - times[here]) / width_s[here])[:, None]
        weight = weights[there] * np.clip(1 - distance**2, 0, None)
        for power in range(3):
            sums[power, here] += weight * distance**power
            squares[power, here] += weight**2 * distance**power / np.clip(weights[there], _SURE, 1)
        moments[0, here] += weight[..., None] * points[there]
        moments[1, here] += (weight * distance)[..., None] * points[there]
        if offset:
            sides[int(offset > 0), here] |= weight > 0
    determinant = sums[0] * sums[2] - sums[1] ** 2
    whole = sides.all(axis=0) & (determinant > 1e-9)
    divisor = np.where(whole, determinant, 1)
    fitted = (sums[2][..., None] * moments[0] - sums[1][..., None] * moments[1]) / divisor[..., None]
    variance = (
        sums[2] ** 2 * squares[0] - 2 * sums[1] * sums[2] * squares[1] + sums[1] ** 2 * squares[2]
    ) / divisor**2
    return fitted, np.sqrt(np.maximum(variance, 0) * weights), whole


def _pair(count: int, offset: int) -> tuple[slice, slice]:
    """Return the frames that have a neighbour at an offset, and those neighbours."""
    if offset < 0:
        return slice(-offset, count), slice(0, count + offset)
    return slice(0, count - offset), slice(offset, count)
