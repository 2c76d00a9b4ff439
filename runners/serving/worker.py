"""What a worker process of a runner does: it loads networks, and runs them in batches on the calls that it gets."""

import ctypes
import os
import pickle
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from prometheus_client import Histogram

from runners.bento.worker import server_folder
from runners.config import NetworkName, RunnerConfig
from runners.devices.cpu_lanes import CpuLanes, lanes_of
from runners.devices.gpus import Claim, gpus_of
from runners.pipeline import LoadedNetwork, load
from runners.plan import PlannedNetwork, fetch
from runners.serving.batch_sizes import MAX_CROPS, batch_sizes, largest_batch
from runners.serving.batching import Crops, run_calls

BATCH_LIMIT_S = 60
"""A network that takes longer for a batch hangs, and its process is replaced: one of 16 crops takes 1 to 10 s."""

GIVE_BACK_INTERVAL_S = 60
"""How often memory that is free is given back to the system: it takes some milliseconds."""

NICENESS = 5
"""The service itself comes first where CPUs are scarce: it needs little, and probes and annotators wait for it."""


@dataclass(frozen=True)
class _Loaded:
    """A network, loaded for both that can happen to it.

    Attributes:
        alone: Uses all CPUs.
        in_lane: Uses those of a lane, and runs in all lanes at once.
    """

    alone: LoadedNetwork
    in_lane: LoadedNetwork


class Worker:
    """Networks in a worker process.

    Args:
        config: Which networks there are, and how they run.
        names: Those of this worker; what the mode does not have is left out.

    Raises:
        ModelUnavailableError: A file is not there and cannot be fetched.
        ProviderUnavailableError: The device or the engine is not available.
    """

    def __init__(self, config: RunnerConfig, names: Sequence[NetworkName]) -> None:
        batch_size = Histogram(
            "rtmlib_network_batch_size",
            "Crops in a batch of a network",
            ["network"],
            buckets=(1, 2, 4, 8, MAX_CROPS),
        )
        seconds = Histogram(
            "rtmlib_network_seconds",
            "Time of a batch in a network",
            ["network"],
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
        )
        os.nice(NICENESS)  # and the threads of the networks inherit it
        networks = fetch(config).networks
        self._device = config.device
        self._lanes = lanes_of(config)
        self._cpus = CpuLanes(server_folder(), self._lanes) if config.device == "cpu" else None
        self._under_way: dict[object, float] = {}  # when each batch in the networks began
        self._networks: dict[NetworkName, LoadedNetwork] = {}
        gpus = gpus_of(config.device)
        self._claim = Claim(gpus, server_folder(), purpose=names[0]) if len(gpus) > 1 else None
        for name in names:
            if name not in networks:
                continue  # in some modes one network finds all keypoints
            loaded = self._load(networks[name], config)
            width, height = networks[name].file.input_size
            for size in batch_sizes(largest_batch(name, config.device)):
                self._set_up(loaded, np.zeros((size, height, width, 3), np.uint8))
            self._networks[name] = self._watched(
                loaded, batch_size.labels(network=name), seconds.labels(network=name)
            )
        give_back_memory()  # loading takes about twice of what the networks keep
        self._gave_back = time.monotonic()

    def run(self, name: NetworkName, calls: Sequence[Crops]) -> list[bytes]:
        """Run a network on the crops of several calls; see `run_calls`.

        Returns:
            An answer for each call, pickled, or BentoML would make dictionaries of the dataclasses in it.
        """
        answers = run_calls(self._networks[name], calls, largest_batch(name, self._device))
        if time.monotonic() - self._gave_back > GIVE_BACK_INTERVAL_S:
            self._gave_back = time.monotonic()
            give_back_memory()
        return [pickle.dumps(answer) for answer in answers]

    def is_alive(self) -> bool:
        """Whether no batch has been in a network for so long that it will never come out; asked by the supervisor."""
        return all(time.monotonic() - began < BATCH_LIMIT_S for began in list(self._under_way.values()))

    def _load(self, network: PlannedNetwork, config: RunnerConfig) -> _Loaded:
        alone = load(network, config, self._claim and self._claim.device)
        return _Loaded(alone, alone if self._lanes == 1 else load(network, config, lanes=self._lanes))

    def _set_up(self, network: _Loaded, crops: Crops) -> None:
        """Run a network once in each way, which sets up its buffers."""
        with self._place():
            network.alone(crops)
            if network.in_lane is not network.alone:
                with ThreadPoolExecutor(self._lanes) as lanes:
                    list(lanes.map(network.in_lane, [crops] * self._lanes))

    def _place(self) -> AbstractContextManager[bool]:
        """Wait for CPUs; tells whether all of them are had."""
        return self._cpus.taken() if self._cpus else nullcontext(True)

    def _watched(self, network: _Loaded, batch_size: Any, seconds: Any) -> LoadedNetwork:
        def run(crops: Crops) -> Sequence[Any]:
            batch_size.observe(len(crops))
            batch = object()
            with self._place() as is_alone:
                self._under_way[batch] = time.monotonic()
                try:
                    with seconds.time():
                        return network.alone(crops) if is_alone else network.in_lane(crops)
                finally:
                    del self._under_way[batch]

        return run


def give_back_memory() -> None:
    """Give free memory back to the system, where the C library can: glibc keeps what lies between what is in use."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
