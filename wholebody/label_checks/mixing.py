"""Points of two people mixed: limbs that belong to the other one of two people side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wholebody.label_checks.body import (
    FACE_LEFT_EYE,
    FACE_NOSE,
    FACE_RIGHT_EYE,
    HAND_MIDDLES,
    HAND_ROOTS,
    body_costs,
    body_faults,
    landmarks,
)
from wholebody.label_checks.finding import (
    LEAST_SCORE,
    Finding,
    Kind,
    LabelledPerson,
    Points,
    positions,
    suspicion,
)
from wholebody.schema import FACE_START, PART_RANGES, Part

THRESHOLD = 3.2
"""Evidence at which mixed points are reported: the difference of costs, as of log-likelihoods."""

_LEAST_FAULTS = 2.0  # of one of the two: two plausible bodies have nothing to exchange
_NEAREST = 4  # neighbours of each person that are tried
_REACH = 2.0  # people whose middles are farther apart, in sums of their radii, do not touch


@dataclass(frozen=True)
class _Exchange:
    name: str
    marks: tuple[int, ...]


def _limbs(side: int) -> list[_Exchange]:
    name = ("left", "right")[side]
    elbow, wrist, hip, knee, ankle = (index + side for index in (7, 9, 11, 13, 15))
    toes = tuple(17 + 3 * side + toe for toe in range(3))
    hand = (HAND_ROOTS[side], HAND_MIDDLES[side])
    return [
        _Exchange(f"the {name} arm", (elbow, wrist)),
        _Exchange(f"the {name} arm and hand", (elbow, wrist, *hand)),
        _Exchange(f"the {name} wrist", (wrist,)),
        _Exchange(f"the {name} wrist and hand", (wrist, *hand)),
        _Exchange(f"the {name} hand", hand),
        _Exchange(f"the {name} elbow", (elbow,)),
        _Exchange(f"the {name} shoulder", (5 + side,)),
        _Exchange(f"the {name} hip", (hip,)),
        _Exchange(f"the {name} leg", (knee, ankle, *toes)),
        _Exchange(f"the {name} knee", (knee,)),
        _Exchange(f"the {name} lower leg", (ankle, *toes)),
        _Exchange(f"the {name} ankle", (ankle,)),
        _Exchange(f"the {name} foot", toes),
    ]


_FACE = (FACE_NOSE, FACE_LEFT_EYE, FACE_RIGHT_EYE)
_EXCHANGES = (
    *_limbs(0),
    *_limbs(1),
    _Exchange("the head", (0, 1, 2, 3, 4, *_FACE)),
    _Exchange("the head without the face's points", (0, 1, 2, 3, 4)),
    _Exchange("the face", _FACE),
    _Exchange("both legs", (13, 14, 15, 16, *range(17, 23))),
    _Exchange("everything below the shoulders", (*range(7, 23), *HAND_ROOTS, *HAND_MIDDLES)),
)


def mixed(people: Sequence[LabelledPerson]) -> list[Finding]:
    """Return pairs of people with exchanged points, for each pair the most plausible exchange."""
    marks = [landmarks(positions(person)) for person in people]
    neighbours = _neighbours(marks)
    faults = [body_faults(one) for one in marks] if neighbours else []
    return [
        finding
        for one, other in neighbours
        if max(faults[one], faults[other]) >= _LEAST_FAULTS
        for finding in _between(people, marks, one, other)
    ]


def _neighbours(marks: list[Points]) -> list[tuple[int, int]]:
    """Return pairs of people who may touch, each person with the nearest ones."""
    if len(marks) < 2:
        return []
    middles = np.array([_median(one) for one in marks])
    # Of most points, not of all: points of somebody else are far away.
    sizes = np.array([_size(one, middle) for one, middle in zip(marks, middles, strict=True)])
    apart = np.linalg.norm(middles[:, np.newaxis] - middles, axis=-1)
    apart /= np.maximum(sizes[:, np.newaxis] + sizes, 1e-6)
    np.fill_diagonal(apart, np.nan)  # NaN is near nobody, as for people without points
    pairs = {
        (min(one, int(other)), max(one, int(other)))
        for one in range(len(marks))
        for other in np.argsort(apart[one])[:_NEAREST]
        if apart[one, other] <= _REACH
    }
    return sorted(pairs)


def _median(marks: Points) -> Points:
    known = marks[np.isfinite(marks[:, 0])]
    return np.median(known, axis=0) if len(known) else np.full(2, np.nan)


def _size(marks: Points, middle: Points) -> float:
    known = marks[np.isfinite(marks[:, 0])]
    return float(np.quantile(np.linalg.norm(known - middle, axis=1), 0.8)) if len(known) else 0.0


def _between(people: Sequence[LabelledPerson], marks: list[Points], one: int, other: int) -> list[Finding]:
    versions = [(marks[one], marks[other])]
    tried: list[_Exchange] = []
    for exchange in _EXCHANGES:
        chosen = list(exchange.marks)
        if not np.isfinite([marks[one][chosen], marks[other][chosen]]).any():
            continue
        version = marks[one].copy(), marks[other].copy()
        version[0][chosen], version[1][chosen] = marks[other][chosen], marks[one][chosen]
        versions.append(version)
        tried.append(exchange)
    if not tried:
        return []
    mine, theirs = (np.stack(version) for version in zip(*versions, strict=True))
    costs = body_costs(mine) + body_costs(theirs)
    gains = costs[0] - costs[1:]
    best = int(gains.argmax())
    score = suspicion(float(gains[best]), THRESHOLD)
    if score < LEAST_SCORE:
        return []
    exchange = tried[best]
    keypoints = tuple(
        index
        for index in exchanged_keypoints(exchange.marks)
        if people[one].seen[index] or people[other].seen[index]
    )
    reason = f"points of {exchange.name} are mixed up with the other person's"
    return [Finding(Kind.MIXED, (one, other), keypoints, reason, score)]


def exchanged_keypoints(marks: tuple[int, ...]) -> list[int]:
    """Return the indices of the keypoints that landmarks stand for."""
    indices = [index for index in marks if index < FACE_START]
    for side, part in enumerate((Part.LEFT_HAND, Part.RIGHT_HAND)):
        if HAND_ROOTS[side] in marks:
            indices += PART_RANGES[part]
    if FACE_NOSE in marks:
        indices += PART_RANGES[Part.FACE]
    return sorted(indices)
