"""What differs from the frames before and after: points that jump, swapped sides, and missing people."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from wholebody.assignment import best_pairs
from wholebody.geometry import overlaps
from wholebody.label_checks.finding import (
    LEAST_SCORE,
    Finding,
    Kind,
    LabelledPerson,
    Points,
    positions,
    suspicion,
)
from wholebody.schema import KEYPOINTS, PART_RANGES, Part

Frame = Sequence[LabelledPerson]

_SAME_PERSON = 0.1  # lowest likeness of a person in two frames
_NEAR = 0.25  # typical movement from frame to frame, in diagonals of the box
_JUMP = 0.35  # of a part's size, beyond the movement of the part
_STILL = 2.0  # a jump is so many times farther than the point's way from the frame before to the one after
_FEWEST = 4  # points of a part that show its movement
_SWAP_LEAST = 0.1  # diagonals: movement that a swap explains
_SWAP_BETTER = 0.5  # share of the movement that remains once the swap is undone
_GONE = 0.4  # overlap of the boxes before and after
_GONE_SCORE = 0.6

_LEFT_HAND, _RIGHT_HAND = list(PART_RANGES[Part.LEFT_HAND]), list(PART_RANGES[Part.RIGHT_HAND])
_GROUPS: dict[str, list[int]] = {
    # Arms are left out: in signing they may move and return between two frames.
    "body": [*range(7), *range(11, 23)],
    "face": list(PART_RANGES[Part.FACE]),
    "left hand": [9, *_LEFT_HAND],
    "right hand": [10, *_RIGHT_HAND],
}
_SWAPS: dict[str, list[int]] = {
    "the hands": [*_LEFT_HAND, *_RIGHT_HAND],
    "the arms": [7, 8, 9, 10],
    "the arms and hands": [7, 8, 9, 10, *_LEFT_HAND, *_RIGHT_HAND],
    "the legs": [13, 14, 15, 16, *range(17, 23)],
    "the body": list(range(23)),
    "the body and hands": [*range(23), *_LEFT_HAND, *_RIGHT_HAND],
}
_TWINS = np.array([keypoint.twin for keypoint in KEYPOINTS])


def unlike_neighbours(frames: Sequence[Frame]) -> list[list[Finding]]:
    """Return the findings of each frame in a list of at least three; otherwise none.

    Args:
        frames: The people of each frame, in order of time.
    """
    found: list[list[Finding]] = [[] for _ in frames]
    if len(frames) < 3:
        return found
    following = [_same_people(one, other) for one, other in pairwise(frames)]
    for at, frame in enumerate(frames):
        back = {later: earlier for earlier, later in following[at - 1].items()} if at else {}
        ahead = following[at] if at < len(following) else {}
        for position, person in enumerate(frame):
            before = frames[at - 1][back[position]] if position in back else None
            after = frames[at + 1][ahead[position]] if position in ahead else None
            if before is not None and after is not None:
                found[at] += _swapped(person, position, before, after)
                found[at] += _jumps(person, position, before, after)
        if 0 < at < len(following):
            found[at] += _missing(frames[at - 1], frame, frames[at + 1], following[at - 1], ahead)
    return found


def _same_people(one: Frame, other: Frame) -> dict[int, int]:
    """Return the positions of people in the next frame by their position in one."""
    if not one or not other:
        return {}
    alike = np.array([[_likeness(a, b) for b in other] for a in one])
    return {a: b for a, b in best_pairs(alike) if alike[a, b] >= _SAME_PERSON}


def _likeness(one: LabelledPerson, other: LabelledPerson) -> float:
    shared = one.seen & other.seen
    shared[list(PART_RANGES[Part.FACE])] = False  # its many points would outweigh the body
    ends = _middle(one, shared), _middle(other, shared)
    apart = np.linalg.norm(ends[0] - ends[1]) / (_NEAR * _diagonal(one))
    return float(np.exp(-(apart**2) / 2))


def _middle(person: LabelledPerson, shared: np.ndarray) -> Points:
    if shared.any():
        return np.asarray(person.keypoints[shared].mean(axis=0))
    return (person.box[:2] + person.box[2:]) / 2


def _diagonal(person: LabelledPerson) -> float:
    return max(float(np.linalg.norm(person.box[2:] - person.box[:2])), 1.0)


def _jumps(
    person: LabelledPerson, position: int, before: LabelledPerson, after: LabelledPerson
) -> list[Finding]:
    earlier, now, later = positions(before), positions(person), positions(after)
    found: list[Finding] = []
    for name, group in _GROUPS.items():
        known = np.array(group)[np.isfinite(earlier[group] + now[group] + later[group])[:, 0]]
        if len(known) < _FEWEST:
            continue
        size = max(float(np.linalg.norm(np.ptp((earlier[known] + later[known]) / 2, axis=0))), 1.0)
        off = now[known] - (earlier[known] + later[known]) / 2
        alone = np.linalg.norm(off - np.median(off, axis=0), axis=1)
        way = np.linalg.norm(later[known] - earlier[known], axis=1)
        evidence = alone / np.maximum(_JUMP * size, _STILL * way)
        jumping = evidence >= 1
        if jumping.any():
            indices = tuple(int(index) for index in known[jumping])
            names = ", ".join(KEYPOINTS[index].name for index in indices[:3])
            more = f" and {len(indices) - 3} more" if len(indices) > 3 else ""
            reason = f"{name}: {names}{more} {'jumps' if len(indices) == 1 else 'jump'} in this frame only"
            found.append(
                Finding(Kind.JUMP, (position,), indices, reason, suspicion(float(evidence.max()), 1.0))
            )
    return found


def _swapped(
    person: LabelledPerson, position: int, before: LabelledPerson, after: LabelledPerson
) -> list[Finding]:
    """Return the swap that explains the movement from the frame before and to the one after."""
    others = positions(before), positions(after)
    now, diagonal = positions(person), _diagonal(person)
    best: Finding | None = None
    for name, group in _SWAPS.items():
        moves = [_movement(now[group], other[group]) / diagonal for other in others]
        undone = [_movement(now[_TWINS[group]], other[group]) / diagonal for other in others]
        if not all(
            was >= _SWAP_LEAST and then <= _SWAP_BETTER * was for was, then in zip(moves, undone, strict=True)
        ):
            continue
        score = suspicion(min(was - then for was, then in zip(moves, undone, strict=True)), _SWAP_LEAST / 2)
        if score >= LEAST_SCORE and (best is None or score > best.score):
            keypoints = tuple(index for index in group if person.seen[index])
            reason = f"left and right of {name} are swapped, unlike the frames before and after"
            best = Finding(Kind.SWAPPED, (position,), keypoints, reason, score)
    return [best] if best is not None else []


def _movement(one: Points, other: Points) -> float:
    """Return the mean distance of points in pixels; NaN if they have none in common."""
    apart = np.linalg.norm(one - other, axis=1)
    known = apart[np.isfinite(apart)]
    return float(known.mean()) if len(known) else float("nan")


def _missing(
    earlier: Frame, now: Frame, later: Frame, following: dict[int, int], ahead: dict[int, int]
) -> list[Finding]:
    """Return people of the frames before and after who are not in this one."""
    gone = [position for position in range(len(earlier)) if position not in following]
    new = [position for position in range(len(later)) if position not in ahead.values()]
    found: list[Finding] = []
    for one in gone:
        box = earlier[one].box
        returns = any(_overlap(box, later[other].box) >= _GONE for other in new)
        if returns and not any(_overlap(box, person.box) >= _GONE for person in now):
            x1, y1, x2, y2 = (round(float(edge)) for edge in box)
            reason = f"the person at x {x1} to {x2}, y {y1} to {y2} is in the frames before and after, not in this one"
            found.append(Finding(Kind.MISSING, (), (), reason, _GONE_SCORE))
    return found


def _overlap(one: Points, other: Points) -> float:
    return float(overlaps(one[np.newaxis], other[np.newaxis])[0, 0])
