"""Points left where the prediction was, although all their neighbours were moved the same way."""

from functools import cache

import numpy as np

from wholebody.label_checks.finding import LEAST_SCORE, Finding, Kind, LabelledPerson, suspicion
from wholebody.schema import KEYPOINTS, PART_RANGES, SKELETON, Part

_UNMOVED = 1e-4  # diagonals of the box: editors round positions
_FEWEST = 2  # neighbours
_MOVED_SHARE = 0.75  # of the neighbours
_ALIKE = 0.5  # deviation of the neighbours from their mean movement, as a share of it
# Movement at which a point is reported, as a share of the part's size.
_LIMITS = {Part.BODY: 0.1, Part.FEET: 0.25, Part.FACE: 0.12, Part.LEFT_HAND: 0.2, Part.RIGHT_HAND: 0.2}


@cache
def _neighbours() -> dict[int, tuple[int, ...]]:
    """Return the keypoints of the same part at most two bones away."""
    near: dict[int, set[int]] = {keypoint.index: set() for keypoint in KEYPOINTS}
    for one, other in SKELETON:
        if KEYPOINTS[one].part is KEYPOINTS[other].part:
            near[one].add(other)
            near[other].add(one)
    return {
        index: tuple(sorted({*direct, *(far for one in direct for far in near[one])} - {index}))
        for index, direct in near.items()
    }


def left_behind(person: LabelledPerson, position: int) -> list[Finding]:
    """Return the points of a person that were probably forgotten, one finding per part.

    Args:
        person: The person; without their prediction there are none.
        position: Their position in the picture.
    """
    if person.predicted is None:
        return []
    there = person.seen & np.isfinite(person.predicted[:, 0])
    movement = np.where(there[:, np.newaxis], person.keypoints - person.predicted, 0)
    diagonal = max(float(np.linalg.norm(person.box[2:] - person.box[:2])), 1.0)
    moved = there & (np.linalg.norm(movement, axis=1) > _UNMOVED * diagonal)
    found: list[Finding] = []
    for part, indices in PART_RANGES.items():
        chosen = list(indices)
        if not moved[chosen].any():
            continue
        placed = person.keypoints[chosen][person.seen[chosen]]
        limit = _LIMITS[part] * max(float(np.linalg.norm(np.ptp(placed, axis=0))), 1.0)
        scores = {
            index: suspicion(_common_movement(index, there, moved, movement), limit)
            for index in chosen
            if there[index] and not moved[index]
        }
        forgotten = {index: score for index, score in scores.items() if score >= LEAST_SCORE}
        if forgotten:
            names = ", ".join(KEYPOINTS[index].name for index in list(forgotten)[:3])
            more = f" and {len(forgotten) - 3} more" if len(forgotten) > 3 else ""
            reason = f"{names}{more} left where predicted, while the points around were moved"
            found.append(
                Finding(Kind.LEFT_BEHIND, (position,), tuple(forgotten), reason, max(forgotten.values()))
            )
    return found


def _common_movement(index: int, there: np.ndarray, moved: np.ndarray, movement: np.ndarray) -> float:
    """Return how far the neighbours of a point were moved together, in pixels; 0 if they were not."""
    near = [other for other in _neighbours()[index] if there[other]]
    if len(near) < _FEWEST or moved[near].mean() < _MOVED_SHARE:
        return 0.0
    common = movement[near].mean(axis=0)
    length = float(np.linalg.norm(common))
    deviation = float(np.sqrt(((movement[near] - common) ** 2).sum(axis=1).mean()))
    return length if deviation <= _ALIKE * length else 0.0
