"""ONNX Runtime on CPUs, NVIDIA GPUs (CUDA, TensorRT) and Apple silicon (CoreML)."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from runners.config import EngineName, PartPrecision
from runners.engines import Array, Place
from runners.errors import ProviderUnavailableError
from runners.serving.batch_sizes import MAX_CROPS

ort: Any = onnxruntime  # ships without type information

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "mps": "CoreMLExecutionProvider",
}
_TENSORRT = "TensorrtExecutionProvider"
_ERRORS_ONLY = 3
_AS_REQUESTED = 1  # the default allocates powers of two


@cache
def _share_memory() -> None:
    """Share one memory arena among all networks of this process, instead of one each."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg({"arena_extend_strategy": _AS_REQUESTED}))


class OnnxRuntimeGraph:
    """A network in ONNX Runtime; see `LoadedGraph`.

    Raises:
        ProviderUnavailableError: The device is not in use. ONNX Runtime itself would only log that, and use the CPU.
    """

    _engine: EngineName = "onnxruntime"

    def __init__(self, file: Path, precision: PartPrecision, place: Place) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        # Threads of one lane, the caller's included: a network in another process may use the other lane.
        options.intra_op_num_threads = max(1, place.threads // place.lanes)
        options.inter_op_num_threads = 1
        # Runner processes share the CPUs, so that waiting threads must not spin.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if place.device == "cpu":
            _share_memory()
            options.add_session_config_entry("session.use_env_allocators", "1")
            # A memory pattern per batch size would keep a block of memory each.
            options.enable_mem_pattern = False
        providers = _providers(file, self._engine, precision, place)
        wanted = providers[0][0]
        if wanted not in ort.get_available_providers():
            raise ProviderUnavailableError(_not_active(self._engine, place.device, wanted))
        try:
            # The fallback would move to the CPU when the device fails, on loading or in a later run.
            self._session = ort.InferenceSession(str(file), options, providers=providers, enable_fallback=0)
        except (ValueError, RuntimeError) as error:  # no such device, no driver; broken files raise others
            raise ProviderUnavailableError(_not_active(self._engine, place.device, wanted)) from error
        if wanted not in self._session.get_providers():
            raise ProviderUnavailableError(_not_active(self._engine, place.device, wanted))
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, *inputs: Array) -> list[Array]:
        """See `LoadedGraph`."""
        given = zip(self._inputs, inputs, strict=True)
        return self._session.run(self._outputs, {name: np.ascontiguousarray(one) for name, one in given})


class TensorRtGraph(OnnxRuntimeGraph):
    """A network in TensorRT, through ONNX Runtime."""

    _engine = "tensorrt"


def _providers(file: Path, engine: EngineName, precision: PartPrecision, place: Place) -> list[Any]:
    """Return the provider and its options, then providers for the operators that it lacks."""
    device, _, number = place.device.partition(":")
    on = {"device_id": number} if number else {}
    cuda = {**on, "use_tf32": "1" if precision == "tf32" else "0"}
    if engine == "tensorrt":
        return [
            (_TENSORRT, on | _tensorrt_options(file, precision, place)),
            ("CUDAExecutionProvider", cuda),
            "CPUExecutionProvider",
        ]
    if device == "cpu":
        return [(_PROVIDERS["cpu"], {})]
    return [(_PROVIDERS[device], cuda if device == "cuda" else on), _PROVIDERS["cpu"]]


def _tensorrt_options(file: Path, precision: PartPrecision, place: Place) -> dict[str, str]:
    """Return options that compile once for all batch sizes and cache the result."""
    if precision == "f32":
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # else TensorRT computes f32 in TF32
    described = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"]).get_inputs()[0]
    options = {"trt_fp16_enable": "1" if precision == "f16" else "0"}
    if isinstance(described.shape[0], str):
        sizes = "x".join(str(size) for size in described.shape[1:])
        for bound, batch in (("min", 1), ("opt", 4), ("max", MAX_CROPS)):
            options[f"trt_profile_{bound}_shapes"] = f"{described.name}:{batch}x{sizes}"
    if place.cache is not None:
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(place.cache / "tensorrt"),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(place.cache / "tensorrt"),
        }
    return options


def _not_active(engine: EngineName, device: str, provider: str) -> str:
    built_in = ", ".join(ort.get_available_providers())
    setting = f"BACKEND_TYPE={engine}" if engine == "tensorrt" else f"DEVICE={device}"
    instead = "set BACKEND_TYPE=auto" if engine == "tensorrt" else "set DEVICE=cpu"
    return (
        f"{setting} needs ONNX Runtime's {provider}, which does not start on this machine (this build has "
        f"{built_in}). Install the variant for the device and its driver, or {instead}."
    )
