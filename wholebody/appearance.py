"""Colours of people's clothes, which distinguish people who cross."""

import cv2
import numpy as np
from numpy.typing import NDArray

from wholebody.geometry import Picture

_BINS = (4, 8, 8)  # of lightness, and of the two colour axes of CIE Lab
# The part of a person's box that shows clothes more than background, in shares of the box: x1, y1, x2, y2.
_CLOTHES = (0.25, 0.15, 0.75, 0.6)
_PIXELS = 32  # side of the resized part; more add no information


def clothes_colours(picture: Picture, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return descriptors of the colours of people's clothes.

    Args:
        picture: H×W×3 uint8, BGR, upright.
        boxes: x1, y1, x2, y2 in pixels, shape (n, 4).

    Returns:
        Square roots of a histogram's shares, shape (n, 256): the product of two is their Bhattacharyya coefficient,
        1 for the same colours and 0 for none in common. Zeros for a box outside the picture.
    """
    found = np.zeros((len(boxes), int(np.prod(_BINS))), np.float32)
    height, width = picture.shape[:2]
    for i, (x1, y1, x2, y2) in enumerate(boxes.astype(float)):
        left, right = (round(x1 + share * (x2 - x1)) for share in _CLOTHES[::2])
        top, bottom = (round(y1 + share * (y2 - y1)) for share in _CLOTHES[1::2])
        part = picture[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
        if part.size:
            small = cv2.resize(part, (_PIXELS, _PIXELS), interpolation=cv2.INTER_NEAREST)
            # More vivid colours fall into the outermost bins.
            lab = np.clip(cv2.cvtColor(small, cv2.COLOR_BGR2LAB), (0, 64, 64), (255, 191, 191)).astype(
                np.uint8
            )
            counts = cv2.calcHist([lab], [0, 1, 2], None, list(_BINS), [0, 256, 64, 192, 64, 192]).ravel()
            found[i] = np.sqrt(counts / max(float(counts.sum()), 1.0))
    return found
