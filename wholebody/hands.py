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
    palm = float(np.linalg.norm(hand.points[9] - hand.points[0]))
    apart = float(np.linalg.norm(hand.points - other.points, axis=1).mean())
    return (hand.right > 0.5) == (other.right > 0.5) and apart < SAME_HAND * palm
