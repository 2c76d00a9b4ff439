"""The worker process of a runner: loads networks and runs them on batches of calls."""

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

GIVE_BACK_INTERVAL_S = 60
"""Interval for returning free memory to the system, which takes some milliseconds."""

NICENESS = 5
"""Gives the service priority over inference: it needs little CPU, and probes and annotators wait for it."""


@dataclass(frozen=True)
class _Loaded:
    """A network, loaded for all CPUs and for lanes.

    Attributes:
        alone: Runs on all CPUs.
        in_lane: Runs on the CPUs of one lane, in all lanes at once.
    """

    alone: LoadedNetwork
    in_lane: LoadedNetwork


class Worker:
    """The networks of a worker process.

    Args:
        config: Configuration of the runners.
        names: The networks of this worker; those that the mode lacks are skipped.
        batch_limit_s: Timeout of a batch, seconds, after which the worker reports that it hangs.

    Raises:
        ModelUnavailableError: A file is missing and cannot be fetched.
        ProviderUnavailableError: The device or the engine is unavailable.
    """

    def __init__(self, config: RunnerConfig, names: Sequence[NetworkName], batch_limit_s: float) -> None:
        self._batch_limit_s = batch_limit_s
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
        os.nice(NICENESS)  # inherited by the networks' threads
        networks = fetch(config).networks
        self._device = config.device
        self._lanes = lanes_of(config)
        self._cpus = CpuLanes(server_folder(), self._lanes) if config.device == "cpu" else None
        self._under_way: dict[object, float] = {}  # start time of each running batch
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
        give_back_memory()  # loading takes about twice the memory that the networks keep
        self._gave_back = time.monotonic()

    def run(self, name: NetworkName, calls: Sequence[Crops]) -> list[bytes]:
        """Run a network on the crops of several calls; see `run_calls`.

        Returns:
            A pickled answer for each call; BentoML would convert its dataclasses to dictionaries.
        """
        answers = run_calls(self._networks[name], calls, largest_batch(name, self._device))
        if time.monotonic() - self._gave_back > GIVE_BACK_INTERVAL_S:
            self._gave_back = time.monotonic()
            give_back_memory()
        return [pickle.dumps(answer) for answer in answers]

    def is_alive(self) -> bool:
        """Tell the supervisor's probe whether every running batch is within its timeout."""
        return all(time.monotonic() - began < self._batch_limit_s for began in list(self._under_way.values()))

    def _load(self, network: PlannedNetwork, config: RunnerConfig) -> _Loaded:
        alone = load(network, config, self._claim and self._claim.device)
        return _Loaded(alone, alone if self._lanes == 1 else load(network, config, lanes=self._lanes))

    def _set_up(self, network: _Loaded, crops: Crops) -> None:
        """Run a network once alone and once in lanes, which allocates its buffers."""
        with self._place():
            network.alone(crops)
            if network.in_lane is not network.alone:
                with ThreadPoolExecutor(self._lanes) as lanes:
                    list(lanes.map(network.in_lane, [crops] * self._lanes))

    def _place(self) -> AbstractContextManager[bool]:
        """Wait for CPUs; yields whether all of them are held."""
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
    """Return free memory to the system if the C library can: glibc keeps the gaps between allocations."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
