"""What the checks take and return."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Kind(StrEnum):
    """A kind of mistake in an annotation."""

    SWAPPED = "swapped"
    MIXED = "mixed"
    MIRRORED_HAND = "mirrored_hand"
    SHIFTED_ORDER = "shifted_order"
    LEFT_BEHIND = "left_behind"
    JUMP = "jump"
    DOUBLED = "doubled"
    MISSING = "missing"


@dataclass(frozen=True)
class LabelledPerson:
    """An annotated person.

    Attributes:
        keypoints: x, y in pixels, shape (133, 2).
        seen: Which keypoints are annotated, shape (133,).
        box: x1, y1, x2, y2 in pixels, shape (4,).
        predicted: x, y of the prediction that the annotation was made from, NaN where nothing was predicted, shape
            (133, 2); None if it is unknown.
    """

    keypoints: Points
    seen: Flags
    box: Points
    predicted: Points | None = None


@dataclass(frozen=True)
class Finding:
    """A probable mistake.

    Attributes:
        kind: Its kind.
        people: Positions of the people in the picture.
        keypoints: Indices of the keypoints that are probably wrong.
        reason: What is wrong, as a sentence without a full stop.
        score: Suspicion from `LEAST_SCORE` to 1.
    """

    kind: Kind
    people: tuple[int, ...]
    keypoints: tuple[int, ...]
    reason: str
    score: float


LEAST_SCORE = 0.5
"""Lowest suspicion that is reported."""


def suspicion(evidence: float, threshold: float) -> float:
    """Return a score from 0 to 1: 0.5 at the threshold, and growing with the evidence."""
    evidence = max(evidence, 0.0)
    return evidence / (evidence + threshold)


def positions(person: LabelledPerson) -> Points:
    """Return the keypoints with NaN where not annotated, shape (133, 2)."""
    return np.where(person.seen[:, np.newaxis], person.keypoints, np.nan)
