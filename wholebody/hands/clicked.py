"""A hand at an annotator's click or rectangle."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wholebody import clicks
from wholebody.clicks import Click, distance_to_points
from wholebody.geometry import SquareRegion, angle_to
from wholebody.hands.arms import ARMS
from wholebody.hands.landmarks import Hand
from wholebody.schema import Part

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
CLICKED_PROMISING_SCORE = 0.02
"""Least score for a refinement: a click is rarely at the middle of the hand."""
SMALLEST_FOREARM = 4.0
"""Pixels from click to elbow; a shorter forearm has no direction."""
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
        and np.linalg.norm(at - click.point) >= SMALLEST_FOREARM
    )
    return angle_to(at, click.point, 90) if seen else None


def most_promising(hands: Sequence[Hand]) -> list[int]:
    """Return the indices of the hands to refine, best first."""
    promising = [i for i, hand in enumerate(hands) if hand.score >= CLICKED_PROMISING_SCORE]  # false for NaN
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
        and distance_to_points(look.hand.points, click.point) <= CLICKED_DISTANCE * look.hand.palm
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
