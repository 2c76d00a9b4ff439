"""The uncertainty of a person, for review order; it differs from confidence."""

import math
from collections.abc import Sequence


def uncertainty(scored: Sequence[tuple[float, float]]) -> float:
    """Return how close scores are to their thresholds.

    Confidence covers only what is sent. Uncertainty also covers the rest: a keypoint just below its threshold is as
    doubtful as one just above, while one with score 0 is certainly absent.

    Args:
        scored: Score and threshold, each 0 to 1, of every candidate; scores outside are clamped.

    Returns:
        The mean of 1 at the threshold, falling to 0 at a score of 0 below it and of 1 above it. 0 for nothing.
    """
    return sum(_doubt(min(max(score, 0.0), 1.0), threshold) for score, threshold in scored) / max(
        len(scored), 1
    )


def _doubt(score: float, threshold: float) -> float:
    if math.isnan(score):  # nothing was seen
        return 0.0
    if score < threshold:
        return score / threshold
    return (1 - score) / (1 - threshold) if threshold < 1 else 1.0
