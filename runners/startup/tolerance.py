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
from runners.models.manifest import (
    FACE_DETECTION,
    FACE_LANDMARK,
    HAND_LANDMARK,
    RTMPOSE_S_HALPE26,
    YOLOX_TINY,
)

LEAST_MEAN_OKS, LEAST_OKS = 0.998, 0.98
"""Bounds of PRECISION=auto on the object keypoint similarity to f32: on the mean, and of the worst person."""


@dataclass(frozen=True)
class Fidelity:
    """Object keypoint similarity to f32, over people on photographs: on the mean, and of the worst person."""

    mean: float
    worst: float


MEASURED: Mapping[str, Mapping[Precision, Fidelity]] = MappingProxyType(
    {
        str(YOLOX_TINY.sha256): {"bf16": Fidelity(0.9976, 0.976), "mixed": Fidelity(0.9994, 0.996)},
        str(HAND_LANDMARK.sha256): {"bf16": Fidelity(0.9995, 0.997)},
        str(FACE_DETECTION.sha256): {"bf16": Fidelity(0.9999, 0.998)},
        str(FACE_LANDMARK.sha256): {"bf16": Fidelity(0.9994, 0.999)},
        str(RTMPOSE_S_HALPE26.sha256): {"bf16": Fidelity(0.9239, 0.372), "mixed": Fidelity(0.9992, 0.981)},
    }
)
"""By the SHA-256 of the network's file.

Measured on a CPU with AVX512-BF16 over 20 people on photographs, for all but the detector also mirrored and at half
size. The detector's boxes in `mixed` move by 0.02 % of their diagonal in the median. Of the mirrored people one falls
to 0.934 with them; with boxes in f32 that are moved by 0.03 % at random the same one falls to 0.892. That is how much
the pose network makes of nothing, and no matter of the detector's precision.
"""


@dataclass(frozen=True)
class Mixture:
    """How a network is computed in parts.

    Attributes:
        cuts: The tensors between two parts, for each cut.
        computed_in: What each part is computed in, one more than cuts.
    """

    cuts: tuple[tuple[str, ...], ...]
    computed_in: tuple[PartPrecision, ...]


_DETECTOR = Mixture((BEFORE_THE_HEAD,), ("bf16", "f32"))
"""Nearly all that bf16 costs a YOLOX comes from rounding what its last convolutions say, which are cheap."""

_MIXTURES: Mapping[str, Mixture] = MappingProxyType(
    {
        # f32 up to the end of the backbone's second stage, where nearly all is lost, and in the head behind the
        # last convolution.
        str(RTMPOSE_S_HALPE26.sha256): Mixture((("339",), ("439",)), ("f32", "bf16", "f32")),
    }
)
"""By the SHA-256 of the network's file."""


def mixture(network: str, digest: str) -> Mixture | None:
    """Return how a network can be computed in bf16 for a part, or None where that is not known."""
    return _MIXTURES.get(digest, _DETECTOR if network == "person" else None)


def is_measured(digest: str) -> bool:
    """Tell whether it is known of a network what lower precisions cost."""
    return digest in MEASURED


def is_tolerated(network: str, digest: str, precision: Precision) -> bool:
    """Tell whether a network keeps within the bounds of PRECISION=auto in a precision.

    A person detector that is not in the table is taken to bear what YOLOX-tiny bears: what a lower precision changes
    in a box is small and no matter of luck, as it is where a keypoint is the likeliest of several places, and
    `runners.startup.trial` compares its boxes on the machine.
    """
    if precision == "mixed" and mixture(network, digest) is None:
        return False
    measured = MEASURED.get(digest, {}).get(precision)
    if measured is None:
        return network == "person" and precision == "mixed"
    return measured.mean >= LEAST_MEAN_OKS and measured.worst >= LEAST_OKS


def cost(digest: str, precision: Precision) -> str:
    """Return in words what a precision costs a network, as far as it was measured."""
    if precision == "f32":
        return "f32, nothing lost"
    measured = MEASURED.get(digest, {}).get(precision)
    if measured is None:
        return f"{precision}, its cost was not measured with these weights"
    return f"{precision}, similarity to f32 (OKS) {measured.mean:.4f} on the mean and {measured.worst:.3f} at worst"
