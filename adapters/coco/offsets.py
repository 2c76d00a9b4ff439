"""Systematic offsets: where predictions of a keypoint lie beside its annotations on average."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.coco.reading import CocoPerson
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS

_SHOULDERS, _HIPS = [5, 6], [11, 12]
_FEWEST = 10  # people
_SURE = 3.0  # standard errors of the mean


@dataclass(frozen=True)
class Offset:
    """The mean distance of a keypoint's predictions from its annotations, as a vector in the person's frame.

    Attributes:
        keypoint: Its name.
        count: Compared people.
        across: Mean offset to the right of an upright person as seen in the picture, in diagonals of the person's box.
        down: Mean offset from the shoulders towards the hips, in the same unit.
        spread: Root mean square distance of the offsets from their mean, in the same unit.
        systematic: Whether the mean is more than chance: at least 10 people, and 3 standard errors from none.
    """

    keypoint: str
    count: int
    across: float
    down: float
    spread: float
    systematic: bool

    @property
    def length(self) -> float:
        """Length of the mean offset."""
        return float(np.hypot(self.across, self.down))


def systematic_offsets(pairs: Sequence[tuple[CocoPerson, CocoPerson]]) -> tuple[Offset, ...]:
    """Return the offset of each keypoint that was annotated and predicted, the longest systematic one first.

    Args:
        pairs: Annotated people with their predictions.
    """
    vectors = np.full((len(pairs), KEYPOINT_COUNT, 2), np.nan)
    for row, (person, other) in enumerate(pairs):
        both = (person.visibility > 0) & (other.visibility > 0)
        diagonal = max(float(np.hypot(*person.box[2:])), 1.0)
        vectors[row, both] = ((other.keypoints - person.keypoints)[both] @ _frame(person).T) / diagonal
    found = (_offset(index, vectors[:, index]) for index in range(KEYPOINT_COUNT))
    return tuple(
        sorted((one for one in found if one is not None), key=lambda one: (not one.systematic, -one.length))
    )


def _offset(index: int, vectors: NDArray[np.float64]) -> Offset | None:
    known = vectors[np.isfinite(vectors[:, 0])]
    count = len(known)
    if not count:
        return None
    mean = known.mean(axis=0)
    spread = float(np.sqrt(((known - mean) ** 2).sum(axis=1).mean()))
    sure = count >= _FEWEST and float(np.hypot(*mean)) > _SURE * spread / np.sqrt(count)
    return Offset(KEYPOINTS[index].name, count, float(mean[0]), float(mean[1]), spread, bool(sure))


def _frame(person: CocoPerson) -> NDArray[np.float64]:
    """Return the axes of a person's frame, shape (2, 2): across and down; those of the picture without a trunk."""
    trunk = [*_SHOULDERS, *_HIPS]
    if not (person.visibility[trunk] > 0).all():
        return np.eye(2)
    down = person.keypoints[_HIPS].mean(axis=0) - person.keypoints[_SHOULDERS].mean(axis=0)
    length = float(np.hypot(*down))
    if length < 1.0:
        return np.eye(2)
    x, y = down / length
    return np.array([[y, -x], [x, y]])
