"""Where hands are looked for, and which finds are believed.

The body network gives shoulder, elbow and wrist. The first look is a square along the forearm; the hand network's
own landmarks then say where to look again. A hand is believed when it lies where the body's wrist is.

The refined region is that of MediaPipe's hand tracking (hand_landmark_landmarks_to_roi.pbtxt). The other constants
were chosen on sign-language clips and photographs of crowds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wholebody import clicks
from wholebody.clicks import Click, distance_to_points
from wholebody.geometry import Points, SquareRegion, angle_to, bounding_rectangle, region_round
from wholebody.schema import Part

# Shoulder, elbow and wrist in COCO order.
ARMS: dict[Part, tuple[int, int, int]] = {Part.LEFT_HAND: (5, 7, 9), Part.RIGHT_HAND: (6, 8, 10)}

JOINT_SCORE = 0.3
"""Least score of wrist and elbow for a hand to be looked for."""
FORESHORTENED = 0.9
"""A forearm that points at the camera looks short: it counts as at least this share of the upper arm."""
SMALLEST_ARM = 4.0
"""Pixels; the hand of a shorter arm is smaller than a pixel or two."""
CENTER_BEYOND_WRIST, REGION_PER_ARM = 0.35, 1.1
"""Centre and side of the first region, in arm lengths."""

REFINED_SCALE, REFINED_SHIFT = 2.0, -0.1
"""MediaPipe's growth of the landmarks' bounding square, and its shift towards the fingers."""
PALM_AND_FINGER_BASES = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""The landmarks whose bounding rectangle MediaPipe takes: finger tips move too much."""

MAX_REFINEMENTS = 2
PROMISING_SCORE = 0.02
"""Least score for a second look: the first region may be well off."""
SETTLED = 0.05
"""A region that would move, grow and turn less than this needs no other look."""

HAND_SCORE = 0.5
WRIST_AGREEMENT = 0.4
"""Farthest that the hand's wrist may lie from the body's, in arm lengths."""
SAME_HAND = 0.5
"""Two finds whose points lie closer than this on average, in palm lengths, are one hand."""

CLICKED_REGION_PER_FOREARM = 1.1
"""Side of the first square round a click, in lengths of the forearm."""
CLICKED_REGION_PER_REACH = 3.0
"""The same where the annotator drew a rectangle: the network likes to see a hand with room round it."""
SIZES_OF_KNOWN, SIZES_OF_UNKNOWN = ((1.0, 1.6), (0.6,)), ((1.0, 1.6), (2.5, 4.0), (0.6, 0.35))
"""Sides of the squares that are searched together, in those of the first, where the person's size is known and where it
is not. Smaller ones come last, and only if nothing is in larger ones: in a part of a hand, the network sees a whole."""
CLICKED_TURNS = (0, 90, 180, 270)
"""Degrees."""
CLICKED_LOOKS_REFINED = 4
SURE_SCORE = 0.8
"""A hand with this score needs no look at other sizes and turns."""
CLICKED_SCORE = 0.3
"""Least score, less the cost of its size, of a hand where a human says that there is one."""
COST_OF_KNOWN, COST_OF_UNKNOWN = 0.3, 0.1
"""What a hand that is e times larger or smaller than expected loses in score, if the person's size is known or not."""
CLICKED_DISTANCE = 0.3
"""Farthest that the click may lie outside the hand, in palm lengths."""
CLICKED_BEND = math.radians(120)
"""Most that a hand may be turned against the forearm: farther, no wrist bends."""


@dataclass(frozen=True)
class Arm:
    """An arm at whose end a hand is looked for.

    Attributes:
        person: Position of the person in the picture's list of people.
        part: Which hand.
        wrist: x, y in pixels, shape (2,).
        length: Length of the forearm in pixels, as it would be without foreshortening.
        region: The first square to look at.
    """

    person: int
    part: Part
    wrist: Points
    length: float
    region: SquareRegion


@dataclass(frozen=True)
class Hand:
    """What the hand network saw in a region.

    Attributes:
        points: 21 landmarks, pixels, shape (21, 2).
        score: Likelihood that the region shows a hand, 0 to 1.
        right: Likelihood that it is a right hand, 0 to 1.
    """

    points: Points
    score: float
    right: float


def arms_to_search(bodies: Points, scores: Points, picture_size: tuple[int, int]) -> list[Arm]:
    """Return the arms whose hand can be looked for.

    Args:
        bodies: COCO keypoints of all people, pixels, shape (n, 17 or more, 2).
        scores: Their scores, shape (n, 17 or more).
        picture_size: Width and height in pixels: hands outside the picture are not looked for.
    """
    found: list[Arm] = []
    for person, (at, score) in enumerate(zip(bodies, scores, strict=True)):
        for part, (shoulder, elbow, wrist) in ARMS.items():
            inside = bool(np.all(at[wrist] >= 0) and np.all(at[wrist] < picture_size))
            seen = score[wrist] >= JOINT_SCORE and score[elbow] >= JOINT_SCORE  # false of NaN, unlike `min`
            if not seen or not inside:
                continue
            forearm = at[wrist] - at[elbow]
            length = float(np.linalg.norm(forearm))
            if score[shoulder] >= JOINT_SCORE:
                length = max(length, FORESHORTENED * float(np.linalg.norm(at[elbow] - at[shoulder])))
            if not length >= SMALLEST_ARM:  # nor of a length that is no number
                continue
            x, y = at[wrist] + CENTER_BEYOND_WRIST * forearm
            region = SquareRegion(
                float(x), float(y), REGION_PER_ARM * length, angle_to(at[elbow], at[wrist], 90)
            )
            found.append(Arm(person, part, at[wrist], length, region))
    return found


def refined_region(hand: Hand, region: SquareRegion) -> SquareRegion | None:
    """Return where the landmarks say that the hand is, or None if another look is not worth it."""
    if hand.score < PROMISING_SCORE:
        return None
    points = hand.points
    knuckles = ((points[5] + points[13]) / 2 + points[9]) / 2
    angle = angle_to(points[0], knuckles, 90)
    rectangle = bounding_rectangle(points[list(PALM_AND_FINGER_BASES)], angle)
    refined = region_round(rectangle, angle, REFINED_SCALE, REFINED_SHIFT)
    if not refined.side > 0:
        return None
    moved = max(
        math.hypot(refined.x - region.x, refined.y - region.y) / refined.side,
        abs(refined.side / region.side - 1),
        abs(math.remainder(refined.angle - region.angle, 2 * math.pi)) / 3,
    )
    return refined if moved >= SETTLED else None


@dataclass(frozen=True)
class Look:
    """A look at a square round a click.

    Attributes:
        hand: What the hand network saw.
        region: The square, which may follow from an earlier look.
    """

    hand: Hand
    region: SquareRegion


def regions_at(click: Click, part: Part) -> list[list[SquareRegion]]:
    """Return where to look for a hand that was clicked on: batches of squares, in order.

    The first is along the forearm, where the person's elbow is seen. The others are in all turns.
    """
    x, y = (float(value) for value in click.point)
    side = _expected_side_at(click)
    batches = [
        [SquareRegion(x, y, side * size, math.radians(turn)) for turn in CLICKED_TURNS for size in sizes]
        for sizes in (SIZES_OF_KNOWN if click.size_known else SIZES_OF_UNKNOWN)
    ]
    if (turn := _turn_of_forearm(click, part)) is not None:
        batches.insert(0, [SquareRegion(x, y, side, turn)])
    return batches


def _turn_of_forearm(click: Click, part: Part) -> float | None:
    """Return the turn of a region in which a forearm that ends at the click points up; None without its elbow."""
    if click.person is None:
        return None
    _, elbow, _ = ARMS[part]
    at, score = click.person.keypoints[elbow], click.person.scores[elbow]
    seen = (
        score >= clicks.JOINT_SCORE
        and np.isfinite(at).all()
        and np.linalg.norm(at - click.point) >= SMALLEST_ARM
    )
    return angle_to(at, click.point, 90) if seen else None


def most_promising(hands: Sequence[Hand]) -> list[int]:
    """Return the positions of the hands that are worth another look, best first."""
    promising = [i for i, hand in enumerate(hands) if hand.score >= PROMISING_SCORE]  # and so a number
    return sorted(promising, key=lambda i: hands[i].score, reverse=True)[:CLICKED_LOOKS_REFINED]


def hand_at(click: Click, part: Part, looks: Sequence[Look]) -> Hand | None:
    """Return the likeliest hand that lies at a click, or None.

    The annotator knows whose hand it is and which: neither the body's wrist nor handedness vetoes it. A hand that
    points back to the elbow is none of this arm.
    """
    side = _expected_side_at(click)
    cost = COST_OF_KNOWN if click.size_known else COST_OF_UNKNOWN

    def likelihood(look: Look) -> float:
        return look.hand.score - cost * abs(math.log(look.region.side / side))

    along = _turn_of_forearm(click, part)

    def is_bent_too_far(hand: Hand) -> bool:
        turn = angle_to(hand.points[0], hand.points[9], 90)
        return along is not None and abs(math.remainder(turn - along, 2 * math.pi)) > CLICKED_BEND

    there = [
        look
        for look in looks
        if likelihood(look) >= CLICKED_SCORE
        and not is_bent_too_far(look.hand)
        and distance_to_points(look.hand.points, click.point) <= CLICKED_DISTANCE * _palm(look.hand)
    ]
    best = max(there, key=likelihood, default=None)
    return None if best is None else best.hand


def is_enough(hand: Hand | None, batch: int, batches: int) -> bool:
    """Tell whether a hand that was found needs no further batch; the last, of small squares, is for none at all."""
    if hand is None:
        return False
    return hand.score >= SURE_SCORE or batch >= batches - 2


def _expected_side_at(click: Click) -> float:
    if click.reach is not None:
        return CLICKED_REGION_PER_REACH * click.reach
    return CLICKED_REGION_PER_FOREARM * click.forearm


def _palm(hand: Hand) -> float:
    return float(np.linalg.norm(hand.points[9] - hand.points[0]))


def believed(finds: Sequence[tuple[Arm, Hand]]) -> list[tuple[Arm, Hand]]:
    """Return the finds that are hands of the arm they were looked for at, each hand once.

    Handedness never vetoes a hand, since the network errs on some; it only decides between two wrists.
    """
    near = [
        (arm, hand)
        for arm, hand in finds
        if hand.score >= HAND_SCORE and _distance_to_wrist(arm, hand) <= WRIST_AGREEMENT
    ]
    near.sort(key=lambda find: (not _expected_side(*find), _distance_to_wrist(*find)))
    kept: list[tuple[Arm, Hand]] = []
    for arm, hand in near:
        if not any(_same_hand(hand, other) for _, other in kept):
            kept.append((arm, hand))
    return kept


def _distance_to_wrist(arm: Arm, hand: Hand) -> float:
    return float(np.linalg.norm(hand.points[0] - arm.wrist)) / arm.length


def _expected_side(arm: Arm, hand: Hand) -> bool:
    return (hand.right > 0.5) == (arm.part is Part.RIGHT_HAND)


def _same_hand(hand: Hand, other: Hand) -> bool:
    apart = float(np.linalg.norm(hand.points - other.points, axis=1).mean())
    return (hand.right > 0.5) == (other.right > 0.5) and apart < SAME_HAND * _palm(hand)
