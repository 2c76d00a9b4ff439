"""Puts mistakes into correct annotations, one kind each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.made_people import MadePerson, made_person
from wholebody.label_checks.finding import Kind, LabelledPerson
from wholebody.label_checks.hands import LEAST_SIZE
from wholebody.schema import FACE_START, KEYPOINT_COUNT, KEYPOINTS, LEFT_HAND_START, RIGHT_HAND_START

Frames = list[list[LabelledPerson]]
_TWINS = np.array([keypoint.twin for keypoint in KEYPOINTS])
_HANDS = [*range(LEFT_HAND_START, KEYPOINT_COUNT)]
_ARMS, _LEGS = [7, 8, 9, 10], [13, 14, 15, 16, *range(17, 23)]
SWAPS: dict[str, list[int]] = {
    "whole person": [*range(KEYPOINT_COUNT)],
    "body and hands": [*range(23), *_HANDS],
    "body": [*range(23)],
    "arms and hands": [*_ARMS, *_HANDS],
    "arms": _ARMS,
    "hands": _HANDS,
    "wrists": [9, 10],
    "legs": _LEGS,
}
_LEFT_HAND, _RIGHT_HAND = _HANDS[:21], _HANDS[21:]
EXCHANGES: dict[str, list[int]] = {
    "arm and hand": [7, 9, *_LEFT_HAND],
    "arm": [8, 10],
    "wrist and hand": [10, *_RIGHT_HAND],
    "hand": _LEFT_HAND,
    "leg": [13, 15, 17, 18, 19],
    "elbow": [8],
    "head": [*range(5), *range(FACE_START, LEFT_HAND_START)],
}


@dataclass(frozen=True)
class Case:
    """Frames with a mistake in one of them.

    Attributes:
        frames: The people of each frame; a single picture is one frame.
        frame: The frame with the mistake.
        people: The people with the mistake; none if somebody is missing.
        kind: Its kind.
    """

    frames: Frames
    frame: int
    people: tuple[int, ...]
    kind: Kind


def labelled(person: MadePerson) -> LabelledPerson:
    """Return a made person as annotated."""
    return _with(person.keypoints, person.seen)


def _with(keypoints: NDArray[np.float64], seen: NDArray[np.bool_]) -> LabelledPerson:
    placed = keypoints[seen] if seen.any() else np.zeros((1, 2))
    return LabelledPerson(keypoints, seen, np.concatenate([placed.min(axis=0), placed.max(axis=0)]))


def picture(random: Generator, people: int | None = None) -> list[LabelledPerson]:
    """Make a picture of one to three people of like size side by side, who may overlap."""
    height = float(np.exp(random.uniform(np.log(80), np.log(900))))
    found: list[LabelledPerson] = []
    x = 0.0
    for _ in range(int(random.integers(1, 4)) if people is None else people):
        size = height * float(np.exp(random.normal(0, 0.15)))
        found.append(labelled(made_person(random, x, height * random.normal(0, 0.08), size)))
        x += height * random.uniform(0.2, 0.6)
    return found


def sequence(random: Generator, frames: int = 5) -> Frames:
    """Make a frame list of one or two people who move slowly as a whole, and their hands faster."""
    first = picture(random, int(random.integers(1, 3)))
    moved: Frames = []
    drift = random.normal(0, 0.02, (len(first), 2))
    swing = random.normal(0, 0.05, (len(first), 2, 2))
    for at in range(frames):
        people: list[LabelledPerson] = []
        for position, person in enumerate(first):
            height = float(np.ptp(person.keypoints[person.seen], axis=0).max())
            keypoints = person.keypoints + drift[position] * at * height
            for side, hand in enumerate(([9, *_LEFT_HAND], [10, *_RIGHT_HAND])):
                keypoints[hand] += swing[position, side] * height * np.sin(at)
            keypoints += random.normal(0, 0.004 * height, keypoints.shape)
            people.append(_with(keypoints, person.seen))
        moved.append(people)
    return moved


def swap(random: Generator, name: str | None = None) -> Case | None:
    """Swap left and right of a person."""
    people = picture(random)
    which = int(random.integers(len(people)))
    group = SWAPS[name or str(random.choice(list(SWAPS)))]
    person = people[which]
    if not any(person.seen[index] and person.seen[_TWINS[index]] for index in group):
        return None
    return _replaced(people, which, _reordered(person, group, _TWINS[group]), Kind.SWAPPED)


def _replaced(people: Sequence[LabelledPerson], which: int, person: LabelledPerson, kind: Kind) -> Case:
    changed = [person if position == which else one for position, one in enumerate(people)]
    return Case([changed], 0, (which,), kind)


def _reordered(person: LabelledPerson, group: Sequence[int], order: Sequence[int]) -> LabelledPerson:
    keypoints, seen = person.keypoints.copy(), person.seen.copy()
    keypoints[list(group)], seen[list(group)] = person.keypoints[list(order)], person.seen[list(order)]
    return _with(keypoints, seen)


def exchange(random: Generator, name: str | None = None) -> Case | None:
    """Exchange points of two people."""
    one, other = picture(random, 2)
    group = EXCHANGES[name or str(random.choice(list(EXCHANGES)))]
    if not (one.seen[group].any() and other.seen[group].any()):
        return None
    mine, theirs = (one.keypoints.copy(), one.seen.copy()), (other.keypoints.copy(), other.seen.copy())
    for array, from_one, from_other in zip(
        range(2), (one.keypoints, one.seen), (other.keypoints, other.seen), strict=True
    ):
        mine[array][group], theirs[array][group] = from_other[group], from_one[group]
    return Case([[_with(*mine), _with(*theirs)]], 0, (0, 1), Kind.MIXED)


def mirrored_hand(random: Generator) -> Case | None:
    """Reverse the order of the fingers of a hand."""
    order = [0, *(1 + 4 * (4 - finger) + joint for finger in range(5) for joint in range(4))]
    return _hand(random, order, Kind.MIRRORED_HAND)


def shifted_finger(random: Generator) -> Case | None:
    """Shift the labels of a finger by one joint; the last one gets the place of the first."""
    start = 1 + 4 * int(random.integers(5))
    order = list(range(21))
    order[start : start + 4] = np.roll(order[start : start + 4], int(random.choice((-1, 1)))).tolist()
    return _hand(random, order, Kind.SHIFTED_ORDER)


def reversed_finger(random: Generator) -> Case | None:
    """Reverse the labels of a finger, from tip to base."""
    start = 1 + 4 * int(random.integers(5))
    order = list(range(21))
    order[start : start + 4] = order[start : start + 4][::-1]
    return _hand(random, order, Kind.SHIFTED_ORDER)


def _hand(random: Generator, order: Sequence[int], kind: Kind) -> Case | None:
    people = picture(random)
    which, start = int(random.integers(len(people))), int(random.choice((LEFT_HAND_START, RIGHT_HAND_START)))
    group = range(start, start + 21)
    points = people[which].keypoints[list(group)][people[which].seen[list(group)]]
    if len(points) < 16 or np.linalg.norm(np.ptp(points, axis=0)) < LEAST_SIZE:
        return None
    return _replaced(people, which, _reordered(people[which], group, [start + i for i in order]), kind)


def shifted_jaw(random: Generator) -> Case | None:
    """Shift the labels of a jaw by one to three points, or reverse them."""
    people = picture(random)
    which = int(random.integers(len(people)))
    group = range(FACE_START, FACE_START + 17)
    if people[which].seen[list(group)].sum() < 14:
        return None
    shift = int(random.integers(0, 4))
    order = list(group)[::-1] if shift == 0 else np.roll(group, shift * int(random.choice((-1, 1)))).tolist()
    return _replaced(people, which, _reordered(people[which], group, order), Kind.SHIFTED_ORDER)


def left_behind(random: Generator) -> Case | None:
    """Move a badly predicted hand to its place, but forget one of its points."""
    people = picture(random)
    which, start = int(random.integers(len(people))), int(random.choice((LEFT_HAND_START, RIGHT_HAND_START)))
    person = people[which]
    hand = [index for index in range(start, start + 21) if person.seen[index]]
    if len(hand) < 16:
        return None
    size = float(np.linalg.norm(np.ptp(person.keypoints[hand], axis=0)))
    angle = random.uniform(0, 2 * np.pi)
    offset = size * random.uniform(0.3, 1.5) * np.array([np.cos(angle), np.sin(angle)])
    predicted = np.where(person.seen[:, np.newaxis], person.keypoints, np.nan)
    predicted[hand] += offset + random.normal(0, 0.03 * size, (len(hand), 2))
    forgotten = int(random.choice(hand))
    keypoints = person.keypoints.copy()
    keypoints[forgotten] = predicted[forgotten]
    changed = replace(_with(keypoints, person.seen), box=person.box, predicted=predicted)
    return _replaced(people, which, changed, Kind.LEFT_BEHIND)


def jump(random: Generator) -> Case | None:
    """Move a point of one frame away."""
    frames = sequence(random)
    at, which = int(random.integers(1, len(frames) - 1)), int(random.integers(len(frames[0])))
    person = frames[at][which]
    group = [_LEFT_HAND, [*range(FACE_START, LEFT_HAND_START)], [0, 5, 6, 11, 12, 13, 14]][
        int(random.integers(3))
    ]
    points = [index for index in group if person.seen[index]]
    if len(points) < 4:
        return None
    size = float(np.linalg.norm(np.ptp(person.keypoints[points], axis=0)))
    angle = random.uniform(0, 2 * np.pi)
    keypoints = person.keypoints.copy()
    keypoints[random.choice(points)] += (
        size * random.uniform(0.6, 2) * np.array([np.cos(angle), np.sin(angle)])
    )
    frames[at][which] = _with(keypoints, person.seen)
    return Case(frames, at, (which,), Kind.JUMP)


def swap_in_frame(random: Generator) -> Case | None:
    """Swap left and right of a person in one frame of a list."""
    frames = sequence(random)
    at, which = int(random.integers(1, len(frames) - 1)), int(random.integers(len(frames[0])))
    group = SWAPS[str(random.choice(list(SWAPS)))]
    person = frames[at][which]
    if not any(person.seen[index] and person.seen[_TWINS[index]] for index in group):
        return None
    frames[at][which] = _reordered(person, group, _TWINS[group])
    return Case(frames, at, (which,), Kind.SWAPPED)


def doubled(random: Generator) -> Case | None:
    """Annotate a person twice, the second time a little different and with fewer points."""
    people = picture(random)
    which = int(random.integers(len(people)))
    person = people[which]
    height = float(np.ptp(person.keypoints[person.seen], axis=0).max())
    again = person.keypoints + random.normal(0, 0.01 * height, person.keypoints.shape)
    seen = person.seen & (random.random(KEYPOINT_COUNT) > 0.3)
    if seen[:23].sum() < 5:
        return None
    return Case([[*people, _with(again, seen)]], 0, (which, len(people)), Kind.DOUBLED)


def missing(random: Generator) -> Case | None:
    """Leave out a person in one frame of a list."""
    frames = sequence(random)
    at, which = int(random.integers(1, len(frames) - 1)), int(random.integers(len(frames[0])))
    del frames[at][which]
    return Case(frames, at, (), Kind.MISSING)


MISTAKES: dict[str, Callable[[Generator], Case | None]] = {
    "left and right swapped": swap,
    "left and right swapped, in one of five frames": swap_in_frame,
    "points of two people mixed": exchange,
    "mirrored hand": mirrored_hand,
    "finger shifted by one joint": shifted_finger,
    "finger in reverse order": reversed_finger,
    "jaw shifted or in reverse order": shifted_jaw,
    "point left at its prediction": left_behind,
    "point jumps in one frame": jump,
    "person annotated twice": doubled,
    "person missing in one frame": missing,
}
