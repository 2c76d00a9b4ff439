"""How plausible the lengths of projected bones are, for a body or a hand of unknown size.

A bone appears at most as long as it is, and shorter if it points towards the camera or away from it. The size is the
one at which the lengths are most plausible.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wholebody.label_checks.finding import Points

_SHORTER = 0.6  # foreshortening
_MOST = 10.0  # cost of a bone that is impossible
_REWARD = 1.0  # of a bone with a plausible length: its ends belong together
_SIZES: NDArray[np.float64] = np.geomspace(0.12, 1.3, 20)
_TYPICAL_QUANTILE = 0.85  # of the sizes that the bones suggest: foreshortened ones suggest smaller sizes


@dataclass(frozen=True)
class Bone:
    """A bone between two points.

    Attributes:
        start: Index of a point.
        end: Index of the other one.
        length: Its length, in units of the size.
        rigid: Whether a much shorter bone is implausible; otherwise the length is only the farthest distance.
    """

    start: int
    end: int
    length: float
    rigid: bool = True


class Bones:
    """The bones of a body or a hand.

    Args:
        bones: The bones.
        longer: Spread of lengths over the expected one, as a share: proportions differ, and points are imprecise.
    """

    def __init__(self, bones: Sequence[Bone], longer: float) -> None:
        self._longer = 1 / longer
        self._ends = np.array([(bone.start, bone.end) for bone in bones])
        self._lengths = np.array([bone.length for bone in bones])
        self._shorter = np.array([1 / _SHORTER if bone.rigid else 0.0 for bone in bones])
        self._reward = np.array([_REWARD if bone.rigid else 0.0 for bone in bones])

    def fitted(self, points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the cost of each version at its most plausible size, and that size in pixels: shape (versions,) each.

        Args:
            points: x, y in pixels, NaN where missing, shape (versions, n, 2). Candidates for the size come from the
                first version.
        """
        offset = points[:, self._ends[:, 0]] - points[:, self._ends[:, 1]]
        suggested = np.hypot(offset[..., 0], offset[..., 1]) / self._lengths
        known = np.isfinite(suggested)
        suggested = np.where(known, suggested, 0)
        typical = (
            max(float(np.quantile(suggested[0][known[0]], _TYPICAL_QUANTILE)), 1.0) if known[0].any() else 1.0
        )
        stretch = suggested[:, np.newaxis, :] / (typical * _SIZES)[:, np.newaxis] - 1
        stretch *= np.where(stretch > 0, self._longer, self._shorter)
        cost = np.minimum(stretch * stretch / 2, _MOST)
        total = (
            np.einsum("vsb,vb->vs", cost, known.astype(np.float64)) - (known @ self._reward)[:, np.newaxis]
        )
        best = total.argmin(axis=1)
        return total[np.arange(len(total)), best], typical * _SIZES[best]

    def reward(self, known: NDArray[np.bool_]) -> float:
        """Return the part of the cost that known points, shape (n,), lower by having bones at all."""
        return float(self._reward[known[self._ends].all(axis=1)].sum())
