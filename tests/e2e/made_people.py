"""People with all 133 keypoints at known places, on a plain picture: truth to correct predictions towards."""

import math

import numpy as np
from PIL import Image

from tests.support.pictures import encoded
from wholebody.person import Person
from wholebody.schema import FACE_START, FEET_START, KEYPOINT_COUNT, PART_RANGES, Part

SIZE = (1280, 960)

# x, y in widths and heights of the person's box; who faces us has their left on our right.
_LEFT_AND_MIDDLE = {
    0: (0.50, 0.10),
    1: (0.54, 0.075),
    3: (0.60, 0.09),
    5: (0.66, 0.26),
    7: (0.74, 0.40),
    9: (0.78, 0.52),
    11: (0.58, 0.56),
    13: (0.60, 0.74),
    15: (0.60, 0.90),
    17: (0.68, 0.95),
    18: (0.64, 0.975),
    19: (0.58, 0.93),
}
_FEET_TWINS = {17: 20, 18: 21, 19: 22}
_HAND_ROOT, _JOINT_RADII = (0.86, 0.56), (0.045, 0.07, 0.09, 0.11)  # of the person's height
_FINGER_ANGLES = (-60, -25, 5, 35, 65)  # degrees, from straight to the side
_FACE = (0.50, 0.095, 0.075)  # centre, and half its height in heights of the person


def picture() -> bytes:
    """A plain picture as JPEG."""
    return encoded(Image.new("RGB", SIZE, (150, 160, 170)), "JPEG")


def made_person(left: float, top: float, width: float, height: float) -> Person:
    """Make a person in a box, in pixels, whose every keypoint was found for sure."""
    places = np.zeros((KEYPOINT_COUNT, 2))
    for index, (x, y) in _LEFT_AND_MIDDLE.items():
        places[index] = x, y
        if index:
            twin = _FEET_TWINS.get(index, index + 1)
            places[twin] = 1 - x, y
    places[: FEET_START + 6] = places[: FEET_START + 6] * (width, height) + (left, top)
    places[FACE_START : FACE_START + 68] = _face() * height * _FACE[2] + (
        left + _FACE[0] * width,
        top + _FACE[1] * height,
    )
    for part, side in ((Part.LEFT_HAND, 1), (Part.RIGHT_HAND, -1)):
        root = np.array((left + width * (0.5 + side * (_HAND_ROOT[0] - 0.5)), top + height * _HAND_ROOT[1]))
        places[list(PART_RANGES[part])] = root + _hand(side) * height
    box = np.array((left, top, left + width, top + height), np.float32)
    return Person(box, 0.9, places.astype(np.float32), np.full(KEYPOINT_COUNT, 0.9, np.float32))


def _hand(side: int) -> np.ndarray:
    """21 points round the root, shape (21, 2), in heights of the person."""
    points = [(0.0, 0.0)]
    for angle in _FINGER_ANGLES:
        turn = math.radians(angle)
        points += [(side * radius * math.cos(turn), radius * math.sin(turn)) for radius in _JOINT_RADII]
    return np.array(points)


def _face() -> np.ndarray:
    """68 points round the centre in half heights of the face, shape (68, 2): iBUG's order, from right to left."""

    def arc(count: int, centre: tuple[float, float], radii: tuple[float, float], first: float, last: float):
        for turn in np.radians(np.linspace(first, last, count)):
            yield centre[0] + radii[0] * math.cos(turn), centre[1] + radii[1] * math.sin(turn)

    points = [
        *arc(17, (0, 0), (0.8, 1.0), 180, 0),
        *arc(5, (-0.4, -0.45), (0.28, 0.15), 180, 360),
        *arc(5, (0.4, -0.45), (0.28, 0.15), 180, 360),
        *((0.0, y) for y in (-0.3, -0.15, 0.0, 0.15)),
        *((x, 0.3) for x in (-0.2, -0.1, 0.0, 0.1, 0.2)),
        *arc(6, (-0.38, -0.25), (0.2, 0.1), 180, 480),
        *arc(6, (0.38, -0.25), (0.2, 0.1), 180, 480),
        *arc(12, (0, 0.6), (0.4, 0.22), 180, 510),
        *arc(8, (0, 0.6), (0.25, 0.1), 180, 495),
    ]
    return np.array(points)
