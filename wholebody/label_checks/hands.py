"""Hands with labels in the wrong order: mirrored, two fingers exchanged, or the joints of a finger shifted."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wholebody.label_checks.bones import Bone, Bones
from wholebody.label_checks.finding import (
    LEAST_SCORE,
    Finding,
    Kind,
    LabelledPerson,
    Points,
    positions,
    suspicion,
)
from wholebody.schema import FINGERS, HAND_KEYPOINTS, PART_RANGES, Part

THRESHOLD = 4.6
"""Evidence at which a wrong order is reported: the difference of costs, as of log-likelihoods."""

LEAST_SIZE = 15.0
"""Diagonal in pixels of the smallest hand that is checked: the points of smaller ones are too imprecise."""

_FEWEST = 12  # points of a hand that is checked: with fewer, too much is unknown
_LITTLE = 4
_MCPS = (1, 5, 9, 13, 17)


def _finger(finger: int) -> list[int]:
    return list(range(1 + 4 * finger, 5 + 4 * finger))


def _bones() -> Bones:
    # Rounded proportions of an adult hand, in hand lengths from the wrist to the tip of the middle finger.
    bones = [Bone(0, mcp, length) for mcp, length in zip(_MCPS, (0.21, 0.5, 0.5, 0.48, 0.46), strict=True)]
    segments = (
        (0.2, 0.16, 0.13),
        (0.24, 0.14, 0.11),
        (0.26, 0.16, 0.12),
        (0.24, 0.15, 0.12),
        (0.18, 0.11, 0.10),
    )
    for finger, lengths in enumerate(segments):
        bones += [
            Bone(a, b, length) for (a, b), length in zip(pairwise(_finger(finger)), lengths, strict=True)
        ]
    bones += [Bone(5, 9, 0.11), Bone(9, 13, 0.1), Bone(13, 17, 0.1), Bone(5, 17, 0.31), Bone(1, 5, 0.32)]
    return Bones([*bones, Bone(1, 17, 0.4)], longer=0.22)


_BONES = _bones()
_ALIKE = 2.5  # doubt: neighbouring fingers hardly differ, and may cross
_FOLDED = 2.0  # cost of a joint that folds back completely
_CROSSED = 2.0  # cost of a finger whose base is on the wrong side of its neighbour's


@dataclass(frozen=True)
class _Mistake:
    kind: Kind
    reason: str
    order: tuple[int, ...]  # the position that each keypoint should have had
    points: tuple[int, ...]
    doubt: float  # evidence that it needs beyond the threshold


def _mistake(kind: Kind, reason: str, moved: dict[int, int], doubt: float = 0.0) -> _Mistake:
    order = tuple(moved.get(index, index) for index in range(HAND_KEYPOINTS))
    return _Mistake(kind, reason, order, tuple(moved), doubt)


def _mistakes() -> list[_Mistake]:
    mirrored = {a: b for f in range(5) for a, b in zip(_finger(f), _finger(_LITTLE - f), strict=True)}
    found = [
        _mistake(Kind.MIRRORED_HAND, "the fingers are in reverse order, as of a mirrored hand", mirrored)
    ]
    for step, way in ((1, "the thumb"), (-1, "the little finger")):
        moved = {a: b for f in range(5) for a, b in zip(_finger(f), _finger((f + step) % 5), strict=True)}
        found.append(
            _mistake(Kind.SHIFTED_ORDER, f"each finger has the label of the next one to {way}", moved)
        )
    for one, other in pairwise(range(5)):
        moved = dict(zip(_finger(one) + _finger(other), _finger(other) + _finger(one), strict=True))
        reason = f"{FINGERS[one]} and {FINGERS[other]} are exchanged"
        found.append(_mistake(Kind.SHIFTED_ORDER, reason, moved, doubt=_ALIKE))
    for finger, name in enumerate(FINGERS):
        joints = _finger(finger)
        for order, what in (
            (joints[1:] + joints[:1], "are shifted by one"),
            (joints[-1:] + joints[:-1], "are shifted by one"),
            (joints[::-1], "are in reverse order"),
        ):
            moved = {a: b for a, b in zip(joints, order, strict=True) if a != b}
            found.append(_mistake(Kind.SHIFTED_ORDER, f"the joints of the {name} {what}", moved))
    everything = {a: b for f in range(5) for a, b in zip(_finger(f), _finger(f)[::-1], strict=True)}
    found.append(
        _mistake(
            Kind.SHIFTED_ORDER, "the joints of all fingers are in reverse order, from tip to base", everything
        )
    )
    return found


_MISTAKES = _mistakes()
_ORDERS = np.array([tuple(range(HAND_KEYPOINTS)), *(mistake.order for mistake in _MISTAKES)])
_DOUBTS = np.array([mistake.doubt for mistake in _MISTAKES])
_CHAINS = np.array([(0, *_finger(finger)) for finger in range(5)])


def hands_out_of_order(person: LabelledPerson, position: int) -> list[Finding]:
    """Return hands with labels in the wrong order, for each hand the most plausible mistake.

    Args:
        person: The person.
        position: Their position in the picture.
    """
    found: list[Finding] = []
    placed = positions(person)
    for part in (Part.LEFT_HAND, Part.RIGHT_HAND):
        start = PART_RANGES[part].start
        hand = placed[start : start + HAND_KEYPOINTS]
        placed_points = hand[np.isfinite(hand[:, 0])]
        if len(placed_points) < _FEWEST or np.linalg.norm(np.ptp(placed_points, axis=0)) < LEAST_SIZE:
            continue
        costs = hand_costs(hand[_ORDERS])
        gains = costs[0] - costs[1:] - _DOUBTS
        best = int(gains.argmax())
        score = suspicion(float(gains[best]), THRESHOLD)
        if score < LEAST_SCORE:
            continue
        mistake = _MISTAKES[best]
        keypoints = tuple(start + index for index in mistake.points if person.seen[start + index])
        reason = f"{part.value.replace('_', ' ')}: {mistake.reason}"
        found.append(Finding(mistake.kind, (position,), keypoints, reason, score))
    return found


def hand_costs(hands: Points) -> Points:
    """Return how implausible versions of one hand are, shape (versions,); lower is better.

    Args:
        hands: x, y in pixels, NaN where missing, shape (versions, 21, 2). The first one is the annotation.
    """
    cost, _ = _BONES.fitted(hands)
    chains = np.diff(hands[:, _CHAINS], axis=2)
    before, after = chains[:, :, :-1], chains[:, :, 1:]
    cosine = _cosine(before, after)
    cost = cost + _FOLDED * np.where(np.isnan(cosine), 0, np.maximum(-cosine, 0)).sum(axis=(1, 2))
    # The bases of the fingers lie in a row: the way from one to the next keeps its direction.
    row = np.diff(hands[:, _MCPS[1:]], axis=1)
    turned = _cosine(row[:, :-1], row[:, 1:])
    return cost + _CROSSED * np.where(np.isnan(turned), 0, np.maximum(-turned, 0)).sum(axis=1)


def _cosine(one: Points, other: Points) -> Points:
    lengths = np.hypot(one[..., 0], one[..., 1]) * np.hypot(other[..., 0], other[..., 1])
    return (one * other).sum(axis=-1) / np.maximum(lengths, 1e-6)
