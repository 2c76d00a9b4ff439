"""Batches begin as soon as the network is free, and hold what has come until then."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import _bentoml_impl.server.app as bentoml_app
import pytest

from runners.bento.dispatch import PromptDispatcher, dispatch_at_once
from runners.config import RunnerConfig
from runners.devices.cpu_lanes import lanes_of
from runners.serving.batch_sizes import FEWEST_CALLS

BATCH_S = 0.05


class Network:
    """Takes its time for a batch, whatever its size, and keeps the sizes, and how many batches it had at once."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.at_once = self.most_at_once = 0

    async def __call__(self, calls: Sequence[int]) -> list[int]:
        self.batches.append(len(calls))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(BATCH_S)
        self.at_once -= 1
        return list(calls)


@pytest.fixture
def network() -> Network:
    return Network()


def refuse() -> int:
    raise AssertionError("nothing is shed")


@pytest.fixture(autouse=True)
def bentomls_own_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bentoml_app, "CorkDispatcher", bentoml_app.CorkDispatcher)


def dispatcher_of(threads: int, most_calls: int = 32) -> Any:
    """The dispatcher that BentoML makes for a network on a machine with so many CPUs."""
    dispatch_at_once(lanes_of(RunnerConfig("embedded", "cpu", threads, None)))
    made: Any = bentoml_app.CorkDispatcher
    return made(600_000, most_calls, fallback=refuse, get_batch_size=lambda _: 1)


@pytest.fixture
def dispatched() -> Any:
    return dispatcher_of(threads=1)


@pytest.mark.timing
async def test_who_comes_alone_after_a_crowd_does_not_wait_for_another_crowd(
    network: Network, dispatched: PromptDispatcher
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


async def test_a_crowd_is_put_together(network: Network, dispatched: PromptDispatcher) -> None:
    ask = dispatched(network)

    async def caller() -> None:
        for number in range(10):
            await ask(number)

    await asyncio.gather(*(caller() for _ in range(8)))

    assert sum(network.batches) == 80
    assert sum(network.batches) / len(network.batches) > 4
    dispatched.shutdown()


async def crowd(ask: Any, callers: int) -> None:
    async def caller() -> None:
        for number in range(5):
            assert await ask(number) == number

    await asyncio.gather(*(caller() for _ in range(callers)))


@pytest.mark.parametrize("threads", [1, 2])
async def test_as_many_batches_are_in_the_network_as_there_are_lanes(network: Network, threads: int) -> None:
    dispatched = dispatcher_of(threads, most_calls=2)
    await crowd(dispatched(network), 8)
    assert network.most_at_once == threads
    dispatched.shutdown()


async def test_while_a_batch_is_in_the_network_nobody_looks_again_and_again_for_it(
    network: Network, dispatched: PromptDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BentoML's own does a thousand times a second, on the CPU that the network computes on."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", noted)
    await crowd(dispatched(network), 4)
    assert set(slept) == {BATCH_S}  # the network's own
    dispatched.shutdown()


async def test_a_batch_that_fails_makes_room_for_the_next(dispatched: PromptDispatcher) -> None:
    async def broken(calls: Sequence[int]) -> list[int]:
        if 0 in calls:
            raise ValueError("no such crop")
        return list(calls)

    ask = dispatched(broken)
    with pytest.raises(ValueError, match="no such crop"):
        await ask(0)
    assert await ask(1) == 1
    dispatched.shutdown()


async def test_where_calls_go_one_by_one_each_takes_the_next_free_lane(network: Network) -> None:
    dispatched = dispatcher_of(threads=2, most_calls=FEWEST_CALLS)
    await crowd(dispatched(network), 8)
    assert set(network.batches) == {1}
    assert network.most_at_once == 2
    dispatched.shutdown()


async def test_a_batch_that_cannot_be_put_together_does_not_end_the_others(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatched = dispatcher_of(threads=1)
    put_together, attempts = dispatched._get_inputs, list[int]()

    def fails_once() -> Any:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("no such call")
        return put_together()

    monkeypatch.setattr(dispatched, "_get_inputs", fails_once)
    async with asyncio.timeout(5):
        assert await dispatched(network)(7) == 7
    assert len(attempts) == 2
    dispatched.shutdown()
