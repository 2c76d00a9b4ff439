"""Palms: hands whose arm the body network did not find, and hands without a body.

Who is filmed from the hips up often has an elbow outside the picture, and so no arm along which to search. A palm
detector searches the person's box instead, and each palm sets the region of the hand network, as in MediaPipe's hand
pipeline (palm_detection_detection_to_roi.pbtxt).
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from wholebody.geometry import Points, SquareRegion, angle_to, region_round
from wholebody.hands.arms import ARMS, JOINT_SCORE
from wholebody.hands.landmarks import Hand, is_hand, same_hand
from wholebody.networks import PalmDetections
from wholebody.schema import Part

PALM_SCORE = 0.5
KNEES = (13, 14)
WRIST_SCORE = 0.2
"""Least score of a missing arm's wrist: below it, no hand of the arm is in the picture."""
SMALLEST_BOX = 60.0
"""Pixels; the hand of a smaller person has a few pixels."""
MOST_PALMS = 3
"""Palms of a person that the hand network looks at, the likeliest first."""
REGION_PER_PALM, REGION_SHIFT = 2.6, -0.5
"""MediaPipe's side of the region, in sides of the palm, and its shift towards the fingers."""
KNOWN_HAND = 0.5
"""Largest distance of a palm from the centre of a known hand, in palm lengths of it, to be that hand."""

TURNS = (0.0, 90.0, 180.0, 270.0)
"""Degrees by which a picture of hands alone is turned until a hand is found."""
MOST_ALONE = 8
"""Palms of a picture of hands alone that the hand network looks at."""


@dataclass(frozen=True)
class Palm:
    """A detected palm.

    Attributes:
        center: x, y in pixels, shape (2,).
        region: The square in which to run the hand network.
        score: Confidence, 0 to 1.
    """

    center: Points
    region: SquareRegion
    score: float


@dataclass(frozen=True)
class Torso:
    """A person who is shown in part, with a hand that no arm leads to.

    Attributes:
        person: Index of the person in the picture.
        box: x1, y1, x2, y2 in pixels, shape (4,).
        region: The square in which to detect palms.
    """

    person: int
    box: Points
    region: SquareRegion


def torsos_to_search(
    bodies: Points,
    scores: Points,
    boxes: Points,
    searched: Collection[tuple[int, Part]],
    picture_size: tuple[int, int],
) -> list[Torso]:
    """Return the people in whose boxes palms are detected: no knee in the picture, and a wrist without an arm.

    Args:
        bodies: COCO keypoints of all people, pixels, shape (n, 17 or more, 2).
        scores: Their scores, shape (n, 17 or more).
        boxes: x1, y1, x2, y2 in pixels, shape (n, 4).
        searched: Index of the person and side of each hand that is searched in another way, or not at all.
        picture_size: Width and height in pixels.
    """
    torsos: list[Torso] = []
    for person, (at, score, box) in enumerate(zip(bodies, scores, boxes, strict=True)):
        wrists = [score[wrist] for part, (_, _, wrist) in ARMS.items() if (person, part) not in searched]
        region = square_around(box)
        if (
            max(wrists, default=0) >= WRIST_SCORE
            and region.side >= SMALLEST_BOX
            and not _has_knee(at, score, picture_size)
        ):
            torsos.append(Torso(person, box, region))
    return torsos


def _has_knee(at: Points, score: Points, picture_size: tuple[int, int]) -> bool:
    return any(
        score[knee] >= JOINT_SCORE and bool(np.all((at[knee] >= 0) & (at[knee] < picture_size)))
        for knee in KNEES
    )


def square_around(box: Points, turn: float = 0.0) -> SquareRegion:
    """Return the square around a box x1, y1, x2, y2, turned by some degrees."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    return SquareRegion((x1 + x2) / 2, (y1 + y2) / 2, max(x2 - x1, y2 - y1), math.radians(turn))


def palms_in(region: SquareRegion, detected: PalmDetections) -> list[Palm]:
    """Return the palms in a region of the picture, the likeliest first."""
    palms: list[Palm] = []
    for box, points, score in zip(detected.boxes, detected.points, detected.scores, strict=True):
        # MediaPipe turns the upright rectangle of the palm with the hand.
        angle = angle_to(points[0], points[2], 90)
        in_crop = region_round(
            ((box[:2] + box[2:]) / 2, box[2:] - box[:2]), angle, REGION_PER_PALM, REGION_SHIFT
        )
        x, y = region.to_picture(np.array([in_crop.x, in_crop.y]))
        hand_region = SquareRegion(float(x), float(y), in_crop.side * region.side, angle + region.angle)
        if hand_region.side > 0:
            palms.append(Palm(region.to_picture((box[:2] + box[2:]) / 2), hand_region, float(score)))
    return sorted(palms, key=lambda palm: palm.score, reverse=True)


def unknown(palms: Sequence[Palm], known: Sequence[Hand]) -> list[Palm]:
    """Return the likeliest palms that are none of the known hands."""
    return [palm for palm in palms if not any(_is_palm_of(hand, palm) for hand in known)][:MOST_PALMS]


def _is_palm_of(hand: Hand, palm: Palm) -> bool:
    return float(np.linalg.norm(hand.center - palm.center)) <= KNOWN_HAND * hand.palm


def hands_of_torso(
    torso: Torso,
    finds: Sequence[Hand],
    missing: Collection[Part],
    known: Sequence[Hand],
    picture_size: tuple[int, int],
) -> list[tuple[Part, Hand]]:
    """Return the hands that belong to a person, at most one for each missing part.

    A hand must have its wrist in the person's box, and look like the missing side: without an arm, nothing else tells
    left from right.

    Args:
        torso: The person.
        finds: The hands at the palms in the person's square.
        missing: The hands that no arm led to.
        known: Hands of all people, already accepted.
        picture_size: Width and height in pixels.
    """
    own: dict[Part, Hand] = {}
    for hand in sorted(finds, key=lambda hand: hand.score, reverse=True):
        if (
            is_in_box(hand, torso.box, picture_size)
            and hand.side in missing
            and hand.side not in own
            and not any(same_hand(hand, other) for other in (*known, *own.values()))
        ):
            own[hand.side] = hand
    return list(own.items())


def is_in_box(hand: Hand, box: Points, picture_size: tuple[int, int]) -> bool:
    """Tell whether a result is a hand with its wrist in a box x1, y1, x2, y2."""
    wrist = hand.points[0]
    return is_hand(hand, picture_size) and bool(np.all((wrist >= box[:2]) & (wrist <= box[2:])))
