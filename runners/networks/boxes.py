"""Non-maximum suppression: groups of overlapping boxes."""

import numpy as np
from numpy.typing import NDArray

from wholebody.geometry import Points, overlaps


def overlapping_groups(
    boxes: Points, scores: NDArray[np.float32], overlap: float, most: int | None = None
) -> list[NDArray[np.intp]]:
    """Group overlapping boxes as ONNX's NonMaxSuppression does; it keeps the first of each group.

    Args:
        boxes: x1, y1, x2, y2, shape (n, 4).
        scores: Shape (n,).
        overlap: Intersection over union with the best box of a group above which a box belongs to the group.
        most: Maximum number of groups; None for all.

    Returns:
        Indices of each group, best box first, best group first.
    """
    rest = np.argsort(-scores, kind="stable")
    groups: list[NDArray[np.intp]] = []
    while len(rest) and (most is None or len(groups) < most):
        same = overlaps(boxes[rest[:1]], boxes[rest])[0] > overlap
        same[0] = True  # also where a box has no area
        groups.append(rest[same])
        rest = rest[~same]
    return groups
