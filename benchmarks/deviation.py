"""Deviation of detected people from those of a reference.

A keypoint counts if its score in the reference is `SEEN` or more. Shifts and OKS cover the people found by both,
whatever the other score of a keypoint. Missed and invented people and lost keypoints are counted separately.
Average precision (OKS-AP) covers everything: it takes the reference as ground truth, with the evaluation of
`rtmlib-backend evaluate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.coco.document import OUTLINE_SHARE
from adapters.coco.evaluation import evaluate_pictures, similarity
from adapters.coco.reading import CocoPerson, CocoPicture
from wholebody.assignment import best_pairs
from wholebody.geometry import overlaps
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT

SEEN = 0.3
"""Smallest reference score of a compared keypoint."""
SAME_PERSON = 0.5
"""Smallest intersection over union of two boxes of one person."""
EVERYTHING: NDArray[np.bool_] = np.ones(KEYPOINT_COUNT, np.bool_)

People = Sequence[Sequence[Person]]
"""The people of each picture."""


@dataclass(frozen=True)
class Spread:
    """Median, 95th percentile and largest of some distances."""

    median: float
    p95: float
    largest: float


@dataclass(frozen=True)
class Deviation:
    """The deviation of people from a reference.

    Attributes:
        people: Compared people: found by both, with a keypoint that counts.
        missed: Unpaired people of the reference.
        invented: Unpaired people that were found.
        keypoints: Keypoints that count, of the compared people.
        lost: Of these, keypoints whose score fell below `SEEN` or that have no position.
        gained: Keypoints whose score rose to `SEEN` or more.
        not_found: Lost keypoints without a position, such as those of a hand that was not found.
        pixels: Shifts in pixels of the picture; None if there are none.
        share: Shifts as shares of the diagonal of the person's box.
        oks_mean: Mean object keypoint similarity of the compared people; None if there are none.
        oks_worst: Object keypoint similarity of the worst person.
        whole_oks_mean: `oks_mean` over all keypoints.
        whole_oks_worst: `oks_worst` over all keypoints.
        worst: The person of `oks_worst`: index of the picture, of the person in the reference, and of the one found.
        ap: Average precision, 0 to 1, of the whole and of each part; None if the reference has none of it.
    """

    people: int
    missed: int
    invented: int
    keypoints: int
    lost: int
    gained: int
    not_found: int
    pixels: Spread | None
    share: Spread | None
    oks_mean: float | None
    oks_worst: float | None
    whole_oks_mean: float | None
    whole_oks_worst: float | None
    worst: tuple[int, int, int] | None
    ap: Mapping[str, float | None]


def deviation(expected: People, found: People, counted: NDArray[np.bool_] = EVERYTHING) -> Deviation:
    """Compare people with those of a reference.

    Args:
        expected: The people of each picture in the reference.
        found: The people of the same pictures to compare.
        counted: Mask of the keypoints for shifts and OKS, shape (133,); average precision covers all, part by part.
    """
    paired = [pairs(*both) for both in zip(expected, found, strict=True)]
    compared: list[tuple[int, int, int]] = []
    oks: list[float] = []
    whole_oks: list[float] = []
    pixels: list[NDArray[np.floating]] = []
    share: list[NDArray[np.floating]] = []
    keypoints = lost = gained = not_found = 0
    for picture, same in enumerate(paired):
        for one, other in same:
            ours, theirs = expected[picture][one], found[picture][other]
            all_seen = ours.scores >= SEEN
            seen = counted & all_seen
            if not seen.any():
                continue
            placed = seen & (theirs.scores > 0)
            apart = np.linalg.norm(ours.keypoints - theirs.keypoints, axis=1)[placed]
            compared.append((picture, one, other))
            oks.append(similarity(_coco(ours, seen), _coco(theirs, placed)))
            whole_oks.append(similarity(_coco(ours, all_seen), _coco(theirs, theirs.scores > 0)))
            pixels.append(apart)
            share.append(apart / float(np.linalg.norm(ours.box[2:] - ours.box[:2])))
            keypoints += int(seen.sum())
            lost += int((seen & (theirs.scores < SEEN)).sum())
            gained += int((counted & ~all_seen & (theirs.scores >= SEEN)).sum())
            not_found += int(seen.sum() - placed.sum())
    matched = sum(map(len, paired))
    return Deviation(
        people=len(compared),
        missed=sum(map(len, expected)) - matched,
        invented=sum(map(len, found)) - matched,
        keypoints=keypoints,
        lost=lost,
        gained=gained,
        not_found=not_found,
        pixels=_spread(pixels),
        share=_spread(share),
        oks_mean=float(np.mean(oks)) if oks else None,
        oks_worst=min(oks, default=None),
        whole_oks_mean=float(np.mean(whole_oks)) if whole_oks else None,
        whole_oks_worst=min(whole_oks, default=None),
        worst=compared[int(np.argmin(oks))] if oks else None,
        ap=_average_precision(expected, found),
    )


def pairs(expected: Sequence[Person], found: Sequence[Person]) -> list[tuple[int, int]]:
    """Pair the people of a picture one to one for the largest total overlap of boxes."""
    if not expected or not found:
        return []
    shared = overlaps(np.stack([one.box for one in expected]), np.stack([one.box for one in found]))
    # Pairs of different people score 0, so that they cannot displace a real pair.
    worth = np.where(shared >= SAME_PERSON, shared, 0.0)
    return [(a, b) for a, b in best_pairs(worth) if worth[a, b] > 0]


def _spread(distances: Sequence[NDArray[np.floating]]) -> Spread | None:
    together = np.concatenate([*distances, np.empty(0)])
    if not len(together):
        return None
    median, p95, largest = np.percentile(together, (50, 95, 100))
    return Spread(float(median), float(p95), float(largest))


def _average_precision(expected: People, found: People) -> dict[str, float | None]:
    truth = {
        (number,): CocoPicture(str(number), None, tuple(_coco(one, one.scores >= SEEN) for one in people))
        for number, people in enumerate(expected)
    }
    said = {
        (number,): CocoPicture(str(number), None, tuple(_coco(one, one.scores > 0) for one in people))
        for number, people in enumerate(found)
    }
    return {name: group.ap for name, group in evaluate_pictures(truth, said).groups.items()}


def _coco(person: Person, visible: NDArray[np.bool_]) -> CocoPerson:
    corner, size = person.box[:2].astype(np.float64), (person.box[2:] - person.box[:2]).astype(np.float64)
    return CocoPerson(
        box=np.concatenate([corner, size]),
        area=float(size.prod()) * OUTLINE_SHARE,
        keypoints=person.keypoints.astype(np.float64),
        visibility=np.where(visible, 2.0, 0.0),
        score=person.box_score,
        crowd=False,
    )
