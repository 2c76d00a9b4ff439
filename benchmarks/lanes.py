"""The lanes of a comparison: each runs for some seconds and returns its pictures per second."""

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np

from adapters.pictures.decoding.decode import decode
from adapters.settings import load_settings
from adapters.wiring import runner_config
from benchmarks.engine_process import Crops, engine_process
from benchmarks.gpu_use import GpuUse, gpu_use
from benchmarks.loads import ask_for_people, during
from benchmarks.network_work import NetworkWork, read_network_work
from benchmarks.rtmlib_solution import rtmlib_solution
from runners.config import NetworkName
from runners.pipeline import assemble, load
from runners.plan import fetch
from wholebody.pipeline import find_people

REFERENCE = {"BACKEND_TYPE": "onnxruntime", "PRECISION": "exact"}

Lane = Callable[[float], Awaitable[float]]
"""Runs for a number of seconds; returns pictures per second."""


@dataclass
class Seen:
    """Measurements of a server's callers over all turns.

    Attributes:
        latencies: Latency of each request, seconds.
        work: Work of the server's networks in the turns; empty if the server has no metrics.
        seconds: Total length of the turns.
        gpus: Use of the GPUs in each turn.
    """

    latencies: list[float] = field(default_factory=list[float])
    work: NetworkWork = field(default_factory=NetworkWork)
    seconds: float = 0
    gpus: list[GpuUse] = field(default_factory=list[GpuUse])

    def forget(self) -> None:
        """Discard the measurements of the warm-up."""
        self.latencies, self.work, self.seconds, self.gpus = [], NetworkWork(), 0, []


@contextmanager
def settings_of(environment: Mapping[str, str]) -> Generator[None]:
    """Set environment variables of this process until the block ends."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def recorded_crops(environment: Mapping[str, str], files: Sequence[Path]) -> dict[NetworkName, Crops]:
    """Return the crops that each network gets from these pictures, computed on the CPU."""
    seen: dict[NetworkName, list[Crops]] = {}
    with settings_of({**environment, **REFERENCE, "DEVICE": "cpu"}):
        config = runner_config(load_settings())
    plan = fetch(config)

    def recording(name: NetworkName) -> Any:
        network = load(plan.networks[name], config)

        async def run(crops: Crops) -> Any:
            seen.setdefault(name, []).append(crops)
            return network(crops)

        return run

    detector, estimator = assemble(plan.files, recording)
    for file in files:
        await find_people(decode(file.read_bytes()), detector, estimator)
    return {name: np.concatenate(crops) for name, crops in seen.items()}


@contextmanager
def engine_lane(
    environment: Mapping[str, str], crops: Mapping[NetworkName, Crops], pictures: int
) -> Generator[Lane]:
    """Return the lane of the networks alone, in full batches, in all CPU lanes at once.

    Args:
        environment: The service's settings.
        crops: The crops of each network from all pictures.
        pictures: Number of pictures.

    Raises:
        ProviderUnavailableError: The device or the engine is unavailable.
    """
    with engine_process(environment, crops) as run:

        async def lane(seconds: float) -> float:
            return await run(seconds) * pictures

        yield lane


def loop_lane(environment: Mapping[str, str], files: Sequence[Path]) -> Lane:
    """Return the lane of rtmlib on one picture at a time."""
    with settings_of(environment):
        solution = rtmlib_solution()

    async def lane(seconds: float) -> float:
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            data = np.frombuffer(files[done % len(files)].read_bytes(), np.uint8)
            await asyncio.to_thread(solution, cv2.imdecode(data, cv2.IMREAD_COLOR))
            done += 1
        return done / (time.perf_counter() - started)

    return lane


def served_lane(
    session: aiohttp.ClientSession, address: str, addresses: Sequence[str], callers: int, seen: Seen
) -> Lane:
    """Return the lane of a server with concurrent callers, each sending one picture at a time."""
    turns = itertools.cycle(addresses)

    async def one() -> None:
        seen.latencies.append(await ask_for_people(session, address, next(turns)))

    async def lane(seconds: float) -> float:
        with gpu_use() as gpu:
            started = time.perf_counter()
            rate = await during(seconds, callers, one)
            seen.seconds += time.perf_counter() - started
        seen.gpus.append(gpu)
        return rate

    return lane


def watched_lane(session: aiohttp.ClientSession, address: str, lane: Lane, seen: Seen) -> Lane:
    """Return the lane with the work of the server's networks, from its metrics."""

    async def watched(seconds: float) -> float:
        before = await read_network_work(session, address)
        rate = await lane(seconds)
        seen.work = seen.work.plus((await read_network_work(session, address)).since(before))
        return rate

    return watched
