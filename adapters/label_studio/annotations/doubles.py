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
_NAMED = 3  # keypoints listed in a warning


class _Done(IntEnum):
    """The annotator's change to a point, in ascending precedence."""

    NOTHING = 0
    MOVED = 1
    ADDED = 2
    RELABELLED = 3


_IN_WORDS = {
    _Done.NOTHING: "was left as predicted",
    _Done.MOVED: "was moved",
    _Done.ADDED: "was added",
    _Done.RELABELLED: "was relabelled",
}


class _Worth(NamedTuple):
    """The sort key between two points of a keypoint."""

    done: _Done
    is_point: bool
    order: int


def without_doubles(one: Gathered, warn: Warn) -> dict[int, DrawnPoint]:
    """Return the point that counts for each keypoint of a person, by the keypoint's index.

    Args:
        one: The person.
        warn: Takes a warning about points that are ignored.
    """
    chosen: dict[int, tuple[_Worth, DrawnPoint]] = {}
    doubles: defaultdict[str, list[int]] = defaultdict(list)
    for order, point in enumerate(_without_second_hands(one, warn)):
        this = (_Worth(_done(one, point), not point.in_bones, order), point)
        other = chosen.setdefault(point.index, this)
        if other is this:
            continue
        better, worse = (this, other) if this[0] > other[0] else (other, this)
        chosen[point.index] = better
        # The same vertex may be in two lines, and a smart tool may return the same point again.
        if better[1].id != worse[1].id and _place(better[1]) != _place(worse[1]):
            doubles[_reason(better[0], worse[0])].append(point.index)
    for reason, indices in doubles.items():
        _say_doubles(indices, reason, warn)
    return {index: point for index, (_, point) in chosen.items()}


def _done(one: Gathered, point: DrawnPoint) -> _Done:
    if point.relabelled:
        return _Done.RELABELLED
    if one.added(point):
        return _Done.ADDED
    return _Done.MOVED if point.moved else _Done.NOTHING


def _place(point: DrawnPoint) -> tuple[int, float, float]:
    return point.index, point.x, point.y


def _reason(better: _Worth, worse: _Worth) -> str:
    if better.done != worse.done:
        return f"the one that {_IN_WORDS[better.done]} counts"
    return "the later one counts" if better.is_point == worse.is_point else "the point counts, not the vertex"


def _say_doubles(indices: Sequence[int], reason: str, warn: Warn) -> None:
    names = [KEYPOINTS[index].name for index in dict.fromkeys(indices)]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    was = "was" if len(names) == 1 else "were"
    warn(one_line(f"{listed(names[:_NAMED])}{more} {was} drawn twice for one person; {reason}"))


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
        done = {hand: max(_done(one, point) for point in points) for hand, points in drawn.items()}
        # Of two with the same precedence, the later one: the dict keeps their order.
        best = max(reversed(drawn), key=lambda hand: done[hand])
        if not _came_whole(one, drawn[best]):
            continue
        indices = {point.index for point in drawn[best]}
        places = {_place(point) for point in drawn[best]}
        for hand, points in drawn.items():
            if hand != best and any(point.index in indices for point in points):
                gone |= {id(point) for point in points}
                if any(_place(point) not in places for point in points):
                    _say_second_hand(one, part, done[best], done[hand], warn)
    return [point for point in one.points if id(point) not in gone]


def _came_whole(one: Gathered, hand: Sequence[DrawnPoint]) -> bool:
    """Return whether a hand was drawn or relabelled as a whole: bones, or a smart tool's result."""
    if any(point.in_bones for point in hand):
        return True
    return len(hand) >= _FEWEST and all(one.added(point) for point in hand)


def _say_second_hand(one: Gathered, part: Part, kept: _Done, left_out: _Done, warn: Warn) -> None:
    which = ("later one", "earlier one")
    if kept != left_out:
        which = (f"one that {_IN_WORDS[kept]}", f"one that {_IN_WORDS[left_out]}")
    warn(
        one_line(
            f"{one.title} has two {part.value.replace('_', ' ')}s: the {which[0]} is kept, the {which[1]} is left out. "
            + (
                "Relabel the other one as well, or delete it"
                if kept is _Done.RELABELLED
                else "Delete the other one"
            )
        )
    )
