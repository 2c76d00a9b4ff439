"""Chooses engine and precision of each network by a rule; equal machines choose the same.

A precision below f32 is used only for weights that `benchmarks/precision.py` measured in it on photographs. Users'
machines have no photographs to measure with. Drawn people would not do: their contours are clear, and lower precision
first changes uncertain keypoints.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from runners.config import EngineName, NetworkName, Precision, RunnerConfig
from runners.engines import engines_for, is_installed, precisions, require_engine
from runners.models.manifest import (
    FACE_DETECTION,
    FACE_LANDMARK,
    HAND_LANDMARK,
    RTMPOSE_S_HALPE26,
    YOLOX_TINY,
    ModelFile,
    OwnFile,
)

LEAST_MEAN_OKS, LEAST_OKS = 0.998, 0.98
"""Lower bounds of PRECISION=auto on the object keypoint similarity to f32: mean, and worst person."""


@dataclass(frozen=True)
class Fidelity:
    """Object keypoint similarity to f32 over people on photographs: mean, and worst person."""

    mean: float
    worst: float


MEASURED: Mapping[str, Mapping[Precision, Fidelity]] = MappingProxyType(
    {
        str(YOLOX_TINY.sha256): {"bf16": Fidelity(0.9976, 0.976), "mixed": Fidelity(0.9994, 0.996)},
        str(HAND_LANDMARK.sha256): {"bf16": Fidelity(0.9995, 0.997)},
        str(FACE_DETECTION.sha256): {"bf16": Fidelity(0.9999, 0.998)},
        str(FACE_LANDMARK.sha256): {"bf16": Fidelity(0.9994, 0.999)},
        str(RTMPOSE_S_HALPE26.sha256): {"bf16": Fidelity(0.9239, 0.372)},
    }
)
"""By the SHA-256 of the network's file.

Measured on a CPU with AVX512-BF16 over 20 people on photographs; except for the detector also mirrored and at half
size. In `mixed` the detector's boxes move by 0.02 % of their diagonal in the median. One mirrored person falls to
0.934 with them, and to 0.892 with f32 boxes that are moved by 0.03 % at random: the pose network is that sensitive,
whatever the detector's precision.
"""

_AUTOMATIC: tuple[EngineName, ...] = ("onnxruntime", "openvino")
"""OpenCV was the slowest of three on most measured networks, and TensorRT compiles for minutes."""

_FASTEST_FIRST: tuple[Precision, ...] = ("bf16", "mixed", "f16", "tf32")


def choose(
    name: NetworkName, file: ModelFile, digest: str, config: RunnerConfig
) -> tuple[EngineName, Precision]:
    """Return the engine and the precision of a network.

    The precision is the fastest that PRECISION allows and an engine of BACKEND_TYPE supports here, else f32. In f32
    ONNX Runtime is as fast as OpenVINO and takes less memory.

    Args:
        name: The network's name.
        file: The network.
        digest: SHA-256 of its file.
        config: The device and the allowed engines and precisions.

    Raises:
        ProviderUnavailableError: The engine is not installed, or does not support the device.
    """
    if config.engine != "auto":
        engines: list[EngineName] = [config.engine]
    else:
        known = engines_for(config.device)
        engines = [one for one in known if one in _AUTOMATIC and is_installed(one)] or [known[0]]
    for engine in engines:
        require_engine(engine, config.device)
    for precision in _FASTEST_FIRST:
        if _is_allowed(name, file, digest, precision, config):
            for engine in engines:
                if precision in precisions(engine, config.device):
                    return engine, precision
    return engines[0], "f32"


def _is_allowed(
    name: NetworkName, file: ModelFile, digest: str, precision: Precision, config: RunnerConfig
) -> bool:
    match config.precision:
        case "exact":
            return False
        case "fast":
            return precision != "mixed"
        case "auto":
            is_unknown = isinstance(file.source, OwnFile) and digest not in MEASURED
            return not is_unknown and is_tolerated(name, digest, precision)


def is_tolerated(name: NetworkName, digest: str, precision: Precision) -> bool:
    """Tell whether a network in a precision is within the bounds of PRECISION=auto.

    An unmeasured person detector is assumed to keep its boxes in `mixed` as YOLOX-tiny does: lower precision moves a
    box a little. A keypoint, the likeliest of several bins, can jump.
    """
    measured = MEASURED.get(digest, {}).get(precision)
    if measured is None:
        return name == "person" and precision == "mixed"
    return measured.mean >= LEAST_MEAN_OKS and measured.worst >= LEAST_OKS


def cost(digest: str, precision: Precision) -> str:
    """Return the measured cost of a precision for a network, in words."""
    if precision == "f32":
        return "f32, no loss"
    measured = MEASURED.get(digest, {}).get(precision)
    if measured is None:
        return f"{precision}, not measured with these weights"
    return f"{precision}, similarity to f32 (OKS) mean {measured.mean:.4f}, worst {measured.worst:.3f}"
