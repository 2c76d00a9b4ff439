"""Which precisions below f32 each network bears, as measured with photographs by `benchmarks/precision.py`.

On a user's machine there are no photographs with people whose keypoints would tell, and the drawn people that there
are would not: their contours are clear, and what a lower precision changes first are keypoints that were unsure.
So this is a table of what was measured with a certain file. A network that is not in it is computed in f32, unless
PRECISION=fast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from runners.engines import PartPrecision, Precision
from runners.graphs.prepared import BEFORE_THE_HEAD

LEAST_MEAN_OKS, LEAST_OKS = 0.998, 0.98
"""Bounds of PRECISION=auto on the object keypoint similarity to f32: on the mean, and of the worst person."""


@dataclass(frozen=True)
class Fidelity:
    """Object keypoint similarity to f32, over people on photographs: on the mean, and of the worst person."""

    mean: float
    worst: float


MEASURED: Mapping[str, Mapping[Precision, Fidelity]] = MappingProxyType({})
"""By the SHA-256 of the network's file."""


@dataclass(frozen=True)
class Mixture:
    """How a network is computed in parts.

    Attributes:
        cut_at: The tensors between the two parts.
        computed_in: What each part is computed in.
    """

    cut_at: tuple[str, ...]
    computed_in: tuple[PartPrecision, PartPrecision]


_DETECTOR = Mixture(BEFORE_THE_HEAD, ("bf16", "f32"))
"""Nearly all that bf16 costs a YOLOX comes from rounding what its last convolutions say, which are cheap."""

_MIXTURES: Mapping[str, Mixture] = MappingProxyType({})
"""By the SHA-256 of the network's file."""


def mixture(network: str, digest: str) -> Mixture | None:
    """Return how a network can be computed in bf16 for a part, or None where that is not known."""
    return _MIXTURES.get(digest, _DETECTOR if network == "person" else None)


def is_tolerated(network: str, digest: str, precision: Precision) -> bool:
    """Tell whether a network keeps within the bounds of PRECISION=auto in a precision.

    A person detector that is not in the table is taken to bear what YOLOX-tiny bears: what a lower precision changes
    in a box is small and no matter of luck, as it is where a keypoint is the likeliest of several places, and
    `runners.trial` compares its boxes on the machine.
    """
    if precision == "mixed" and mixture(network, digest) is None:
        return False
    measured = MEASURED.get(digest, {}).get(precision)
    if measured is None:
        return network == "person" and precision == "mixed"
    return measured.mean >= LEAST_MEAN_OKS and measured.worst >= LEAST_OKS
