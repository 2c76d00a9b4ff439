"""People drawn over their picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
_SMOOTH_FROM = 3.0  # samples: as wide as a line must be for OpenCV to draw it smoothly
_SPREAD = 0.68  # samples: what OpenCV's smoothing adds to a shape on each side
_SHIFT = 4  # bits after the binary point of OpenCV's coordinates


def draw_people(
    picture: NDArray[np.uint8], people: Sequence[Person], keypoint_threshold: float
) -> NDArray[np.uint8]:
    """Draw boxes and skeletons by `wholebody.strokes`; smaller people first, so that larger ones lie over them.

    Args:
        picture: H×W×3 uint8, BGR; left as it is.
        people: The people in it. As in predictions, boxes are clipped to the picture, and a person whose box lies
            outside or is not finite is omitted.
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
    width = BOX_PEN.width(_diagonal(box))
    half = np.array([width / 2], np.float32)
    for edge in range(4):  # one by one: drawing covers a shape's bounding box, and a box is mostly empty
        ends = corners[[edge, (edge + 1) % 4]]
        shape = _Shape(ends[np.newaxis], width, ends[:1], half)
        _draw_edged(canvas, shape, BOX_COLOUR, BOX_PEN.opacity)


def _draw_stroke(
    canvas: NDArray[np.uint8], person: Person, shown: NDArray[np.bool_], stroke: Stroke, diagonal: float
) -> None:
    bones = [bone for bone in stroke.bones if shown[bone[0]] and shown[bone[1]]]
    dots = [index for index in stroke.keypoints if shown[index]]
    round_ends = [index for bone in bones for index in bone if index not in stroke.keypoints]
    width = stroke.pen.width(diagonal)
    shape = _Shape(
        lines=person.keypoints[np.array(bones, np.intp).reshape(-1, 2)],
        width=width,
        discs=person.keypoints[np.array(dots + round_ends, np.intp)],
        radii=np.repeat(
            np.array([POINT_RADIUS * width, width / 2], np.float32), [len(dots), len(round_ends)]
        ),
    )
    _draw_edged(canvas, shape, stroke.colour, stroke.pen.opacity)


@dataclass(frozen=True)
class _Shape:
    """Bones and keypoints of one colour, in pixels from the picture's upper left corner.

    Attributes:
        lines: Ends of the bones, shape (n, 2, 2), float32.
        width: Of the lines.
        discs: Middles of the keypoints, and of those ends of lines that are round, shape (m, 2), float32.
        radii: Of the discs, shape (m,), float32.
    """

    lines: NDArray[np.float32]
    width: float
    discs: NDArray[np.float32]
    radii: NDArray[np.float32]


def _draw_edged(canvas: NDArray[np.uint8], shape: _Shape, colour: str, opacity: float) -> None:
    if not len(shape.discs):  # nor lines: their ends are discs
        return
    edge = EDGE_WIDTH * shape.width
    wider = replace(shape, width=shape.width + 2 * edge, radii=shape.radii + edge)
    _draw(canvas, wider, EDGE_COLOUR, EDGE_OPACITY * opacity)
    _draw(canvas, shape, colour, opacity)


def _draw(canvas: NDArray[np.uint8], shape: _Shape, colour: str, opacity: float) -> None:
    """Draw a shape in one colour, with even opacity where it crosses itself."""
    ends = np.concatenate((shape.lines.reshape(-1, 2), shape.discs))
    reach = math.ceil(max(shape.width / 2, shape.radii.max())) + 1
    height, width = canvas.shape[:2]
    left, top = (max(math.floor(least) - reach, 0) for least in ends.min(axis=0).tolist())
    right, bottom = (math.ceil(most) + reach for most in ends.max(axis=0).tolist())
    right, bottom = min(right, width), min(bottom, height)

    samples = min(max(math.ceil(_SMOOTH_FROM / shape.width), 1), _FINEST)
    coverage = np.zeros(((bottom - top) * samples, (right - left) * samples), np.uint8)
    corner = np.array([left, top], np.float32)
    outlines = _outlines((shape.lines - corner) * samples, shape.width * samples - 2 * _SPREAD)
    for outline in _fixed_point(outlines - 0.5):  # OpenCV's 0, 0 is the middle of the first sample
        cv2.fillConvexPoly(coverage, outline, 255, cv2.LINE_AA, _SHIFT)
    middles = _fixed_point((shape.discs - corner) * samples - 0.5).tolist()
    radii = _fixed_point(np.maximum(shape.radii * samples - _SPREAD, 0)).tolist()
    for middle, radius in zip(middles, radii, strict=True):
        cv2.circle(coverage, middle, radius, 255, cv2.FILLED, cv2.LINE_AA, _SHIFT)
    if samples > 1:
        averaged = cv2.resize(coverage, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        coverage = np.asarray(averaged, np.uint8)
    _blend(canvas[top:bottom, left:right], coverage, colour, opacity)


def _outlines(lines: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """Return the corners of lines of a width, shape (n, 4, 2)."""
    along = lines[:, 1] - lines[:, 0]
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), np.finfo(np.float32).tiny)
    aside = along[:, ::-1] * np.array([1, -1], np.float32) * (max(width / 2, 0) / length)[:, np.newaxis]
    outlines = np.empty((len(lines), 4, 2), np.float32)
    outlines[:, :2] = lines + aside[:, np.newaxis]
    outlines[:, 2:] = lines[:, ::-1] - aside[:, np.newaxis]
    return outlines


def _fixed_point(values: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.rint(values * (1 << _SHIFT)).astype(np.int32)


def _blend(canvas: NDArray[np.uint8], coverage: NDArray[np.uint8], colour: str, opacity: float) -> None:
    # Few pixels are covered; NumPy finds them much faster in a flat array of bools.
    covered = np.unravel_index(np.flatnonzero(coverage != 0), coverage.shape)
    share = coverage[covered].astype(np.float32)[:, np.newaxis] * (opacity / 255)
    bgr = np.array([int(colour[i : i + 2], 16) for i in (5, 3, 1)], np.float32)
    under = canvas[covered]
    canvas[covered] = np.rint(under + (bgr - under) * share).astype(np.uint8)
