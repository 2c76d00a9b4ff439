"""The service with a network that never returns, once: started by tests with the file HANG_ONCE."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters import time_limits
from runners.serving import worker

time_limits.TIME_LIMITS = time_limits.TIME_LIMITS.model_copy(update={"batch_s": 2.0})
_load = worker.load
_trigger = Path(os.environ["HANG_ONCE"])


def load(
    planned: worker.PlannedNetwork, config: worker.RunnerConfig, device: str | None = None, lanes: int = 1
) -> worker.LoadedNetwork:
    network = _load(planned, config, device, lanes)

    def run(crops: worker.Crops) -> Sequence[Any]:
        if planned.name == "body" and _trigger.exists():
            _trigger.unlink()
            threading.Event().wait()
        return network(crops)

    return run


worker.load = load

from service import Backend  # noqa: E402 - with the network above

__all__ = ["Backend"]
