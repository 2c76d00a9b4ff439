"""How plausible a body is: lengths of its limbs, what must coincide, and which side faces the camera.

The body is reduced to landmarks: 23 keypoints of body and feet, three of the face and two of each hand.
"""

import numpy as np
from numpy.typing import NDArray

from wholebody.label_checks.bones import Bone, Bones
from wholebody.label_checks.finding import Points
from wholebody.schema import FACE_START, LEFT_HAND_START, RIGHT_HAND_START

Values = NDArray[np.float64]

FACE_NOSE, FACE_LEFT_EYE, FACE_RIGHT_EYE = 23, 24, 25
HAND_ROOTS, HAND_MIDDLES = (26, 27), (28, 29)
LANDMARKS = 30

_NOSE, _EYES, _EARS, _SHOULDERS, _ELBOWS, _WRISTS = 0, (1, 2), (3, 4), (5, 6), (7, 8), (9, 10)
_HIPS, _KNEES, _ANKLES = (11, 12), (13, 14), (15, 16)
_FACE_EYES = (FACE_LEFT_EYE, FACE_RIGHT_EYE)
# Lengths in body heights: rounded proportions of an adult, between the points that annotators mark.
_EYE_WIDTH, _EAR_WIDTH, _SHOULDER_WIDTH, _HIP_WIDTH, _LIMB_WIDTH = 0.038, 0.088, 0.216, 0.14, 0.15


def _both(starts: tuple[int, int], ends: tuple[int, int], length: float, rigid: bool = True) -> list[Bone]:
    return [Bone(start, end, length, rigid) for start, end in zip(starts, ends, strict=True)]


_BONES = Bones(
    [
        Bone(*_SHOULDERS, _SHOULDER_WIDTH),
        Bone(*_HIPS, _HIP_WIDTH),
        *_both(_SHOULDERS, _HIPS, 0.29),
        *_both(_SHOULDERS, _ELBOWS, 0.175),
        *_both(_ELBOWS, _WRISTS, 0.155),
        *_both(_SHOULDERS, _WRISTS, 0.33, rigid=False),
        *_both(_ELBOWS, HAND_ROOTS, 0.16),
        *_both(_SHOULDERS, HAND_ROOTS, 0.33, rigid=False),
        *_both(_HIPS, _KNEES, 0.24),
        *_both(_KNEES, _ANKLES, 0.24),
        *_both(_HIPS, _ANKLES, 0.48, rigid=False),
        *(
            bone
            for toe in (17, 18, 19)
            for bone in _both(_ANKLES, (toe, toe + 3), 0.12 if toe < 19 else 0.06)
        ),
        *_both((_NOSE, _NOSE), _EYES, 0.035),
        *_both((FACE_NOSE, FACE_NOSE), _FACE_EYES, 0.035),
        *_both(_EYES, _EARS, 0.05),
        *_both((_NOSE, _NOSE), _SHOULDERS, 0.19),
        *_both((FACE_NOSE, FACE_NOSE), _SHOULDERS, 0.19),
        *_both(_EARS, _SHOULDERS, 0.17),
        *_both(HAND_ROOTS, HAND_MIDDLES, 0.05),
    ],
    longer=0.15,
)
# Pairs that mark the same point, and their spread in body heights.
_SAME = (
    (9, 26, 0.025), (10, 27, 0.025), (0, 23, 0.015), (1, 24, 0.012), (2, 25, 0.012),
)  # fmt: skip
# Left and right limbs seldom cross: the pair, the pair that it hangs from, and the cost of crossing.
_UNCROSSED = (
    (_ELBOWS, _SHOULDERS, 2.0),
    (_WRISTS, _SHOULDERS, 1.0),
    (HAND_ROOTS, _SHOULDERS, 0.6),
    (_KNEES, _HIPS, 2.0),
    (_ANKLES, _HIPS, 1.2),
)
_MOST = 8.0
_TURN_OF_HEAD, _TURN_OF_TRUNK = np.radians(75), np.radians(50)


def landmarks(positions: Points) -> Points:
    """Return the landmarks of a person, NaN where missing: shape (133, 2) to (30, 2)."""
    marks = np.full((LANDMARKS, 2), np.nan)
    marks[:23] = positions[:23]
    marks[FACE_NOSE] = positions[FACE_START + 30]
    for index, start in ((FACE_RIGHT_EYE, 36), (FACE_LEFT_EYE, 42)):
        marks[index] = positions[FACE_START + start : FACE_START + start + 6].mean(axis=0)
    for side, start in enumerate((LEFT_HAND_START, RIGHT_HAND_START)):
        marks[HAND_ROOTS[side]] = positions[start]
        marks[HAND_MIDDLES[side]] = positions[start + np.array([5, 9, 13, 17])].mean(axis=0)
    return marks


def body_costs(marks: Points) -> Values:
    """Return how implausible versions of one person are, shape (versions,); lower is better.

    Args:
        marks: Landmarks of the versions in pixels, NaN where missing, shape (versions, 30, 2). The first one is the
            annotation.
    """
    cost, sizes = _BONES.fitted(marks)
    for one, other, spread in _SAME:
        apart = np.linalg.norm(marks[:, one] - marks[:, other], axis=-1)
        cost += _known(np.minimum((apart / (sizes * spread)) ** 2 / 2, _MOST) - 1)
    return cost + _facing_costs(marks, sizes) + _hand_costs(marks)


def body_faults(marks: Points) -> float:
    """Return how far one person's landmarks, shape (30, 2), are from a plausible body; 0 or less if they are not."""
    known = np.isfinite(marks[:, 0])
    same = sum(bool(known[one] and known[other]) for one, other, _ in _SAME)
    return float(body_costs(marks[np.newaxis])[0]) + _BONES.reward(known) + same


def _facing_costs(marks: Points, sizes: Values) -> Values:
    """Return the cost of head, shoulders and hips that face different ways, shape (versions,)."""
    left = _left_of_a_person_who_faces_the_camera(marks)

    def facing(pair: tuple[int, int], width: float) -> Values:
        """Return 1 for a pair seen from the front, -1 from behind, 0 from the side; NaN if missing."""
        across = ((marks[:, pair[0]] - marks[:, pair[1]]) * left).sum(axis=-1)
        return np.clip(across / (sizes * width), -1, 1)

    def below(value: Values, bound: Values | float, spread: float, most: float = _MOST) -> Values:
        return _known(np.minimum((np.maximum(bound - value, 0) / spread) ** 2 / 2, most))

    eyes, ears = facing(_EYES, _EYE_WIDTH), facing(_EARS, _EAR_WIDTH)
    nose = np.isfinite(marks[:, _NOSE, 0])
    face = np.where(nose, eyes, np.nan)
    cost = below(face, -0.15, 0.2) + below(facing(_FACE_EYES, _EYE_WIDTH), -0.15, 0.2)
    cost += below(np.where(nose, ears, np.nan), -0.15, 0.2)
    from_behind = ~nose & np.isnan(marks[:, _EYES[0], 0]) & np.isnan(marks[:, _EYES[1], 0])
    cost += below(np.where(from_behind, -ears, np.nan), -0.15, 0.25, _MOST / 2)
    head = np.where(np.isnan(face), np.where(nose, ears, np.nan), face)
    shoulders, hips = facing(_SHOULDERS, _SHOULDER_WIDTH), facing(_HIPS, _HIP_WIDTH)
    farthest = np.cos(np.minimum(np.arccos(np.clip(head, 0, 1)) + _TURN_OF_HEAD, np.pi))
    cost += below(shoulders, farthest, 0.25)
    cost += below(np.where(from_behind & np.isfinite(ears), -shoulders, np.nan), -0.2, 0.3, _MOST / 2)
    turn = np.arccos(shoulders)
    cost += below(hips, np.cos(np.minimum(turn + _TURN_OF_TRUNK, np.pi)), 0.25)
    cost += below(-hips, -np.cos(np.maximum(turn - _TURN_OF_TRUNK, 0)), 0.25)
    for pair, above, weight in _UNCROSSED:
        order = np.clip(facing(pair, _LIMB_WIDTH) / 0.4, -1, 1)
        parents = shoulders if above is _SHOULDERS else hips
        cost -= _known(weight * np.clip(parents / 0.4, -1, 1) * order)
    return cost


def _left_of_a_person_who_faces_the_camera(marks: Points) -> Points:
    """Return the unit vector across the trunk, shape (versions, 2)."""
    head = _middle(marks, (*range(5), FACE_NOSE, *_FACE_EYES))
    shoulders, hips = _middle(marks, _SHOULDERS), _middle(marks, _HIPS)
    down = np.where(np.isfinite(hips), hips - shoulders, shoulders - head)
    down = np.where(np.isfinite(down), down, (0.0, 1.0))
    down /= np.maximum(np.linalg.norm(down, axis=-1, keepdims=True), 1e-6)
    return np.stack([down[:, 1], -down[:, 0]], axis=-1)


def _middle(marks: Points, indices: tuple[int, ...]) -> Points:
    """Return the mean of those that are there, NaN without any, shape (versions, 2)."""
    chosen = marks[:, list(indices)]
    there = np.isfinite(chosen)
    count = there.sum(axis=1)
    return np.where(count, np.where(there, chosen, 0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _hand_costs(marks: Points) -> Values:
    """Return the cost of hands that do not continue their forearms, shape (versions,)."""
    cost = np.zeros(len(marks))
    for side in (0, 1):
        forearm = marks[:, HAND_ROOTS[side]] - marks[:, _ELBOWS[side]]
        hand = marks[:, HAND_MIDDLES[side]] - marks[:, HAND_ROOTS[side]]
        lengths = np.linalg.norm(forearm, axis=-1) * np.linalg.norm(hand, axis=-1)
        cost += _known(1 - (forearm * hand).sum(axis=-1) / np.maximum(lengths, 1e-6))
    return cost


def _known(cost: Values) -> Values:
    return np.where(np.isnan(cost), 0, cost)
