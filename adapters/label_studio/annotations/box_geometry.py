"""Geometry of Label Studio's boxes, rotated or upright, in percent: corners and containment."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from adapters.label_studio.annotations.regions import DrawnRegion

Size: TypeAlias = tuple[int, int]
Corner: TypeAlias = tuple[float, float]


def pixels(x: float, y: float, size: Size) -> Corner:
    """Convert a position or a size from percent of the picture to pixels."""
    return x / 100 * size[0], y / 100 * size[1]


def corners(
    corner: Corner, size: tuple[float, float], rotation: float
) -> tuple[Corner, Corner, Corner, Corner]:
    """Return the corners of a box in pixels, the upper left one first.

    Args:
        corner: Its upper left corner in pixels; Label Studio rotates the box clockwise around it.
        size: Its width and height in pixels.
        rotation: In degrees.
    """
    (x, y), (width, height) = corner, size
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    return (
        (x, y),
        (x + cos * width, y + sin * width),
        (x + cos * width - sin * height, y + sin * width + cos * height),
        (x - sin * height, y + cos * height),
    )


def _corners(box: DrawnRegion, size: Size) -> tuple[Corner, Corner, Corner, Corner]:
    value = box.value
    return corners(pixels(value.x, value.y, size), pixels(value.width, value.height, size), value.rotation)


def upright(box: DrawnRegion, size: Size) -> NDArray[np.float64] | None:
    """Return the upright box around a box: x1, y1, x2, y2 in pixels, clipped, shape (4,); None without area."""
    xs, ys = zip(*_corners(box, size), strict=True)
    x1, x2 = (min(max(edge, 0.0), float(size[0])) for edge in (min(xs), max(xs)))
    y1, y2 = (min(max(edge, 0.0), float(size[1])) for edge in (min(ys), max(ys)))
    return np.array([x1, y1, x2, y2]) if x1 < x2 and y1 < y2 else None


def holding(
    boxes: Sequence[DrawnRegion], points: NDArray[np.float64], size: Size
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the boxes that contain points.

    Args:
        boxes: The boxes, which may be rotated.
        points: x, y in pixels, shape (n, 2).
        size: Width and height of the picture in pixels.

    Returns:
        The number of boxes that contain each point, and the index of the last of them, or -1; shape (n,) each.
    """
    count, last = np.zeros(len(points), np.intp), np.full(len(points), -1, np.intp)
    for position, box in enumerate(boxes):
        inside = holds(box, points, size)
        count += inside
        last[inside] = position
    return count, last


def holds(box: DrawnRegion, points: NDArray[np.float64], size: Size) -> NDArray[np.bool_]:
    """Return which points, x, y in pixels of shape (n, 2), lie in a box."""
    start, right, _, down = (np.array(corner) for corner in _corners(box, size))
    inside = np.ones(len(points), np.bool_)
    for edge in (right - start, down - start):
        along = (points - start) @ edge
        inside &= (along >= 0) & (along <= float(edge @ edge))
    return inside
