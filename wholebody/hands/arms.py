"""Hands of arms: where to search them, and which results are the hand of their arm.

The body network finds shoulder, elbow and wrist. The first region is a square along the forearm; the landmarks found
there define the next. A hand is accepted if it agrees with the body's wrist.

The constants were chosen on sign-language clips and photographs of crowds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wholebody.geometry import Points, SquareRegion, angle_to
from wholebody.hands.landmarks import Hand, is_hand, same_hand
from wholebody.known_parts import Anchor
from wholebody.schema import Part

# Shoulder, elbow and wrist in COCO order.
ARMS: dict[Part, tuple[int, int, int]] = {Part.LEFT_HAND: (5, 7, 9), Part.RIGHT_HAND: (6, 8, 10)}

JOINT_SCORE = 0.3
"""Least score of wrist and elbow for a hand search."""
FORESHORTENED = 0.9
"""Least forearm in upper arms: one that points at the camera looks short."""
SMALLEST_ARM = 12.0
"""Pixels; the hand of a shorter arm has a few pixels, like any small blob."""
CENTER_BEYOND_WRIST, REGION_PER_ARM = 0.35, 1.1
"""Centre and side of the first region, in arm lengths."""

WRIST_AGREEMENT = 0.4
"""Largest distance of the hand's wrist from the body's, in arm lengths."""


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

    @property
    def anchor(self) -> Anchor:
        """What the region of its hand follows in a clip."""
        return Anchor(self.wrist, self.length, self.region.angle)


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


def is_of_arm(arm: Arm, hand: Hand, picture_size: tuple[int, int]) -> bool:
    """Tell whether a result is a hand at the arm's wrist."""
    return is_hand(hand, picture_size) and _distance_to_wrist(arm, hand) <= WRIST_AGREEMENT


def believed(finds: Sequence[tuple[Arm, Hand]], picture_size: tuple[int, int]) -> list[tuple[Arm, Hand]]:
    """Return the results that are the hand of their arm, each hand once.

    Handedness never rejects a hand, since the network errs on some. It only decides between two wrists.
    """
    near = [(arm, hand) for arm, hand in finds if is_of_arm(arm, hand, picture_size)]
    near.sort(key=lambda find: (find[1].side is not find[0].part, _distance_to_wrist(*find)))
    kept: list[tuple[Arm, Hand]] = []
    for arm, hand in near:
        if not any(same_hand(hand, other) for _, other in kept):
            kept.append((arm, hand))
    return kept


def _distance_to_wrist(arm: Arm, hand: Hand) -> float:
    return float(np.linalg.norm(hand.points[0] - arm.wrist)) / arm.length
