"""Makes correct annotations of people: a jointed body in three dimensions, posed, turned, projected and cropped.

Proportions are those of an adult, and differ from person to person.
Axes of a person: x to their left, y down, z forward. A person with yaw 0 faces the camera.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wholebody.schema import (
    FACE_START,
    HAND_KEYPOINTS,
    KEYPOINT_COUNT,
    LEFT_HAND_START,
    PART_RANGES,
    RIGHT_HAND_START,
    SIGMAS,
    Part,
)

Array = NDArray[np.float64]

_LEFT, _RIGHT = 1.0, -1.0
_MM = 1 / 1700  # of the face's sizes, in heights
# Right half and midline of the face in millimetres: x, y, z by index of the 68-point markup.
_FACE_MM = {
    0: (-72, -28, -60), 1: (-71, -8, -58), 2: (-69, 11, -54), 3: (-65, 30, -48), 4: (-57, 48, -37),
    5: (-46, 63, -22), 6: (-33, 75, -7), 7: (-18, 83, 3), 8: (0, 86, 7),
    17: (-59, -49, -8), 18: (-49, -57, 5), 19: (-37, -58, 13), 20: (-25, -55, 18), 21: (-13, -50, 20),
    27: (0, -34, 20), 28: (0, -21, 27), 29: (0, -8, 35), 30: (0, 5, 41),
    31: (-15, 15, 20), 32: (-8, 18, 24), 33: (0, 20, 27),
    36: (-45, -33, 3), 37: (-37, -39, 9), 38: (-27, -39, 11), 39: (-19, -32, 8), 40: (-27, -28, 10), 41: (-37, -28, 8),
    48: (-27, 43, 10), 49: (-17, 37, 20), 50: (-7, 33, 26), 51: (0, 35, 27),
    57: (0, 51, 24), 58: (-8, 51, 23), 59: (-17, 48, 19),
    60: (-23, 43, 13), 61: (-8, 40, 22), 62: (0, 40, 23), 66: (0, 44, 22), 67: (-8, 44, 21),
}  # fmt: skip
_LIPS_BELOW = (57, 58, 59, 66, 67, 7, 8, 6)
# Fingers in hand lengths: base along the hand and towards the thumb, direction towards the thumb, three segments.
_FINGERS = (
    ((0.16, 0.13), 0.65, (0.20, 0.15, 0.12)),
    ((0.48, 0.13), 0.12, (0.24, 0.14, 0.11)),
    ((0.50, 0.02), 0.02, (0.26, 0.16, 0.12)),
    ((0.47, -0.08), -0.06, (0.24, 0.15, 0.12)),
    ((0.42, -0.17), -0.18, (0.18, 0.11, 0.10)),
)


@dataclass(frozen=True)
class MadePerson:
    """A correct annotation.

    Attributes:
        keypoints: x, y in pixels, shape (133, 2).
        seen: Which of them are annotated, shape (133,).
        height: The body's height in pixels.
        yaw: Of the trunk in radians; 0 faces the camera.
    """

    keypoints: Array
    seen: NDArray[np.bool_]
    height: float
    yaw: float


def made_person(random: Generator, x: float = 0.0, y: float = 0.0, height: float | None = None) -> MadePerson:
    """Make a person whose pelvis is at a position.

    Args:
        random: The source of chance.
        x: Of the pelvis in pixels.
        y: Of the pelvis in pixels.
        height: The body's height in pixels; by default 80 to 1000.
    """
    height = float(np.exp(random.uniform(np.log(80), np.log(1000)))) if height is None else height
    points, head = _body(random)
    yaw = _yaw(random)
    pitch, roll = random.normal(0, 0.15), random.normal(0, 0.1)
    turned = _rotation(yaw, pitch, roll)
    points = points @ turned.T
    distance = random.uniform(2.5, 12)
    points = points * (distance / (distance - points[:, 2:] * 1.0))
    seen = _seen(random, yaw, (turned @ head)[2, 2])
    keypoints = points[:, :2] * height
    noise = random.uniform(0.15, 0.6) * SIGMAS * np.sqrt(0.53 * 0.45) * height * 0.5
    keypoints = keypoints + random.normal(size=keypoints.shape) * np.hypot(noise, 0.5)[:, None]
    return MadePerson(keypoints + np.array((x, y)), seen, height, yaw)


def _yaw(random: Generator) -> float:
    kind = random.random()
    if kind < 0.75:
        return float(random.normal(0, 0.5))
    if kind < 0.9:
        return float(random.choice((-1, 1)) * random.uniform(0.9, 1.6))
    return float(np.pi + random.normal(0, 0.5))


def _rotation(yaw: float, pitch: float, roll: float) -> Array:
    cos, sin = np.cos(yaw), np.sin(yaw)
    around_y = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    cos, sin = np.cos(pitch), np.sin(pitch)
    around_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    cos, sin = np.cos(roll), np.sin(roll)
    around_z = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return around_z @ around_x @ around_y


def _body(random: Generator) -> tuple[Array, Array]:
    """Return the points in heights around the pelvis, shape (133, 3), and the head's rotation."""
    points = np.zeros((KEYPOINT_COUNT, 3))

    def size(length: float) -> float:
        return length * random.normal(1, 0.06)

    trunk = _rotation(random.normal(0, 0.2), abs(random.normal(0, 0.15)), random.normal(0, 0.1))
    neck = trunk @ np.array([0, -size(0.285), 0])
    wide, hips = size(0.108), size(0.07)
    head = trunk @ _rotation(random.normal(0, 0.3), random.normal(0, 0.2), random.normal(0, 0.12))
    _add_head(random, points, neck + trunk @ np.array([0, -0.02, 0.02]), head)
    standing = random.random()
    for side, odd in ((_LEFT, 0), (_RIGHT, 1)):
        shoulder = neck + trunk @ np.array([side * wide, random.normal(0, 0.01), 0])
        upper = _arm_direction(random, side)
        elbow = shoulder + trunk @ upper * size(0.175)
        lower = _forearm_direction(random, upper, side)
        wrist = elbow + trunk @ lower * size(0.155)
        points[[5 + odd, 7 + odd, 9 + odd]] = shoulder, elbow, wrist
        start = RIGHT_HAND_START if odd else LEFT_HAND_START
        points[start : start + HAND_KEYPOINTS] = wrist + _hand(random, trunk @ lower, side, size(0.108))
        hip = np.array([side * hips, 0, 0])
        thigh, shank = _leg_directions(random, side, standing)
        knee = hip + thigh * size(0.24)
        ankle = knee + shank * size(0.235)
        points[[11 + odd, 13 + odd, 15 + odd]] = hip, knee, ankle
        foot = _rotation(side * random.normal(0.25, 0.25), -abs(random.normal(0, 0.15)), 0)
        for index, place in ((0, (-0.012, 0.035, 0.115)), (1, (0.028, 0.038, 0.09)), (2, (0, 0.035, -0.035))):
            points[17 + 3 * odd + index] = ankle + foot @ (np.array([side, 1, 1]) * place)
    return points, head


def _add_head(random: Generator, points: Array, neck: Array, head: Array) -> None:
    eyes_up, forward = random.normal(0.105, 0.006), 0.045
    middle = neck + head @ np.array([0, -eyes_up, forward])
    face = face_in_mm() * random.normal(1, 0.05, (1, 3))
    face[list(_LIPS_BELOW)] += (0, abs(random.normal(0, 6)), 0)  # an open mouth
    face = (face + np.array((0, 33, 0))) * _MM
    points[FACE_START:LEFT_HAND_START] = middle + face @ head.T
    face_points = points[FACE_START:LEFT_HAND_START]
    points[0] = face_points[30]
    points[1], points[2] = face_points[42:48].mean(axis=0), face_points[36:42].mean(axis=0)
    for index, side in ((3, _LEFT), (4, _RIGHT)):
        points[index] = middle + head @ np.array([side * 0.044, 0.012, -0.055])


def face_in_mm() -> Array:
    """Return the 68 points of a face in millimetres, shape (68, 3)."""
    twins = {
        17: 26,
        18: 25,
        19: 24,
        20: 23,
        21: 22,
        31: 35,
        32: 34,
        36: 45,
        37: 44,
        38: 43,
        39: 42,
        40: 47,
        41: 46,
    }
    twins |= {48: 54, 49: 53, 50: 52, 59: 55, 58: 56, 60: 64, 61: 63, 67: 65, **{i: 16 - i for i in range(8)}}
    face = np.zeros((68, 3))
    for index, place in _FACE_MM.items():
        face[index] = place
        if index in twins:
            face[twins[index]] = -place[0], place[1], place[2]
    return face


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)


def _arm_direction(random: Generator, side: float) -> Array:
    kind = random.random()
    if kind < 0.5:  # hanging, a little out and forward, as while signing
        out, up, forward = random.normal(0.2, 0.2), -1.0, random.normal(0.3, 0.3)
    elif kind < 0.8:  # forward
        out, up, forward = random.normal(0.1, 0.35), random.normal(-0.4, 0.4), 1.0
    else:  # to the side or up
        out, up, forward = abs(random.normal(1, 0.4)), random.normal(0, 0.8), random.normal(0.2, 0.4)
    return _unit(np.array([side * out, -up, forward]))


def _forearm_direction(random: Generator, upper: Array, side: float) -> Array:
    aim = _unit(
        np.array([side * random.normal(-0.3, 0.6), random.normal(-0.4, 0.8), abs(random.normal(0.7, 0.4))])
    )
    bent = random.uniform(0, 1)
    lower = _unit((1 - bent) * upper + bent * aim)
    return lower if lower @ upper > -0.8 else _unit(lower + 0.6 * upper)


def _hand(random: Generator, forearm: Array, side: float, length: float) -> Array:
    along = _unit(forearm + random.normal(0, 0.3, 3))
    palm = random.normal(size=3)
    palm = _unit(palm - (palm @ along) * along)
    thumb = -side * np.cross(palm, along)
    curl = abs(random.normal(0, 0.7))
    hand = np.zeros((HAND_KEYPOINTS, 3))
    for finger, (base, lean, segments) in enumerate(_FINGERS):
        bend = float(np.clip(curl + random.normal(0, 0.35), 0, 1.5)) * (0.4 if finger == 0 else 1)
        at = np.array([base[0], base[1] * random.normal(1, 0.05), 0.04 if finger == 0 else 0])
        hand[1 + 4 * finger] = at
        across, angle = lean + random.normal(0, 0.06), 0.0
        for joint, segment in enumerate(segments):
            angle += bend * (0.8 if joint == 0 else 1.0) * (0.7 if joint == 2 else 1.0)
            direction = np.array(
                [np.cos(across) * np.cos(angle), np.sin(across) * np.cos(angle), np.sin(angle)]
            )
            at = at + segment * random.normal(1, 0.05) * direction
            hand[2 + 4 * finger + joint] = at
    return length * (hand @ np.stack([along, thumb, palm]))


def _leg_directions(random: Generator, side: float, standing: float) -> tuple[Array, Array]:
    if standing < 0.75:
        thigh = _unit(np.array([side * random.normal(0.08, 0.1), 1, random.normal(0.05, 0.25)]))
        shank = _unit(thigh + np.array([0, 0.3, -abs(random.normal(0, 0.3))]))
        return thigh, shank
    thigh = _unit(np.array([side * random.normal(0.15, 0.15), random.normal(0.2, 0.2), 1]))
    return thigh, _unit(np.array([side * random.normal(0, 0.15), 1, random.normal(0, 0.2)]))


def _seen(random: Generator, yaw: float, facing: float) -> NDArray[np.bool_]:
    """Return the annotated points.

    Args:
        random: The source of chance.
        yaw: Of the trunk.
        facing: How far the head faces the camera: 1 straight at it, -1 away.
    """
    seen = random.random(KEYPOINT_COUNT) > 0.02
    face = list(PART_RANGES[Part.FACE])
    if facing < -0.1:
        seen[[0, 1, 2, *face]] = False
    elif facing < 0.35 and random.random() < 0.5:
        seen[face] = False
        seen[1 if yaw > 0 else 2] = False
    for part in (Part.LEFT_HAND, Part.RIGHT_HAND):
        if random.random() < 0.25:
            seen[list(PART_RANGES[part])] = False
    if random.random() < 0.1:
        seen[face] = False
    crop = random.random()
    if crop < 0.4:  # knees and below are outside of the picture
        seen[13:23] = False
        if crop < 0.25:
            seen[11:13] = False
    elif crop < 0.45:  # a head outside
        seen[[0, 1, 2, 3, 4, *face]] = False
    elif crop < 0.6:
        seen[17:23] = False
    return seen
