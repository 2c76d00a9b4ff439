"""Transforms between picture and network input: letterbox, box crop, rotated square region.

All coordinates are x, y in pixels of the upright picture unless noted otherwise; pictures are H×W×3 uint8, BGR.
Letterbox and box crop compute exactly what rtmlib computes, so that the same weights give the same keypoints.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Points = NDArray[np.floating[Any]]

LETTERBOX_GREY = 114
"""The padding that YOLOX was trained with."""

BOX_PADDING = 1.25
"""Size of the crop of RTMPose and RTMW, in sizes of the person's box."""


def size_of(picture: Picture) -> tuple[int, int]:
    """Return the width and height of a picture."""
    return picture.shape[1], picture.shape[0]


def letterbox(picture: Picture, size: tuple[int, int]) -> tuple[Picture, float]:
    """Scale a picture into the top left corner of a grey canvas, as YOLOX expects it.

    Args:
        picture: H×W×3 uint8.
        size: Width and height of the canvas.

    Returns:
        The canvas and the scale: canvas pixels / scale = picture pixels.
    """
    width, height = size
    picture_height, picture_width = picture.shape[:2]
    if (picture_width, picture_height) == size:
        return picture, 1.0
    canvas = np.full((height, width, 3), LETTERBOX_GREY, np.uint8)
    ratio = min(height / picture_height, width / picture_width)
    # At least one pixel, or a very long and thin picture cannot be resized.
    fitted = (max(int(picture_width * ratio), 1), max(int(picture_height * ratio), 1))
    canvas[: fitted[1], : fitted[0]] = cv2.resize(picture, fitted, interpolation=cv2.INTER_LINEAR)
    return canvas, ratio


@dataclass(frozen=True)
class BoxCrop:
    """The input region of a top-down pose network: upright, at the network's aspect ratio.

    Attributes:
        center: x, y, shape (2,).
        scale: Width and height in picture pixels, shape (2,).
        size: Width and height of the network's input.
    """

    center: Points
    scale: Points
    size: tuple[int, int]

    @classmethod
    def around(cls, box: Points, size: tuple[int, int], padding: float = BOX_PADDING) -> "BoxCrop":
        """Return the crop around a box x1, y1, x2, y2, padded and grown to the aspect ratio of `size`."""
        x1, y1, x2, y2 = box
        center = np.array([x1 + x2, y1 + y2]) * 0.5
        width, height = np.array([x2 - x1, y2 - y1]) * padding
        aspect = size[0] / size[1]
        wide = bool(width > height * aspect)
        scale = np.array([width, width / aspect] if wide else [height * aspect, height])
        return cls(center, scale, size)

    def cut(self, picture: Picture) -> Picture:
        """Return the crop as a picture of `size`, black outside the picture."""
        width, height = self.size
        # Three points define the affine map: the centre, the middle of the upper edge, and one at a right angle to
        # them. rtmlib derives both lengths from the width: scale and size have the same aspect ratio.
        half = float(self.scale[0]) * -0.5
        source = np.empty((3, 2), np.float32)
        source[0] = self.center
        source[1] = self.center + np.array([0.0, half])
        # From the rounded points, as in rtmlib: otherwise some crops differ in the last bit.
        source[2] = source[1] + np.array([source[1, 1] - source[0, 1], 0.0], np.float32)
        target = np.array([[width, height], [width, height - width], [0.0, height - width]], np.float32) * 0.5
        matrix = cv2.getAffineTransform(source, target)
        return np.asarray(cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)

    def to_picture(self, points: Points) -> Points:
        """Map points of shape (…, 2) from pixels of the crop to pixels of the picture."""
        return points / np.array(self.size) * self.scale + self.center - self.scale / 2


@dataclass(frozen=True)
class SquareRegion:
    """A rotated square of the picture: the input region of the hand and face networks.

    Attributes:
        x: Centre, in pixels.
        y: Centre, in pixels.
        side: Length of an edge in pixels.
        angle: Clockwise rotation on the screen, in radians; 0 is upright.
    """

    x: float
    y: float
    side: float
    angle: float

    def cut(self, picture: Picture, pixels: int, *, repeat_edge: bool) -> Picture:
        """Return the region as an upright square picture.

        Args:
            picture: H×W×3 uint8.
            pixels: Width and height of the result.
            repeat_edge: Outside the picture, repeat its outermost pixels; otherwise black.
        """
        cos, sin = math.cos(self.angle) * self.side / pixels, math.sin(self.angle) * self.side / pixels
        # Pixel i covers i..i+1, in crop and picture, so its centre is half a pixel off.
        offset = -(pixels - 1) / 2
        matrix = np.array(
            [
                [cos, -sin, self.x - 0.5 + (cos - sin) * offset],
                [sin, cos, self.y - 0.5 + (sin + cos) * offset],
            ],
            np.float32,
        )
        cut = cv2.warpAffine(
            picture,
            matrix,
            (pixels, pixels),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE if repeat_edge else cv2.BORDER_CONSTANT,
        )
        return np.asarray(cut, np.uint8)

    def to_picture(self, points: Points) -> Points:
        """Map points of shape (…, 2) from the region (0 to 1 from edge to edge) to pixels of the picture."""
        from_center = (points - 0.5) * self.side
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        x, y = from_center[..., 0], from_center[..., 1]
        return np.stack([self.x + x * cos - y * sin, self.y + x * sin + y * cos], axis=-1)


def angle_to(start: Points, end: Points, target_degrees: float) -> float:
    """Return the angle of a region in which the vector from start to end points to `target_degrees`.

    0 degrees is right, 90 is up. The result is in radians, -pi to pi.
    """
    direction = math.atan2(float(start[1] - end[1]), float(end[0] - start[0]))
    return math.remainder(math.radians(target_degrees) - direction, 2 * math.pi)


def region_round(
    rectangle: tuple[Points, Points], angle: float, scale: float, shift_down: float
) -> SquareRegion:
    """Return MediaPipe's square region for a rectangle (its RectTransformationCalculator).

    Args:
        rectangle: Centre x, y and width, height, pixels.
        angle: Rotation of rectangle and region in radians.
        scale: Side of the region, in longer sides of the rectangle.
        shift_down: Shift of the centre along the region's vertical axis, in heights of the rectangle.
    """
    (x, y), (width, height) = rectangle
    shift = float(height) * shift_down
    return SquareRegion(
        float(x) - shift * math.sin(angle),
        float(y) + shift * math.cos(angle),
        float(max(width, height)) * scale,
        angle,
    )


def bounding_rectangle(points: Points, angle: float = 0.0) -> tuple[Points, Points]:
    """Return centre and size of the bounding rectangle of points (n, 2), rotated by `angle`."""
    cos, sin = math.cos(angle), math.sin(angle)
    to_region = np.array([[cos, sin], [-sin, cos]])
    turned = points @ to_region.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    return to_region.T @ ((low + high) / 2), high - low


def overlaps(some: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the IoU of each pair of boxes x1, y1, x2, y2: shapes (n, 4) and (m, 4) to (n, m)."""
    a, b = some[:, np.newaxis].astype(np.float64), others[np.newaxis].astype(np.float64)
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    shared = sides.prod(axis=-1)
    areas = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1)
    return shared / np.maximum(areas - shared, 1e-9)
