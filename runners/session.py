"""A network loaded into ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from runners.config import RunnerConfig
from runners.errors import ProviderUnavailableError

Array = NDArray[Any]

ort: Any = onnxruntime  # ships without type information

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "mps": "CoreMLExecutionProvider",
}
_ERRORS_ONLY = 3


class Session:
    """A loaded network: one input, any number of outputs.

    Args:
        file: The .onnx file.
        config: Device and threads.

    Raises:
        ProviderUnavailableError: The wanted device is not really in use. ONNX Runtime itself would go on on the CPU,
            with a line in the log.
    """

    def __init__(self, file: Path, config: RunnerConfig) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = config.threads
        options.inter_op_num_threads = 1
        # Runner processes and their networks share the same CPUs: a thread that waits must not burn what another needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        device, _, number = config.device.partition(":")
        provider = _PROVIDERS[device]
        providers: list[Any] = [(provider, {"device_id": number} if number else {})]
        if device != "cpu":
            providers.append(_PROVIDERS["cpu"])  # for the few operators that the device does not know
        if provider not in ort.get_available_providers():
            raise ProviderUnavailableError(_not_active(config.device, provider))
        try:
            # Without its fallback, which goes over to the CPU when the device fails, at the start or in any later run.
            self._session = ort.InferenceSession(str(file), options, providers=providers, enable_fallback=0)
        except (ValueError, RuntimeError) as error:  # no such device, no driver; broken files raise others
            raise ProviderUnavailableError(_not_active(config.device, provider)) from error
        if provider not in self._session.get_providers():
            raise ProviderUnavailableError(_not_active(config.device, provider))
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, batch: Array) -> list[Array]:
        """Run the network on a batch and return its outputs in the order of the file."""
        return self._session.run(self._outputs, {self._input: np.ascontiguousarray(batch)})


def _not_active(device: str, provider: str) -> str:
    built_in = ", ".join(ort.get_available_providers())
    return (
        f"DEVICE={device} needs ONNX Runtime's {provider}, which does not start on this machine (this build offers "
        f"{built_in}): install the variant for the device and its driver, or set DEVICE=cpu."
    )
