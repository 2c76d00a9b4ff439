"""The networks alone, in a process of their own: engines set things up for a whole process, and must not share one."""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.composition import runner_config
from adapters.settings import load_settings
from runners.assembly import LoadedNetwork, fetch_files, load
from runners.batching import Failed, largest_batch, run_calls
from runners.choice import NetworkName
from runners.preparation import prepare_networks

Crops = NDArray[np.uint8]

START_LIMIT_S = 3000
"""TensorRT compiles each network, for each precision, for minutes."""
TURN_LIMIT_S = 600


@dataclass(frozen=True)
class _Work:
    network: LoadedNetwork
    crops: Crops
    largest: int


_work: dict[NetworkName, _Work] = {}


def _start(environment: dict[str, str], crops: dict[NetworkName, Crops]) -> None:
    os.environ.update(environment)
    config = runner_config(load_settings())
    fetch_files(config)
    prepare_networks(config)  # as the service does, or nothing would have been decided yet
    for name, own in crops.items():
        _work[name] = _Work(load(name, config), own, largest_batch(name, config.device))


def _run(seconds: float) -> float:
    """Run all networks on all crops, again and again; return how often per second."""
    started, rounds = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for name, work in _work.items():
            (answer,) = run_calls(work.network, [work.crops], work.largest)
            if isinstance(answer, Failed):
                raise RuntimeError(f"The {name} network failed: {answer.reason}")
        rounds += 1
    return rounds / (time.perf_counter() - started)


@contextmanager
def engine_process(
    environment: Mapping[str, str], crops: Mapping[NetworkName, Crops]
) -> Generator[Callable[[float], Awaitable[float]]]:
    """Load the networks; gives what runs them for so many seconds and returns how often per second all was done.

    Args:
        environment: The service's settings.
        crops: What each network gets.

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
