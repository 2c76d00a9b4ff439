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
"""What a network is computed in. `mixed`: bf16, but for a part that does not bear it and is computed in f32."""
PartPrecision = Literal["f32", "tf32", "f16", "bf16"]
"""What all of a file is computed in."""

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
        lanes: On a CPU, how many callers run the network at once, each with its share of the threads.
        one_by_one: Whether all batches are of one picture, which an engine may set itself up for.
    """

    device: str
    threads: int
    cache: Path | None = None
    lanes: int = 1
    one_by_one: bool = False


class LoadedGraph(Protocol):
    """A loaded network, which as many threads may run at once as it has lanes."""

    def run(self, *inputs: Array) -> list[Array]:
        """Run the network on a batch and return its outputs; inputs and outputs are in the order of the file."""
        ...


class _Chain:
    """A network in parts, each of which takes what the one before it gives."""

    def __init__(self, parts: Sequence[LoadedGraph]) -> None:
        self._parts = parts

    def run(self, *inputs: Array) -> list[Array]:
        between = list(inputs)
        for part in self._parts:
            between = part.run(*between)
        return between


def load_graph(
    files: Sequence[Path], engine: EngineName, computed_in: Sequence[PartPrecision], place: Place
) -> LoadedGraph:
    """Load a network.

    Args:
        files: The .onnx file, or the network's parts in order.
        engine: What runs it.
        computed_in: What each of the files is computed in, of `precisions(engine, place.device)`.
        place: Where it runs.

    Raises:
        ProviderUnavailableError: The engine is not installed, or the device is not really in use.
    """
    require_engine(engine, place.device)
    parts = [_load_file(file, engine, one, place) for file, one in zip(files, computed_in, strict=True)]
    return parts[0] if len(parts) == 1 else _Chain(parts)


def _load_file(file: Path, engine: EngineName, precision: PartPrecision, place: Place) -> LoadedGraph:
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
            f"BACKEND_TYPE={engine} does not support DEVICE={device}. Set BACKEND_TYPE to auto or "
            f"{' or '.join(engines_for(device))}, or set another DEVICE."
        )
    if not is_installed(engine):
        raise ProviderUnavailableError(
            f"BACKEND_TYPE={engine} needs the package {PACKAGES[engine]}, which is not installed. "
            f"Run `pip install {PACKAGES[engine]}`, or set BACKEND_TYPE=auto."
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
