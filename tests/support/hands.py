"""Hands as the hand network gives them."""

import numpy as np

from wholebody.hands.landmarks import Hand

# An upright open hand in units of the region in which the hand network likes to see it, with MediaPipe's numbering.
HAND = np.array(
    [
        [0.50, 0.80],  # wrist
        *([0.40, 0.75], [0.34, 0.68], [0.30, 0.61], [0.26, 0.55]),  # thumb
        *([0.42, 0.55], [0.40, 0.42], [0.39, 0.34], [0.38, 0.27]),
        *([0.50, 0.53], [0.50, 0.39], [0.50, 0.30], [0.50, 0.22]),
        *([0.57, 0.55], [0.58, 0.42], [0.59, 0.34], [0.60, 0.27]),
        *([0.64, 0.60], [0.66, 0.50], [0.67, 0.43], [0.68, 0.38]),
    ]
)


def hand(
    wrist: tuple[float, float] = (100, 100), size: float = 100, score: float = 0.9, right: float = 0.9
) -> Hand:
    """An upright hand with its wrist at a pixel; `size` is the side of the region it fits into, in pixels."""
    return Hand((HAND - HAND[0]) * size + wrist, score, right)
