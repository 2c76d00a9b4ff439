"""A click on a part of a person: the part's size, and whether a detected part lies at the click."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wholebody.geometry import Points
from wholebody.person import Person

JOINT_SCORE = 0.5
"""Least score of keypoints used for size and direction: bodies hallucinated around a hand score less."""
FOREARMS_PER_BONE = (((7, 9), 1.0), ((8, 10), 1.0), ((5, 7), 0.9), ((6, 8), 0.9), ((5, 6), 0.7))
"""Keypoints and the length of a forearm in their distance: forearms, upper arms, shoulders. Foreshortening shortens all
of them, so the largest is the best estimate."""
FOREARMS_PER_HEAD = 1.5
"""Length of a forearm in spans of nose, eyes and ears."""
FOREARMS_PER_BOX = 0.2
"""Length of a forearm in diagonals of the person's box: 0.11 for whole people, 0.3 for those cut at the hips."""
FOREARMS_PER_PICTURE = 0.4
"""Length of a forearm in shorter sides of the picture, without a person: a hand or face fills much of it."""
HEAD = slice(0, 5)  # nose, eyes, ears
FEWEST_OF_HEAD = 3
SMALLEST_FOREARM, SMALLEST_REACH = 4.0, 2.0
"""Pixels."""

PART_SCORE = 0.3
"""Least mean score of a part's keypoints from a whole-body network."""
PART_DISTANCE = 0.25
"""Largest distance of the click from the part, in sides of its bounding square."""


@dataclass(frozen=True)
class Click:
    """A point that an annotator set on a part of a person.

    Attributes:
        point: x, y in pixels, shape (2,).
        person: The person under it; None if none was found.
        forearm: Approximate length of the person's forearm in pixels.
        reach: Half the side in pixels of the square that the annotator drew around the part; None for a point.
        size_known: False if `forearm` is a guess and `reach` is None.
    """

    point: Points
    person: Person | None
    forearm: float
    reach: float | None
    size_known: bool

    @classmethod
    def on(
        cls,
        point: tuple[float, float],
        person: Person | None,
        reach: float | None,
        picture_size: tuple[int, int],
    ) -> "Click":
        """Return a click with the person's size, as far as known; `picture_size` is width and height."""
        measured = None if person is None else measured_forearm(person)
        if measured is not None:
            forearm = measured
        elif person is not None:
            forearm = FOREARMS_PER_BOX * _diagonal(person)
        else:
            forearm = FOREARMS_PER_PICTURE * min(picture_size)
        if reach is not None:
            reach = max(reach, SMALLEST_REACH)
        known = measured is not None or reach is not None
        return cls(np.array(point, np.float64), person, max(forearm, SMALLEST_FOREARM), reach, known)


def measured_forearm(person: Person) -> float | None:
    """Return the approximate length of a person's forearm in pixels; None if too little of them is visible."""
    at = person.keypoints.astype(np.float64)
    seen = (person.scores >= JOINT_SCORE) & np.isfinite(at).all(axis=1)
    lengths = [
        share * float(np.linalg.norm(at[first] - at[second]))
        for (first, second), share in FOREARMS_PER_BONE
        if seen[first] and seen[second]
    ]
    head = at[HEAD][seen[HEAD]]
    if len(head) >= FEWEST_OF_HEAD:
        lengths.append(FOREARMS_PER_HEAD * float(np.ptp(head, axis=0).max()))
    longest = max(lengths, default=0.0)
    return min(longest, _diagonal(person)) if longest >= SMALLEST_FOREARM else None


def _diagonal(person: Person) -> float:
    return float(np.linalg.norm(person.box[2:].astype(np.float64) - person.box[:2]))


def distance_to_points(points: Points, click: Points) -> float:
    """Return the distance in pixels of a click from the convex hull of points (n, 2); 0 inside, inf for NaN."""
    if not np.isfinite(points).all():
        return float("inf")
    hull = cv2.convexHull(points.astype(np.float32))
    inside = cv2.pointPolygonTest(hull, (float(click[0]), float(click[1])), measureDist=True)
    return max(-float(inside), 0.0)


def boxes_at(click: Click) -> Points:
    """Return boxes in which a whole-body network finds the clicked part.

    They are the person's box, grown to contain the part, and a box around the click with the neighbouring parts, such
    as the arm of a hand. Without a person, both are around the click.

    Returns:
        x1, y1, x2, y2 in pixels, shape (2, 4), float32.
    """
    part = 0.6 * click.forearm if click.reach is None else click.reach
    near = _square(click.point, 3 * part)
    if click.person is None:
        return np.stack([_square(click.point, 6 * part), near]).astype(np.float32)
    held = _square(click.point, part)
    box = click.person.box
    grown = np.concatenate([np.minimum(box[:2], held[:2]), np.maximum(box[2:], held[2:])])
    return np.stack([grown, near]).astype(np.float32)


def _square(center: Points, reach: float) -> Points:
    return np.concatenate([center - reach, center + reach])


def part_at(
    click: Click, finds: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the best detected part (keypoints (n, 2) in pixels, scores (n,)) at a click, or None."""
    there = [
        find
        for find in finds
        if find[1].mean() >= PART_SCORE
        and distance_to_points(find[0], click.point) <= PART_DISTANCE * float(np.ptp(find[0], axis=0).max())
    ]
    return max(there, key=lambda find: float(find[1].mean()), default=None)
