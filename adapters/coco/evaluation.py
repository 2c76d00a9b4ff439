"""Agreement of predicted with annotated people: OKS-AP and PCK of each part, and the worst pictures.

Object keypoint similarity (OKS) and average precision are COCO's (https://cocodataset.org/#keypoints-eval), computed
by pycocotools. The parts follow COCO-WholeBody's evaluation
(https://github.com/jin-s13/COCO-WholeBody, evaluation/myeval_wholebody.py, with xtcocotools). Each group of keypoints
has its own sigmas and uses the person's whole area. People and predictions without any keypoint of the part are
ignored.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from adapters.coco.offsets import Offset, systematic_offsets
from adapters.coco.reading import CocoPerson, CocoPicture, PictureKey
from wholebody.schema import KEYPOINT_COUNT, PART_RANGES, SIGMAS, Part

WHOLE = "wholebody"
GROUPS: dict[str, range] = {
    WHOLE: range(KEYPOINT_COUNT),
    **{str(part): PART_RANGES[part] for part in PART_RANGES},
}
"""The evaluated groups, and the indices of their keypoints."""

PCK_AT = 0.1
PCK_THRESHOLDS: NDArray[np.float64] = np.linspace(0, 0.2, 41)
"""Distances at which PCK is computed, in lengths of the part; see `Group.pck`."""

SAME_PERSON = 0.1
"""Lowest OKS at which an annotated and a predicted person match in PCK and in the ranking."""

_SAME_BOX = 0.5  # intersection over union, for people annotated with a box only
_FEWEST_DETECTIONS = 20  # COCO counts the best 20 predictions in a picture; here all, if there are more

Pair: TypeAlias = tuple[CocoPicture, CocoPicture]


@dataclass(frozen=True)
class Group:
    """Agreement on one group of keypoints; None if none of them is annotated.

    Attributes:
        people: Annotated people with at least one of them.
        keypoints: Annotated keypoints.
        ap: Average precision over OKS thresholds 0.50 to 0.95, 0 to 1.
        ap50: At OKS 0.50.
        ap75: At OKS 0.75.
        ar: Average recall over the same thresholds.
        pck: Share of annotated keypoints whose prediction lies within `PCK_AT` of them. The unit is the longer side
            of the part: of the person's box for body and feet, of the annotated points for face and hands.
        pck_curve: PCK at each of `PCK_THRESHOLDS`.
        median_distance: Between annotated and predicted keypoints, in diagonals of the person's box, without missing
            ones. The metric rtmlib_correction_distance has the same unit.
    """

    people: int
    keypoints: int
    ap: float | None
    ap50: float | None
    ap75: float | None
    ar: float | None
    pck: float | None
    pck_curve: tuple[float, ...]
    median_distance: float | None


@dataclass(frozen=True)
class PictureAgreement:
    """Agreement in one picture.

    Attributes:
        file_name: Its name.
        task: Number of the task.
        agreement: Mean OKS over the people; an unmatched person counts as 0. 1 if neither side has people.
        people: Annotated people with keypoints.
        missed: How many of them were not predicted.
        invented: Predicted people without an annotation.
    """

    file_name: str
    task: int | None
    agreement: float
    people: int
    missed: int
    invented: int


@dataclass(frozen=True)
class Evaluation:
    """The result.

    Attributes:
        groups: By name: `wholebody` and the parts.
        pictures: The worst first.
        not_predicted: Annotated pictures without a prediction, which are ignored.
        not_annotated: Predicted pictures without an annotation, which are ignored.
        offsets: Of each keypoint, the longest systematic one first.
    """

    groups: dict[str, Group]
    pictures: tuple[PictureAgreement, ...]
    not_predicted: int
    not_annotated: int
    offsets: tuple[Offset, ...]


def evaluate_pictures(
    annotated: Mapping[PictureKey, CocoPicture], predicted: Mapping[PictureKey, CocoPicture]
) -> Evaluation:
    """Compare predictions with annotations, picture by picture."""
    keys = [key for key in annotated if key in predicted]
    pairs = [(annotated[key], predicted[key]) for key in keys]
    matched = [_matched(*pair) for pair in pairs]
    distances = _distances(pairs, matched)
    pictures = [_agreement(pair, same) for pair, same in zip(pairs, matched, strict=True)]
    return Evaluation(
        {name: _group(pairs, indices, distances) for name, indices in GROUPS.items()},
        tuple(sorted(pictures, key=lambda picture: (picture.agreement, picture.file_name))),
        len(annotated) - len(keys),
        len(predicted) - len(keys),
        systematic_offsets(
            [(match.person, match.other) for same in matched for match in same if match.other is not None]
        ),
    )


def similarity(person: CocoPerson, other: CocoPerson) -> float:
    """Return the OKS of a predicted person `other` with an annotated one; 0 if nothing is annotated.

    A keypoint that is not predicted adds nothing.
    """
    seen = person.visibility > 0
    if not seen.any():
        return 0.0
    squares = ((person.keypoints - other.keypoints) ** 2).sum(axis=1)[seen]
    similar = np.exp(-squares / (2 * SIGMAS[seen]) ** 2 / (person.area + np.spacing(1)) / 2)
    similar[other.visibility[seen] <= 0] = 0
    return float(similar.mean())


@dataclass(frozen=True)
class _Match:
    person: CocoPerson
    other: CocoPerson | None
    oks: float


def _matched(annotated: CocoPicture, predicted: CocoPicture) -> list[_Match]:
    """Pair annotated people with predicted ones, the most similar first."""
    people = [person for person in annotated.people if (person.visibility > 0).any() and not person.crowd]
    table = np.array([[similarity(person, other) for other in predicted.people] for person in people])
    others: dict[int, int] = {}
    while table.size and table.max() >= SAME_PERSON:
        row, column = np.unravel_index(int(table.argmax()), table.shape)
        others[int(row)] = int(column)
        table[row, :] = table[:, column] = -1
    return [
        _Match(person, other, similarity(person, other))
        if (other := predicted.people[others[row]] if row in others else None)
        else _Match(person, None, 0.0)
        for row, person in enumerate(people)
    ]


def _agreement(pair: Pair, matched: Sequence[_Match]) -> PictureAgreement:
    annotated, predicted = pair
    met = {id(match.other) for match in matched if match.other is not None}
    without_points = [
        person for person in annotated.people if person.crowd or not (person.visibility > 0).any()
    ]
    invented = [
        other
        for other in predicted.people
        if id(other) not in met and not any(_overlap(person, other) >= _SAME_BOX for person in without_points)
    ]
    counted = len(matched) + len(invented)
    return PictureAgreement(
        annotated.file_name,
        annotated.task,
        sum(match.oks for match in matched) / counted if counted else 1.0,
        len(matched),
        sum(match.other is None for match in matched),
        len(invented),
    )


def _overlap(person: CocoPerson, other: CocoPerson) -> float:
    """Intersection over union of two boxes; over the smaller area if one is a crowd's, as in COCO."""
    low = np.maximum(person.box[:2], other.box[:2])
    high = np.minimum(person.box[:2] + person.box[2:], other.box[:2] + other.box[2:])
    shared = float(np.prod((high - low).clip(0)))
    of_person, of_other = float(np.prod(person.box[2:])), float(np.prod(other.box[2:]))
    total = of_other if person.crowd else of_person + of_other - shared
    return shared / total if total > 0 else 0.0


@dataclass(frozen=True)
class _Distances:
    """Distances of annotated from predicted keypoints: shape (n,) each; infinite if not predicted."""

    keypoint: NDArray[np.intp]
    in_parts: NDArray[np.float64]
    in_diagonals: NDArray[np.float64]


def _distances(pairs: Sequence[Pair], matched: Sequence[Sequence[_Match]]) -> _Distances:
    keypoint: list[NDArray[np.intp]] = [np.empty(0, np.intp)]
    in_parts: list[NDArray[np.float64]] = [np.empty(0)]
    in_diagonals: list[NDArray[np.float64]] = [np.empty(0)]
    for same in matched:
        for match in same:
            seen = np.flatnonzero(match.person.visibility > 0)
            pixels = np.full(len(seen), np.inf)
            if match.other is not None:
                there = match.other.visibility[seen] > 0
                offset = match.person.keypoints[seen[there]] - match.other.keypoints[seen[there]]
                pixels[there] = np.hypot(offset[:, 0], offset[:, 1])
            keypoint.append(seen)
            in_parts.append(pixels / _lengths(match.person)[seen])
            in_diagonals.append(pixels / max(float(np.hypot(*match.person.box[2:])), 1.0))
    return _Distances(np.concatenate(keypoint), np.concatenate(in_parts), np.concatenate(in_diagonals))


def _lengths(person: CocoPerson) -> NDArray[np.float64]:
    """The unit of PCK in pixels for each keypoint, shape (133,)."""
    lengths = np.full(KEYPOINT_COUNT, max(float(person.box[2:].max()), 1.0))
    for part in (Part.FACE, Part.LEFT_HAND, Part.RIGHT_HAND):
        indices = list(PART_RANGES[part])
        points = person.keypoints[indices][person.visibility[indices] > 0]
        if len(points) > 1:
            lengths[indices] = max(float(np.ptp(points, axis=0).max()), 1.0)
    return lengths


def _group(pairs: Sequence[Pair], indices: range, distances: _Distances) -> Group:
    chosen = list(indices)
    annotated = [
        int(np.count_nonzero(person.visibility[chosen] > 0))
        for picture, _ in pairs
        for person in picture.people
        if not person.crowd
    ]
    of_group = (distances.keypoint >= indices.start) & (distances.keypoint < indices.stop)
    in_parts, in_diagonals = distances.in_parts[of_group], distances.in_diagonals[of_group]
    found = in_diagonals[np.isfinite(in_diagonals)]
    curve = tuple(float((in_parts <= limit).mean()) for limit in PCK_THRESHOLDS) if len(in_parts) else ()
    precision = _precision(pairs, chosen)
    return Group(
        people=sum(count > 0 for count in annotated),
        keypoints=sum(annotated),
        **precision,
        pck=float((in_parts <= PCK_AT).mean()) if len(in_parts) else None,
        pck_curve=curve,
        median_distance=float(np.median(found)) if len(found) else None,
    )


def _precision(pairs: Sequence[Pair], indices: list[int]) -> dict[str, float | None]:
    """Average precision and recall of COCO's evaluation."""
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, (annotated, predicted) in enumerate(pairs, start=1):
        truth += [_entry(person, number, indices) for person in annotated.people]
        found += [
            _entry(person, number, indices)
            for person in predicted.people
            if (person.visibility[indices] > 0).any()
        ]
    most = max((len(predicted.people) for _, predicted in pairs), default=0)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports its progress there
        evaluation = cast(Any, COCOeval(_coco(pairs, truth), _coco(pairs, found), "keypoints"))
        evaluation.params.kpt_oks_sigmas = SIGMAS[indices]
        evaluation.params.maxDets = [max(most, _FEWEST_DETECTIONS)]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e12]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    # Precision: OKS threshold, recall, category, area, detections; recall the same without recall. -1: no truth.
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    thresholds = [round(float(limit), 2) for limit in evaluation.params.iouThrs]
    return {
        "ap": _mean(precision),
        "ap50": _mean(precision[thresholds.index(0.5)]),
        "ap75": _mean(precision[thresholds.index(0.75)]),
        "ar": _mean(recall),
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    counted = values[values > -1]
    return float(counted.mean()) if counted.size else None


def _entry(person: CocoPerson, picture: int, indices: list[int]) -> dict[str, Any]:
    flags = person.visibility[indices]
    points = np.column_stack([person.keypoints[indices], flags])
    # COCO has no way to say that a keypoint was not predicted: far away, it is similar to none.
    points[flags <= 0, :2] = _NOWHERE
    return {
        "image_id": picture,
        "category_id": 1,
        "keypoints": points.ravel().tolist(),
        "num_keypoints": int(np.count_nonzero(flags > 0)),
        "bbox": person.box.tolist(),
        "area": person.area,
        "iscrowd": int(person.crowd),
        "score": person.score,
    }


_NOWHERE = -1e6


def _coco(pairs: Sequence[Pair], entries: Sequence[dict[str, Any]]) -> COCO:
    coco = cast(Any, COCO())  # its types ask for more than its code
    coco.dataset = {
        "images": [{"id": number} for number in range(1, len(pairs) + 1)],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(entries, start=1)],
        "categories": [{"id": 1, "name": "person"}],
    }
    coco.createIndex()
    return cast(COCO, coco)
