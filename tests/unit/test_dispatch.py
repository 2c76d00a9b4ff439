"""Batches begin as soon as the network is free, and hold what has come until then."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from bentoml._internal.marshal.dispatcher import CorkDispatcher

from runners.config import RunnerConfig
from runners.services import runner_services

BATCH_S = 0.05


class Network:
    """Takes its time for a batch, whatever its size, and keeps the sizes."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    async def __call__(self, calls: Sequence[int]) -> list[int]:
        self.batches.append(len(calls))
        await asyncio.sleep(BATCH_S)
        return list(calls)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def dispatched(network: Network) -> CorkDispatcher[int, int]:
    runner_services(RunnerConfig("embedded", "cpu", 1, None))

    def refuse() -> int:
        raise AssertionError("nothing is shed")

    return CorkDispatcher(600_000, 32, fallback=refuse, get_batch_size=lambda _: 1)


async def test_who_comes_alone_after_a_crowd_does_not_wait_for_another_crowd(
    network: Network, dispatched: CorkDispatcher[int, int]
) -> None:
    ask = dispatched(network)

    async def caller() -> None:
        for number in range(10):
            assert await ask(number) == number

    await asyncio.gather(*(caller() for _ in range(8)))
    alone: list[float] = []
    for number in range(8):
        started = time.perf_counter()
        await ask(number)
        alone.append(time.perf_counter() - started)

    assert sorted(alone)[4] < BATCH_S * 1.5
    dispatched.shutdown()


async def test_a_crowd_is_put_together(network: Network, dispatched: CorkDispatcher[int, int]) -> None:
    ask = dispatched(network)

    async def caller() -> None:
        for number in range(10):
            await ask(number)

    await asyncio.gather(*(caller() for _ in range(8)))

    assert sum(network.batches) == 80
    assert sum(network.batches) / len(network.batches) > 4
    dispatched.shutdown()
