"""The hand network's results, and the region in which to run it again.

The refined region is that of MediaPipe's hand tracking (hand_landmark_landmarks_to_roi.pbtxt).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wholebody.geometry import Points, SquareRegion, angle_to, bounding_rectangle, region_round
from wholebody.schema import Part

REFINED_SCALE, REFINED_SHIFT = 2.0, -0.1
"""MediaPipe's scale of the landmarks' bounding square, and its shift towards the fingers."""
PALM_AND_FINGER_BASES = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""The landmarks that MediaPipe bounds: finger tips move too much."""

MAX_REFINEMENTS = 2
PROMISING_SCORE = 0.1
"""Least score for a refinement: the first region may be far off. One hand in ten below it is true, at half the runs."""
SETTLED, SETTLED_IF_SURE = 0.05, 0.15
"""Change of a region (shift, growth, rotation) below which it needs no further refinement."""
SURE_SCORE = 0.9

HAND_SCORE = 0.6
"""Least score of a hand: half of those between 0.5 and 0.6 are none."""
INSIDE = 0.5
"""Least share of a hand's landmarks inside the picture: the network guesses the others."""
SAME_HAND, SAME_HAND_OF_UNLIKE_SIDES = 0.5, 0.25
"""Mean distance in palm lengths below which two results are one hand. Clasped hands are near each other and
mirrored."""


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

    @property
    def side(self) -> Part:
        """The likelier side."""
        return Part.RIGHT_HAND if self.right > 0.5 else Part.LEFT_HAND

    @property
    def palm(self) -> float:
        """Length of the palm in pixels: from the wrist to the base of the middle finger."""
        return float(np.linalg.norm(self.points[9] - self.points[0]))

    @property
    def center(self) -> Points:
        """The middle of wrist and finger bases, pixels, shape (2,)."""
        return self.points[[0, 5, 9, 13, 17]].mean(axis=0)


def refined_region(
    hand: Hand, region: SquareRegion, least_score: float = PROMISING_SCORE
) -> SquareRegion | None:
    """Return the region that the landmarks define, or None if a refinement would not help."""
    if not hand.score >= least_score:  # also for NaN
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
    return refined if moved >= (SETTLED_IF_SURE if hand.score >= SURE_SCORE else SETTLED) else None


def is_hand(hand: Hand, picture_size: tuple[int, int]) -> bool:
    """Tell whether a result is a hand, most of it inside the picture (width, height)."""
    inside = np.all((hand.points >= 0) & (hand.points < picture_size), axis=1)  # false for NaN
    return hand.score >= HAND_SCORE and float(inside.mean()) >= INSIDE


def same_hand(hand: Hand, other: Hand) -> bool:
    """Tell whether two results are one hand."""
    apart = float(np.linalg.norm(hand.points - other.points, axis=1).mean())
    return apart < hand.palm * (SAME_HAND if hand.side is other.side else SAME_HAND_OF_UNLIKE_SIDES)


def distinct(hands: Sequence[Hand]) -> list[Hand]:
    """Return each hand once, the surest result of it, surest first."""
    kept: list[Hand] = []
    for hand in sorted(hands, key=lambda hand: hand.score, reverse=True):
        if not any(same_hand(hand, other) for other in kept):
            kept.append(hand)
    return kept
