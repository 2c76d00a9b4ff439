"""Which precisions below f32 each network bears, as measured with photographs by `benchmarks/precision.py`.

On a user's machine there are no photographs with people whose keypoints would tell, and the drawn people that there
are would not: their contours are clear, and what a lower precision changes first are keypoints that were unsure.
So this is a table of what was measured with a certain file. A network that is not in it is computed in f32, unless
PRECISION=fast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from runners.engines import Precision

LEAST_MEAN_OKS, LEAST_OKS = 0.998, 0.98
"""Bounds of PRECISION=auto on the object keypoint similarity to f32: on the mean, and of the worst person."""


@dataclass(frozen=True)
class Fidelity:
    """Object keypoint similarity to f32, over people on photographs: on the mean, and of the worst person."""

    mean: float
    worst: float


MEASURED: Mapping[str, Mapping[Precision, Fidelity]] = MappingProxyType({})
"""By the SHA-256 of the network's file."""

_F32_UNTIL: Mapping[str, str] = MappingProxyType({})
"""The tensor up to which a network must be f32, by the SHA-256 of its file; from there on it bears bf16."""


def f32_until(digest: str) -> str | None:
    """Return the tensor up to which a network has to be computed in f32 when the rest is computed in bf16."""
    return _F32_UNTIL.get(digest)


def is_tolerated(network: str, digest: str, precision: Precision) -> bool:
    """Tell whether a network keeps within the bounds of PRECISION=auto in a precision.

    A person detector that is not in the table is taken to bear bf16: a box is no argmax, the pose network cuts its
    crop with a margin of a quarter round it, and `runners.trial` compares its boxes on the machine.
    """
    if precision == "mixed" and f32_until(digest) is None:
        return False
    measured = MEASURED.get(digest, {}).get(precision)
    if measured is None:
        return network == "person" and precision == "bf16" and digest not in MEASURED
    return measured.mean >= LEAST_MEAN_OKS and measured.worst >= LEAST_OKS
