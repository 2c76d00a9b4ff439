"""Hand search: where to run the hand network, and which hands to accept.

The body network finds shoulder, elbow and wrist. The first region is a square along the forearm; the landmarks found
there define the next. A hand is accepted if it agrees with the body's wrist.

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
"""Least score of wrist and elbow for a hand search."""
FORESHORTENED = 0.9
"""Least forearm in upper arms: one that points at the camera looks short."""
SMALLEST_ARM = 4.0
"""Pixels; the hand of a shorter arm has a pixel or two."""
CENTER_BEYOND_WRIST, REGION_PER_ARM = 0.35, 1.1
"""Centre and side of the first region, in arm lengths."""

REFINED_SCALE, REFINED_SHIFT = 2.0, -0.1
"""MediaPipe's scale of the landmarks' bounding square, and its shift towards the fingers."""
PALM_AND_FINGER_BASES = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""The landmarks that MediaPipe bounds: finger tips move too much."""

MAX_REFINEMENTS = 2
PROMISING_SCORE = 0.02
"""Least score for a refinement: the first region may be far off."""
SETTLED = 0.05
"""Change of a region (shift, growth, rotation) below which it needs no further refinement."""

HAND_SCORE = 0.5
WRIST_AGREEMENT = 0.4
"""Largest distance of the hand's wrist from the body's, in arm lengths."""
SAME_HAND = 0.5
"""Mean distance in palm lengths below which two results are one hand."""

CLICKED_REGION_PER_FOREARM = 1.1
"""Side of the first square around a click, in lengths of the forearm."""
CLICKED_REGION_PER_REACH = 3.0
"""Side of the square if the annotator drew a rectangle, in half sides of it: the network needs a margin."""
SIZES_OF_KNOWN, SIZES_OF_UNKNOWN = ((1.0, 1.6), (0.6,)), ((1.0, 1.6), (2.5, 4.0), (0.6, 0.35))
"""Batches of sides, in sides of the first square, if the person's size is known or unknown. Small squares come last,
only if larger ones contain nothing: in a part of a hand, the network finds a whole one."""
CLICKED_TURNS = (0, 90, 180, 270)
"""Degrees."""
CLICKED_LOOKS_REFINED = 4
SURE_SCORE = 0.8
"""A hand with this score ends the search."""
CLICKED_SCORE = 0.3
"""Least score, minus the cost of its size, of a hand at a click."""
COST_OF_KNOWN, COST_OF_UNKNOWN = 0.3, 0.1
"""Loss in score of a hand e times larger or smaller than expected, for a known or unknown size of the person."""
CLICKED_DISTANCE = 0.3
"""Largest distance of the click from the hand, in palm lengths."""
CLICKED_BEND = math.radians(120)
"""Largest angle between hand and forearm: wrists bend no farther."""


@dataclass(frozen=True)
class Arm:
    """An arm whose hand is searched for.

    Attributes:
        person: Index of the person in the picture.
        part: The left or the right hand.
        wrist: x, y in pixels, shape (2,).
        length: Length of the forearm in pixels, corrected for foreshortening.
        region: The first square to search.
    """

    person: int
    part: Part
    wrist: Points
    length: float
    region: SquareRegion


@dataclass(frozen=True)
class Hand:
    """The hand network's result for a region.

    Attributes:
        points: 21 landmarks, pixels, shape (21, 2).
        score: Probability of a hand, 0 to 1.
        right: Probability of a right hand, 0 to 1.
    """

    points: Points
    score: float
    right: float


def arms_to_search(bodies: Points, scores: Points, picture_size: tuple[int, int]) -> list[Arm]:
    """Return the arms whose hand can be searched for.

    Args:
        bodies: COCO keypoints of all people, pixels, shape (n, 17 or more, 2).
        scores: Their scores, shape (n, 17 or more).
        picture_size: Width and height in pixels; wrists outside the picture are skipped.
    """
    found: list[Arm] = []
    for person, (at, score) in enumerate(zip(bodies, scores, strict=True)):
        for part, (shoulder, elbow, wrist) in ARMS.items():
            inside = bool(np.all(at[wrist] >= 0) and np.all(at[wrist] < picture_size))
            seen = score[wrist] >= JOINT_SCORE and score[elbow] >= JOINT_SCORE  # false for NaN, unlike `min`
            if not seen or not inside:
                continue
            forearm = at[wrist] - at[elbow]
            length = float(np.linalg.norm(forearm))
            if score[shoulder] >= JOINT_SCORE:
                length = max(length, FORESHORTENED * float(np.linalg.norm(at[elbow] - at[shoulder])))
            if not length >= SMALLEST_ARM:  # also for NaN
                continue
            x, y = at[wrist] + CENTER_BEYOND_WRIST * forearm
            region = SquareRegion(
                float(x), float(y), REGION_PER_ARM * length, angle_to(at[elbow], at[wrist], 90)
            )
            found.append(Arm(person, part, at[wrist], length, region))
    return found


def refined_region(hand: Hand, region: SquareRegion) -> SquareRegion | None:
    """Return the region that the landmarks define, or None if a refinement would not help."""
    if hand.score < PROMISING_SCORE:
        return None
    refined = region_of(hand.points)
    if not refined.side > 0:
        return None
    moved = max(
        math.hypot(refined.x - region.x, refined.y - region.y) / refined.side,
        abs(refined.side / region.side - 1),
        abs(math.remainder(refined.angle - region.angle, 2 * math.pi)) / 3,
    )
    return refined if moved >= SETTLED else None


def region_of(points: Points) -> SquareRegion:
    """Return the region that the 21 landmarks of a hand define, in pixels."""
    knuckles = ((points[5] + points[13]) / 2 + points[9]) / 2
    angle = angle_to(points[0], knuckles, 90)
    rectangle = bounding_rectangle(points[list(PALM_AND_FINGER_BASES)], angle)
    return region_round(rectangle, angle, REFINED_SCALE, REFINED_SHIFT)


def is_of_arm(arm: Arm, hand: Hand) -> bool:
    """Tell whether a result is a hand at the arm's wrist."""
    return hand.score >= HAND_SCORE and _distance_to_wrist(arm, hand) <= WRIST_AGREEMENT


@dataclass(frozen=True)
class Look:
    """A search of a square at a click.

    Attributes:
        hand: The hand network's result.
        region: The square, perhaps refined.
    """

    hand: Hand
    region: SquareRegion


def regions_at(click: Click, part: Part) -> list[list[SquareRegion]]:
    """Return the batches of squares to search for a clicked hand, in order.

    The first is along the forearm, if the elbow was found. The others have all rotations.
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
    """Return the angle of a region in which the forearm to the click points up; None without an elbow."""
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
    """Return the indices of the hands to refine, best first."""
    promising = [i for i, hand in enumerate(hands) if hand.score >= PROMISING_SCORE]  # false for NaN
    return sorted(promising, key=lambda i: hands[i].score, reverse=True)[:CLICKED_LOOKS_REFINED]


def hand_at(click: Click, part: Part, looks: Sequence[Look]) -> Hand | None:
    """Return the likeliest hand at a click, or None.

    The annotator knows whose hand it is and which, so neither wrist nor handedness rejects it. A hand that points back
    to the elbow does not belong to this arm.
    """
    side = _expected_side_at(click)
    cost = COST_OF_KNOWN if click.size_known else COST_OF_UNKNOWN

    def likelihood(look: Look) -> float:
        return look.hand.score - cost * abs(math.log(look.region.side / side))

    along = _turn_of_forearm(click, part)

    def is_bent_too_far(hand: Hand) -> bool:
        turn = angle_to(hand.points[0], hand.points[9], 90)
        return along is not None and abs(math.remainder(turn - along, 2 * math.pi)) > CLICKED_BEND

    at_click = [
        look
        for look in looks
        if likelihood(look) >= CLICKED_SCORE
        and not is_bent_too_far(look.hand)
        and distance_to_points(look.hand.points, click.point) <= CLICKED_DISTANCE * _palm(look.hand)
    ]
    best = max(at_click, key=likelihood, default=None)
    return None if best is None else best.hand


def is_enough(hand: Hand | None, batch: int, batches: int) -> bool:
    """Tell whether the search can end. The last batch, of small squares, is only for no hand at all."""
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
    """Return the results that are the hand of their arm, each hand once.

    Handedness never rejects a hand, since the network errs on some. It only decides between two wrists.
    """
    near = [(arm, hand) for arm, hand in finds if is_of_arm(arm, hand)]
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
