"""Inference engines: which devices and precisions each supports, and how to load a network.

An engine is imported on first use, so that a process holds only the engines in use.
"""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from runners.config import EngineName, PartPrecision, Precision
from runners.errors import ProviderUnavailableError

Array = NDArray[Any]


@dataclass(frozen=True)
class Engine:
    """An inference engine.

    Attributes:
        package: Import name of the package that it needs.
        graph: `module:class` of its `LoadedGraph`, whose constructor takes a file, a `PartPrecision` and a `Place`.
        precisions: Supported precisions on each kind of device, f32 first. On a CPU, bf16 and `mixed` need bf16
            instructions.
    """

    package: str
    graph: str
    precisions: Mapping[str, tuple[Precision, ...]]


ENGINES: dict[EngineName, Engine] = {
    "onnxruntime": Engine(
        "onnxruntime",
        "runners.engines.onnx_runtime:OnnxRuntimeGraph",
        {"cpu": ("f32",), "cuda": ("f32", "tf32"), "mps": ("f32",)},
    ),
    "tensorrt": Engine("onnxruntime", "runners.engines.onnx_runtime:TensorRtGraph", {"cuda": ("f32", "f16")}),
    "openvino": Engine(
        "openvino",
        "runners.engines.open_vino:OpenVinoGraph",
        {"cpu": ("f32", "bf16", "mixed"), "gpu": ("f32", "f16")},
    ),
    "opencv": Engine("cv2", "runners.engines.opencv_dnn:OpenCvGraph", {"cpu": ("f32",)}),
}
"""Engines that need no extra package come first."""


@dataclass(frozen=True)
class Place:
    """Device, threads and cache of a loaded network.

    Attributes:
        device: `cpu`, `cuda`, `cuda:N`, `gpu`, `gpu:N` (OpenVINO's name for graphics processors) or `mps`.
        threads: Threads of one network, on a CPU.
        cache: Folder for compiled networks (TensorRT); None for no cache.
        lanes: On a CPU, number of concurrent callers, each with its share of the threads.
        one_by_one: Whether the batch size is always 1, for which an engine may compile.
    """

    device: str
    threads: int
    cache: Path | None = None
    lanes: int = 1
    one_by_one: bool = False


class LoadedGraph(Protocol):
    """A loaded network; as many threads as lanes may run it at once."""

    def run(self, *inputs: Array) -> list[Array]:
        """Return the outputs for a batch; inputs and outputs are in the file's order."""
        ...


class _Chain:
    """A network in parts; each takes the outputs of the previous one."""

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
        engine: The inference engine.
        computed_in: The precision of each file, one of `precisions(engine, place.device)`.
        place: Device, threads and cache.

    Raises:
        ProviderUnavailableError: The engine is not installed, or does not use the device.
    """
    require_engine(engine, place.device)
    module, _, name = ENGINES[engine].graph.partition(":")
    graph = getattr(importlib.import_module(module), name)
    parts = [graph(file, one, place) for file, one in zip(files, computed_in, strict=True)]
    return parts[0] if len(parts) == 1 else _Chain(parts)


def engines_for(device: str) -> tuple[EngineName, ...]:
    """Return the engines that can run on a device."""
    return tuple(name for name, engine in ENGINES.items() if _kind(device) in engine.precisions)


def is_installed(engine: EngineName) -> bool:
    """Tell whether the engine's package is installed."""
    return importlib.util.find_spec(ENGINES[engine].package) is not None


def require_engine(engine: EngineName, device: str) -> None:
    """Check that an engine is installed and supports a device.

    Raises:
        ProviderUnavailableError: It is not installed, or does not support the device.
    """
    if engine not in engines_for(device):
        raise ProviderUnavailableError(
            f"BACKEND_TYPE={engine} does not support DEVICE={device}. Set BACKEND_TYPE to auto or "
            f"{' or '.join(engines_for(device))}, or set another DEVICE."
        )
    if not is_installed(engine):
        package = ENGINES[engine].package
        raise ProviderUnavailableError(
            f"BACKEND_TYPE={engine} needs the package {package}, which is not installed. "
            f"Run `pip install {package}`, or set BACKEND_TYPE=auto."
        )


def precisions(engine: EngineName, device: str) -> tuple[Precision, ...]:
    """Return an engine's precisions on this machine's device, f32 first.

    Raises:
        ProviderUnavailableError: See `require_engine`.
    """
    require_engine(engine, device)
    found = ENGINES[engine].precisions[_kind(device)]
    if _kind(device) == "cpu" and not has_bf16():
        return tuple(one for one in found if one not in ("bf16", "mixed"))
    return found


def _kind(device: str) -> str:
    return device.partition(":")[0]


@cache
def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether Linux lists bf16 instructions of the CPU (Intel's or AMD's)."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        return False
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(flags)
