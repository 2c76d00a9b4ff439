"""People drawn over their picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wholebody.palette import BOX_COLOUR
from wholebody.person import Person
from wholebody.strokes import (
    BOX_PEN,
    EDGE_COLOUR,
    EDGE_OPACITY,
    EDGE_WIDTH,
    POINT_RADIUS,
    STROKES,
    Stroke,
)

_FINEST = 4  # samples in a pixel each way, for the thinnest lines
_SMOOTH_FROM = 3.0  # pixels: OpenCV rounds widths to whole pixels, which is not to be seen from here on
_SHIFT = 4  # bits after the binary point of OpenCV's coordinates


def draw_people(
    picture: NDArray[np.uint8], people: Sequence[Person], keypoint_threshold: float
) -> NDArray[np.uint8]:
    """Draw boxes and skeletons by `wholebody.strokes`; smaller people first, so that larger ones lie over them.

    Args:
        picture: H×W×3 uint8, BGR; left as it is.
        people: Who was found in it. As in predictions, boxes are clipped to the picture, and a person is left out
            whose box lies outside or is not finite.
        keypoint_threshold: Lowest score of a keypoint that is drawn. Keypoints with score 0 were not found and are
            never drawn, nor are those outside the picture.

    Returns:
        A new picture of the same size.
    """
    canvas = picture.copy()
    height, width = picture.shape[:2]
    boxed = [(_clipped(person, width, height), person) for person in people]
    boxed = [(box, person) for box, person in boxed if (box[2:] > box[:2]).all()]
    for box, person in sorted(boxed, key=lambda one: _diagonal(one[0])):
        _draw_box(canvas, box)
        inside = ((person.keypoints >= 0) & (person.keypoints <= (width, height))).all(axis=1)
        shown = inside & (person.scores > 0) & (person.scores >= keypoint_threshold)
        for stroke in STROKES:
            _draw_stroke(canvas, person, shown, stroke, _diagonal(box))
    return canvas


def _clipped(person: Person, width: int, height: int) -> NDArray[np.float32]:
    """Return a person's box within the picture; empty, if it is not finite."""
    if not np.isfinite(person.box).all():
        return np.zeros(4, np.float32)
    return np.clip(person.box, 0, np.array([width, height, width, height], np.float32))


def _diagonal(box: NDArray[np.float32]) -> float:
    x1, y1, x2, y2 = box.tolist()
    return math.hypot(x2 - x1, y2 - y1)


def _draw_box(canvas: NDArray[np.uint8], box: NDArray[np.float32]) -> None:
    x1, y1, x2, y2 = box.tolist()
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float32)
    line = BOX_PEN.width(_diagonal(box))
    for edge in range(4):  # one by one: only the area round a shape is looked at, and a box is mostly empty
        ends = corners[np.newaxis, [edge, (edge + 1) % 4]]
        _draw_edged(canvas, _Shape(ends, corners[:0], line), BOX_COLOUR, BOX_PEN.opacity)


def _draw_stroke(
    canvas: NDArray[np.uint8], person: Person, shown: NDArray[np.bool_], stroke: Stroke, diagonal: float
) -> None:
    bones = np.array([bone for bone in stroke.bones if shown[bone[0]] and shown[bone[1]]], np.intp)
    dots = np.array([index for index in stroke.keypoints if shown[index]], np.intp)
    shape = _Shape(person.keypoints[bones.reshape(-1, 2)], person.keypoints[dots], stroke.pen.width(diagonal))
    _draw_edged(canvas, shape, stroke.colour, stroke.pen.opacity)


@dataclass(frozen=True)
class _Shape:
    """Bones and keypoints of one colour, in pixels from the picture's upper left corner.

    Attributes:
        lines: Ends of the bones, shape (n, 2, 2), float32.
        dots: Middles of the keypoints, shape (m, 2), float32.
        width: Of the lines.
    """

    lines: NDArray[np.float32]
    dots: NDArray[np.float32]
    width: float


def _draw_edged(canvas: NDArray[np.uint8], shape: _Shape, colour: str, opacity: float) -> None:
    _draw(canvas, shape, EDGE_WIDTH * shape.width, EDGE_COLOUR, EDGE_OPACITY * opacity)
    _draw(canvas, shape, 0, colour, opacity)


def _draw(canvas: NDArray[np.uint8], shape: _Shape, edge: float, colour: str, opacity: float) -> None:
    """Draw a shape, wider by an edge on each side, in one colour that is even where the shape crosses itself."""
    ends = np.concatenate((shape.lines.reshape(-1, 2), shape.dots))
    if not len(ends):
        return
    thickness, radius = shape.width + 2 * edge, POINT_RADIUS * shape.width + edge
    reach = math.ceil(max(thickness / 2, radius)) + 1
    height, width = canvas.shape[:2]
    left, top = (max(math.floor(least) - reach, 0) for least in ends.min(axis=0).tolist())
    right, bottom = (math.ceil(most) + reach for most in ends.max(axis=0).tolist())
    right, bottom = min(right, width), min(bottom, height)

    samples = min(max(math.ceil(_SMOOTH_FROM / thickness), 1), _FINEST)
    coverage = np.zeros(((bottom - top) * samples, (right - left) * samples), np.uint8)
    # OpenCV's 0, 0 is the middle of the first pixel.
    ends = np.rint(((ends - (left, top)) * samples - 0.5) * (1 << _SHIFT)).astype(int)
    lines, dots = np.split(ends, [2 * len(shape.lines)])
    for x1, y1, x2, y2 in lines.reshape(-1, 4).tolist():
        cv2.line(coverage, (x1, y1), (x2, y2), 255, max(round(thickness * samples), 1), cv2.LINE_AA, _SHIFT)
    for x, y in dots.tolist():
        cv2.circle(
            coverage,
            (x, y),
            round(radius * samples * (1 << _SHIFT)),
            255,
            cv2.FILLED,
            cv2.LINE_AA,
            _SHIFT,
        )
    if samples > 1:
        averaged = cv2.resize(coverage, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        coverage = np.asarray(averaged, np.uint8)
    _blend(canvas[top:bottom, left:right], coverage, colour, opacity)


def _blend(canvas: NDArray[np.uint8], coverage: NDArray[np.uint8], colour: str, opacity: float) -> None:
    # Few pixels are covered, and NumPy finds them in a flat array of bools many times faster than otherwise.
    covered = np.unravel_index(np.flatnonzero(coverage != 0), coverage.shape)
    share = coverage[covered].astype(np.float32)[:, np.newaxis] * (opacity / 255)
    bgr = np.array([int(colour[i : i + 2], 16) for i in (5, 3, 1)], np.float32)
    under = canvas[covered]
    canvas[covered] = np.rint(under + (bgr - under) * share).astype(np.uint8)
