"""Left and right swapped: of the whole person, of both arms or legs, of the hands, or of single joints."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from wholebody.label_checks.body import HAND_MIDDLES, HAND_ROOTS, LANDMARKS, body_costs, landmarks
from wholebody.label_checks.finding import LEAST_SCORE, Finding, Kind, LabelledPerson, positions, suspicion
from wholebody.schema import KEYPOINTS, PART_RANGES, Part

THRESHOLD = 4.4
"""Evidence at which a swap is reported: the difference of costs, as of log-likelihoods."""

_Pairs: TypeAlias = tuple[tuple[int, int], ...]
_FACE: _Pairs = ((24, 25),)
_HANDS: _Pairs = (HAND_ROOTS, HAND_MIDDLES)
_FEET: _Pairs = ((17, 20), (18, 21), (19, 22))
_EYES_AND_EARS: _Pairs = ((1, 2), (3, 4))
_ARMS: _Pairs = ((7, 8), (9, 10))
_LEGS: _Pairs = ((13, 14), (15, 16), *_FEET)
_TRUNK: _Pairs = ((5, 6), (11, 12))
_BELOW_THE_HEAD: _Pairs = (*_TRUNK, *_ARMS, *_LEGS)


@dataclass(frozen=True)
class _Swap:
    name: str
    pairs: _Pairs
    doubt: float = 0.0  # evidence that it needs beyond the threshold


_TWISTED = 2.0  # a twisted trunk looks the same
_SWAPS = (
    _Swap("the hands", _HANDS),
    _Swap("the wrists", ((9, 10),)),
    _Swap("the wrists and hands", ((9, 10), *_HANDS)),
    _Swap("the arms", _ARMS),
    _Swap("the arms and hands", (*_ARMS, *_HANDS)),
    _Swap("the elbows", ((7, 8),)),
    _Swap("the shoulders", ((5, 6),), _TWISTED),
    _Swap("the hips", ((11, 12),), _TWISTED),
    _Swap("the shoulders and hips", _TRUNK, _TWISTED),
    _Swap("the knees", ((13, 14),)),
    _Swap("the ankles", ((15, 16),)),
    _Swap("the ankles and feet", ((15, 16), *_FEET)),
    _Swap("the legs", _LEGS),
    _Swap("the legs above the feet", ((13, 14), (15, 16))),
    _Swap("the hips and legs", ((11, 12), *_LEGS)),
    _Swap("the feet", _FEET),
    _Swap("the eyes and ears", _EYES_AND_EARS),
    _Swap("the body", (*_EYES_AND_EARS, *_BELOW_THE_HEAD)),
    _Swap("the body below the head", _BELOW_THE_HEAD),
    _Swap("the body and hands", (*_EYES_AND_EARS, *_BELOW_THE_HEAD, *_HANDS)),
    _Swap("the body and hands below the head", (*_BELOW_THE_HEAD, *_HANDS)),
    _Swap("the whole person", (*_EYES_AND_EARS, *_BELOW_THE_HEAD, *_HANDS, *_FACE)),
)


def _orders() -> list[list[int]]:
    """Return the order of landmarks of the annotation, and of the annotation with each swap undone."""
    orders = [list(range(LANDMARKS))]
    for swap in _SWAPS:
        order = list(range(LANDMARKS))
        for left, right in swap.pairs:
            order[left], order[right] = right, left
        orders.append(order)
    return orders


_ORDERS = np.array(_orders())
_MOVED = _ORDERS[1:] != _ORDERS[0]
_DOUBTS = np.array([swap.doubt for swap in _SWAPS])


def swapped(person: LabelledPerson, position: int) -> list[Finding]:
    """Return the most plausible swap of a person's left and right, if there is one.

    Args:
        person: The person.
        position: Their position in the picture.
    """
    marks = landmarks(positions(person))
    tried = np.flatnonzero(_MOVED @ np.isfinite(marks[:, 0]))
    if not tried.size:
        return []
    costs = body_costs(marks[_ORDERS[np.append(0, tried + 1)]])
    gains = costs[0] - costs[1:] - _DOUBTS[tried]
    best = int(tried[gains.argmax()])
    score = suspicion(float(gains.max()), THRESHOLD)
    if score < LEAST_SCORE:
        return []
    swap = _SWAPS[best]
    keypoints = tuple(index for index in swapped_keypoints(swap.pairs) if person.seen[index])
    return [
        Finding(Kind.SWAPPED, (position,), keypoints, f"left and right of {swap.name} are swapped", score)
    ]


def swapped_keypoints(pairs: _Pairs) -> list[int]:
    """Return the indices of the keypoints that landmarks stand for."""
    indices = [index for pair in pairs for index in pair if index < PART_RANGES[Part.FACE].start]
    if HAND_ROOTS in pairs:
        indices += [*PART_RANGES[Part.LEFT_HAND], *PART_RANGES[Part.RIGHT_HAND]]
    if _FACE[0] in pairs:
        indices += [index for index in PART_RANGES[Part.FACE] if KEYPOINTS[index].twin != index]
    return sorted(indices)
