"""OpenVINO on CPUs, in f32 and bf16, and on Intel's graphics processors."""

from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino

from runners.config import PartPrecision
from runners.engines import Array, Place
from runners.errors import ProviderUnavailableError

ov: Any = openvino  # ships with partial type information


@cache
def _core() -> Any:
    return ov.Core()


class OpenVinoGraph:
    """A network in OpenVINO; see `LoadedGraph`.

    Raises:
        ProviderUnavailableError: OpenVINO does not find the device.
    """

    def __init__(self, file: Path, precision: PartPrecision, place: Place) -> None:
        device = _device(place.device)
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if device == "CPU":
            options |= {
                "INFERENCE_NUM_THREADS": place.threads,
                "NUM_STREAMS": place.lanes,
                # Several processes run networks; with pinning, all would use the same cores.
                "ENABLE_CPU_PINNING": False,
                # Thread counts are in logical CPUs, as the kernel's limits are.
                "ENABLE_HYPER_THREADING": True,
            }
        model = _core().read_model(str(file))
        if place.one_by_one:  # with a fixed shape a network is a tenth faster and takes a tenth less memory
            model.reshape({one: [1, *one.partial_shape[1:]] for one in model.inputs})
        self.network = _core().compile_model(model, device, options)
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(place.lanes):
            self._requests.put(self.network.create_infer_request())
        self._outputs = len(self.network.outputs)

    def run(self, *inputs: Array) -> list[Array]:
        """See `LoadedGraph`."""
        request = self._requests.get()
        try:
            request.infer([np.ascontiguousarray(one) for one in inputs], share_inputs=True)
            # The next run overwrites this memory.
            return [request.get_output_tensor(i).data.copy() for i in range(self._outputs)]
        finally:
            self._requests.put(request)


def _device(device: str) -> str:
    kind, _, number = device.partition(":")
    name = f"{kind.upper()}{f'.{number}' if number else ''}"
    available: list[str] = _core().available_devices
    # OpenVINO does not number a single graphics processor.
    if name not in available and not (
        name in ("GPU", "GPU.0") and any(d.startswith("GPU") for d in available)
    ):
        raise ProviderUnavailableError(
            f"OpenVINO does not find DEVICE={device}; it finds {', '.join(available) or 'no device'}. "
            "Install the device's driver, or set DEVICE=cpu."
        )
    return name
