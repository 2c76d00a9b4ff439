"""Engines: what runs a network's file. Each knows some devices and some precisions, and nothing of people.

An engine is imported when it is first asked for: a process holds only the one that it uses.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from runners.errors import ProviderUnavailableError

Array = NDArray[Any]

EngineName = Literal["onnxruntime", "tensorrt", "openvino", "opencv"]
Precision = Literal["f32", "tf32", "f16", "bf16", "mixed"]
"""What a network is computed in. `mixed`: bf16, but for the part of the network that does not bear it."""

PACKAGES: dict[EngineName, str] = {
    "onnxruntime": "onnxruntime",
    "tensorrt": "onnxruntime",
    "openvino": "openvino",
    "opencv": "cv2",
}


@dataclass(frozen=True)
class Place:
    """Where a network runs.

    Attributes:
        device: `cpu`, `cuda`, `cuda:N`, `gpu`, `gpu:N` (OpenVINO's name for graphics processors) or `mps`.
        threads: Threads of one network, on a CPU.
        cache: Folder for what an engine compiles (TensorRT); None where nothing can be kept.
    """

    device: str
    threads: int
    cache: Path | None = None


class LoadedGraph(Protocol):
    """A loaded network: one input, any number of outputs."""

    def run(self, batch: Array) -> list[Array]:
        """Run the network on a batch and return its outputs in the order of the file."""
        ...


class _Chain:
    """A network in parts, each of which takes what the one before it gives."""

    def __init__(self, parts: Sequence[LoadedGraph]) -> None:
        self._parts = parts

    def run(self, batch: Array) -> list[Array]:
        *before, last = self._parts
        for part in before:
            (batch,) = part.run(batch)
        return last.run(batch)


def load_graph(files: Sequence[Path], engine: EngineName, precision: Precision, place: Place) -> LoadedGraph:
    """Load a network.

    Args:
        files: The .onnx file; for `mixed` the file's parts in order, which are computed in f32 and bf16 in turn.
        engine: What runs it.
        precision: What it is computed in: one of `precisions(engine, place.device)`.
        place: Where it runs.

    Raises:
        ProviderUnavailableError: The engine is not installed, or the device is not really in use.
    """
    if precision == "mixed":
        in_turn: tuple[Precision, Precision] = ("f32", "bf16")
        return _Chain([load_graph([f], engine, in_turn[i % 2], place) for i, f in enumerate(files)])
    (file,) = files
    require_engine(engine, place.device)
    match engine:
        case "onnxruntime" | "tensorrt":
            from runners.engines.onnx_runtime import OnnxRuntimeGraph  # noqa: PLC0415 - see the module's docstring

            return OnnxRuntimeGraph(file, engine, precision, place)
        case "openvino":
            from runners.engines.open_vino import OpenVinoGraph  # noqa: PLC0415

            return OpenVinoGraph(file, precision, place)
        case "opencv":
            from runners.engines.opencv_dnn import OpenCvGraph  # noqa: PLC0415

            return OpenCvGraph(file, place)


def engines_for(device: str) -> tuple[EngineName, ...]:
    """Return the engines that can run on a device, those first that need no other package."""
    match device.partition(":")[0]:
        case "cpu":
            return ("onnxruntime", "openvino", "opencv")
        case "cuda":
            return ("onnxruntime", "tensorrt")
        case "gpu":
            return ("openvino",)
        case _:  # mps
            return ("onnxruntime",)


def is_installed(engine: EngineName) -> bool:
    """Tell whether the engine's package is there."""
    return importlib.util.find_spec(PACKAGES[engine]) is not None


def require_engine(engine: EngineName, device: str) -> None:
    """Check that an engine is installed and can run on a device at all.

    Raises:
        ProviderUnavailableError: It is not, or cannot.
    """
    if engine not in engines_for(device):
        raise ProviderUnavailableError(
            f"BACKEND_TYPE={engine} does not run on DEVICE={device}: set BACKEND_TYPE to auto or "
            f"{' or '.join(engines_for(device))}, or set another DEVICE."
        )
    if not is_installed(engine):
        raise ProviderUnavailableError(
            f"BACKEND_TYPE={engine} needs the package {PACKAGES[engine]}, which is not installed: "
            f"`pip install {PACKAGES[engine]}`, or set BACKEND_TYPE=auto."
        )


def precisions(engine: EngineName, device: str) -> tuple[Precision, ...]:
    """Return what an engine can compute in on this machine's device, f32 first.

    Raises:
        ProviderUnavailableError: See `require_engine`.
    """
    require_engine(engine, device)
    kind = device.partition(":")[0]
    match engine:
        case "onnxruntime":
            return ("f32", "tf32") if kind == "cuda" else ("f32",)
        case "tensorrt":
            return ("f32", "f16")
        case "openvino":
            from runners.engines.open_vino import openvino_precisions  # noqa: PLC0415

            return openvino_precisions(device)
        case "opencv":
            return ("f32",)
