"""How uncertain we are of a person: what to look at first, apart from how confident we are."""

import math
from collections.abc import Sequence


def uncertainty(scored: Sequence[tuple[float, float]]) -> float:
    """Return how close scores lie to the thresholds that decide about them.

    Confidence says how good what is sent looks. Uncertainty also hears of what is not sent: a keypoint just below its
    threshold is as doubtful as one just above, while one with score 0 is surely not there.

    Args:
        scored: Score and threshold, each 0 to 1, of everything that was decided; scores beyond are clamped.

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
