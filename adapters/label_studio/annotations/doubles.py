"""Resolves keypoints that were drawn more than once for one person.

An annotator's work takes precedence over predictions: a relabelled point first, then an added one, then a moved one. A
hand that was added as a whole stays whole: half of one and half of another is no hand.
"""

from collections import defaultdict
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from adapters.label_studio.annotations.gathering import Gathered
from adapters.label_studio.annotations.points import DrawnPoint
from adapters.label_studio.annotations.regions import Warn, joined_later
from adapters.sentences import listed, one_line
from wholebody.schema import KEYPOINTS, Part

_HANDS = (Part.LEFT_HAND, Part.RIGHT_HAND)
_Hand: TypeAlias = tuple[str | None, Part, bool]
"""The person and the hand that it was predicted as, and whether it was added later."""
_FEWEST = 5  # points of a hand; fewer were dragged under another box one by one
_LISTED = 3  # keypoints listed in a warning


class _Edit(IntEnum):
    """The annotator's change to a point, in ascending precedence."""

    NOTHING = 0
    MOVED = 1
    ADDED = 2
    RELABELLED = 3


_EDIT_NAMES = {
    _Edit.NOTHING: "was left as predicted",
    _Edit.MOVED: "was moved",
    _Edit.ADDED: "was added",
    _Edit.RELABELLED: "was relabelled",
}


class _Precedence(NamedTuple):
    """The sort key between two points of a keypoint."""

    edit: _Edit
    is_point: bool
    order: int


def without_doubles(one: Gathered, warn: Warn) -> dict[int, DrawnPoint]:
    """Return the point that counts for each keypoint of a person, by the keypoint's index.

    Args:
        one: The person.
        warn: Takes a warning about points that are ignored.
    """
    chosen: dict[int, tuple[_Precedence, DrawnPoint]] = {}
    doubles: defaultdict[str, list[int]] = defaultdict(list)
    for order, point in enumerate(_without_second_hands(one, warn)):
        this = (_Precedence(_edit_of(one, point), not point.in_bones, order), point)
        other = chosen.setdefault(point.index, this)
        if other is this:
            continue
        better, worse = (this, other) if this[0] > other[0] else (other, this)
        chosen[point.index] = better
        # The same vertex may be in two lines, and a smart tool may return the same point again.
        if better[1].id != worse[1].id and _position(better[1]) != _position(worse[1]):
            doubles[_reason(better[0], worse[0])].append(point.index)
    for reason, indices in doubles.items():
        _warn_of_doubles(indices, reason, warn)
    return {index: point for index, (_, point) in chosen.items()}


def _edit_of(one: Gathered, point: DrawnPoint) -> _Edit:
    if point.relabelled:
        return _Edit.RELABELLED
    if one.added(point):
        return _Edit.ADDED
    return _Edit.MOVED if point.moved else _Edit.NOTHING


def _position(point: DrawnPoint) -> tuple[int, float, float]:
    return point.index, point.x, point.y


def _reason(better: _Precedence, worse: _Precedence) -> str:
    if better.edit != worse.edit:
        return f"the one that {_EDIT_NAMES[better.edit]} counts"
    return "the later one counts" if better.is_point == worse.is_point else "the point counts, not the vertex"


def _warn_of_doubles(indices: Sequence[int], reason: str, warn: Warn) -> None:
    names = [KEYPOINTS[index].name for index in dict.fromkeys(indices)]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    was = "was" if len(names) == 1 else "were"
    warn(one_line(f"{listed(names[:_LISTED])}{more} {was} drawn twice for one person; {reason}"))


def _without_second_hands(one: Gathered, warn: Warn) -> list[DrawnPoint]:
    """Drop a hand that shares keypoints with another whole hand of the same side and higher precedence.

    It remains after a swap in which only one of two hands was relabelled, and after a smart tool added a better hand.
    """
    hands: defaultdict[Part, defaultdict[_Hand, list[DrawnPoint]]] = defaultdict(lambda: defaultdict(list))
    for point in one.points:
        part = KEYPOINTS[point.index].part
        if point.named is not None and part in _HANDS:
            hands[part][point.owner, KEYPOINTS[point.named].part, joined_later(point.id)].append(point)
    gone: set[int] = set()
    for part, drawn in hands.items():
        if len(drawn) < 2:
            continue
        edits = {hand: max(_edit_of(one, point) for point in points) for hand, points in drawn.items()}
        # Of two with the same precedence, the later one: the dict keeps their order.
        best = max(reversed(drawn), key=lambda hand: edits[hand])
        if not _is_whole(one, drawn[best]):
            continue
        indices = {point.index for point in drawn[best]}
        positions = {_position(point) for point in drawn[best]}
        for hand, points in drawn.items():
            if hand != best and any(point.index in indices for point in points):
                gone |= {id(point) for point in points}
                if any(_position(point) not in positions for point in points):
                    _warn_of_second_hand(one, part, edits[best], edits[hand], warn)
    return [point for point in one.points if id(point) not in gone]


def _is_whole(one: Gathered, hand: Sequence[DrawnPoint]) -> bool:
    """Return whether a hand was drawn or relabelled as a whole: bones, or a smart tool's result."""
    if any(point.in_bones for point in hand):
        return True
    return len(hand) >= _FEWEST and all(one.added(point) for point in hand)


def _warn_of_second_hand(one: Gathered, part: Part, kept: _Edit, left_out: _Edit, warn: Warn) -> None:
    which = ("later one", "earlier one")
    if kept != left_out:
        which = (f"one that {_EDIT_NAMES[kept]}", f"one that {_EDIT_NAMES[left_out]}")
    warn(
        one_line(
            f"{one.title} has two {part.value.replace('_', ' ')}s: the {which[0]} is kept, the {which[1]} is left out. "
            + (
                "Relabel the other one as well, or delete it"
                if kept is _Edit.RELABELLED
                else "Delete the other one"
            )
        )
    )
