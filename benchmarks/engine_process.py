"""The networks alone, in a child process: engines configure a whole process and must not share one."""

import asyncio
import itertools
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.settings import load_settings
from adapters.wiring import runner_config
from runners.config import NetworkName
from runners.devices.cpu_lanes import lanes_of
from runners.pipeline import LoadedNetwork, load
from runners.plan import fetch
from runners.serving.batch_sizes import MAX_CROPS, largest_batch
from runners.serving.batching import Failed, run_calls
from runners.startup.preparation import prepare_networks

Crops = NDArray[np.uint8]

START_LIMIT_S = 3000
"""TensorRT compiles each network, for each precision, for minutes."""
TURN_LIMIT_S = 600


@dataclass(frozen=True)
class _Batch:
    """A full batch and its network."""

    network: LoadedNetwork
    crops: Crops
    place: float  # among the batches of all networks, so that a part of them has its share of each network


_batches: list[_Batch] = []
_lanes = 1


def _start(environment: dict[str, str], crops: dict[NetworkName, Crops]) -> None:
    global _lanes  # noqa: PLW0603 - one for this process
    os.environ.update(environment)
    config = runner_config(load_settings())
    plan = fetch(config)
    prepare_networks(plan)  # as the service does
    _lanes = lanes_of(config)
    for name, own in crops.items():
        network = load(plan.networks[name], config, lanes=_lanes)
        size = largest_batch(name, config.device)
        starts = range(0, len(own), size)
        _batches.extend(
            _Batch(network, own[start : start + size], (start + size / 2) / len(own)) for start in starts
        )
    _batches.sort(key=lambda batch: batch.place)


def _run(seconds: float) -> float:
    """Run all networks on all crops repeatedly, in all lanes at once; return the passes per second."""
    ends = time.perf_counter() + seconds
    turns = itertools.cycle(_batches)

    def lane() -> int:
        batches = 0
        while time.perf_counter() < ends:
            batch = next(turns)
            (answer,) = run_calls(batch.network, [batch.crops], MAX_CROPS)
            if isinstance(answer, Failed):
                raise RuntimeError(f"A network failed: {answer.reason}")
            batches += 1
        return batches

    started = time.perf_counter()
    with ThreadPoolExecutor(_lanes) as lanes:
        done = sum(lanes.map(lambda _: lane(), range(_lanes)))
    return done / len(_batches) / (time.perf_counter() - started)


@contextmanager
def engine_process(
    environment: Mapping[str, str], crops: Mapping[NetworkName, Crops]
) -> Generator[Callable[[float], Awaitable[float]]]:
    """Load the networks; yields a function that runs them for some seconds and returns the passes per second.

    Args:
        environment: The service's settings.
        crops: The crops of each network.

    Raises:
        ProviderUnavailableError: The device or the engine cannot be used here.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        process.submit(_start, dict(environment), dict(crops)).result(START_LIMIT_S)

        async def run(seconds: float) -> float:
            limit_s = seconds + TURN_LIMIT_S
            async with asyncio.timeout(limit_s):
                return await asyncio.wrap_future(process.submit(_run, seconds))

        yield run
