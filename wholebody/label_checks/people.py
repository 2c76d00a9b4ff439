"""People annotated twice, and predicted people without an annotation."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from wholebody.geometry import overlaps
from wholebody.label_checks.finding import Finding, Kind, LabelledPerson, suspicion
from wholebody.schema import SIGMAS

SAME_PERSON = 0.7
"""Object keypoint similarity at which two annotated people are one."""
ANOTHER_PERSON = 0.1
"""Highest similarity of a predicted person with every annotated one to count as missing."""

_SAME_BOX = 0.85  # intersection over union, where one of two people has no points
_OVERLAPPING = 0.3
_FEWEST = 5  # shared points
_OUTLINE = 0.53  # share of a box that its person covers, as in COCO's scores
_MOST_PEOPLE = 300  # more are not realistic, and each pair takes time


def similarity(one: LabelledPerson, other: LabelledPerson) -> float | None:
    """Return the mean object keypoint similarity over shared keypoints; None with too few of them."""
    shared = one.seen & other.seen
    if shared.sum() < _FEWEST:
        return None
    area = max(float(np.prod(one.box[2:] - one.box[:2])), float(np.prod(other.box[2:] - other.box[:2])), 1.0)
    squares = ((one.keypoints[shared] - other.keypoints[shared]) ** 2).sum(axis=1)
    return float(np.exp(-squares / (2 * _OUTLINE * area * (2 * SIGMAS[shared]) ** 2)).mean())


def doubled(people: Sequence[LabelledPerson]) -> list[Finding]:
    """Return pairs of people who are probably one."""
    if not 2 <= len(people) <= _MOST_PEOPLE:
        return []
    boxes = np.stack([person.box for person in people])
    shared = overlaps(boxes, boxes)
    found: list[Finding] = []
    for one, other in combinations(range(len(people)), 2):
        if shared[one, other] <= 0:
            continue
        alike = similarity(people[one], people[other])
        evidence = shared[one, other] / _SAME_BOX if alike is None else alike / SAME_PERSON
        if evidence >= 1:
            reason = "two people at the same position: one person was probably annotated twice"
            found.append(Finding(Kind.DOUBLED, (one, other), (), reason, suspicion(evidence, 1.0)))
    return found


def missing(
    people: Sequence[LabelledPerson], predicted: Sequence[LabelledPerson], scores: Sequence[float]
) -> list[Finding]:
    """Return predicted people without an annotation.

    Args:
        people: The annotated people.
        predicted: The predicted people.
        scores: Their confidence, 0 to 1.
    """
    found: list[Finding] = []
    for person, score in zip(predicted, scores, strict=True):
        if any(_is_about(one, person) for one in people):
            continue
        x1, y1, x2, y2 = (round(float(edge)) for edge in person.box)
        reason = f"the person predicted at x {x1} to {x2}, y {y1} to {y2} is not annotated"
        # An uncertain prediction is no evidence: half of the score counts from a confidence of 0.5.
        if score >= 0.5:
            found.append(Finding(Kind.MISSING, (), (), reason, suspicion(score, 0.5)))
    return found


def _is_about(annotated: LabelledPerson, predicted: LabelledPerson) -> bool:
    alike = similarity(annotated, predicted)
    if alike is not None and alike >= ANOTHER_PERSON:
        return True
    overlap = overlaps(annotated.box[np.newaxis], predicted.box[np.newaxis])
    return bool(overlap[0, 0] >= _OVERLAPPING)
