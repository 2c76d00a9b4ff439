"""Smart tools go before batches at the networks."""

import asyncio
from collections.abc import Awaitable, Callable

from adapters.concurrency.precedence import Precedence

Call = Callable[[str], Awaitable[str]]


def network(precedence: Precedence, places: int, log: list[str]) -> tuple[Call, asyncio.Event]:
    """A network that answers when the event is set, and what was sent to it."""
    free, answering = asyncio.Semaphore(places), asyncio.Event()

    async def call(name: str) -> str:
        async with precedence.turn(free):
            log.append(name)
            await answering.wait()
        return name

    return call, answering


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_urgent_call_goes_before_those_that_wait_for_a_place() -> None:
    precedence, log = Precedence(), list[str]()
    call, answering = network(precedence, 1, log)
    batch = [asyncio.create_task(call(f"batch {number}")) for number in range(3)]
    await settled()
    urgent = asyncio.create_task(asyncio.wait_for(precedence.first(call)("urgent"), 10))
    await settled()
    assert log == ["batch 0", "urgent"]
    answering.set()
    assert await urgent == "urgent"
    await asyncio.gather(*batch)
    assert log == ["batch 0", "urgent", "batch 1", "batch 2"]


async def test_other_calls_wait_until_the_urgent_work_is_done_between_its_calls_too() -> None:
    precedence, log = Precedence(longest_pause_s=60), list[str]()
    call, answering = network(precedence, 5, log)
    answering.set()
    pause = asyncio.Event()

    async def work() -> None:
        await call("detector")
        await pause.wait()
        await call("pose")

    urgent = asyncio.create_task(precedence.first(work)())
    await settled()
    other = asyncio.create_task(call("batch"))
    await settled()
    assert log == ["detector"]
    pause.set()
    async with asyncio.timeout(10):
        await asyncio.gather(urgent, other)
    assert log == ["detector", "pose", "batch"]


async def test_urgent_work_of_several_tasks_side_by_side() -> None:
    """Calls that urgent work starts in tasks of their own are urgent, and a task of a batch does not become so."""
    precedence, log = Precedence(longest_pause_s=60), list[str]()
    call, answering = network(precedence, 1, log)

    async def work() -> None:
        await asyncio.gather(call("hands"), call("face"))

    async def of_a_batch() -> None:
        await precedence.first(settled)()
        await call("batch")

    first, second = asyncio.create_task(precedence.first(work)()), asyncio.create_task(of_a_batch())
    await settled()
    await settled()
    assert sorted(log) == ["face", "hands"]
    answering.set()
    async with asyncio.timeout(10):
        await asyncio.gather(first, second)
    assert log[-1] == "batch"


async def test_a_call_does_not_wait_for_urgent_work_that_starts_later() -> None:
    precedence, log = Precedence(longest_pause_s=60), list[str]()
    call, answering = network(precedence, 1, log)
    answering.set()
    ends = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(precedence.first(ends[0].wait)())
    await settled()
    batch = asyncio.create_task(call("batch"))
    await settled()
    second = asyncio.create_task(precedence.first(ends[1].wait)())
    await settled()
    assert log == []
    ends[0].set()
    async with asyncio.timeout(10):
        assert await batch == "batch"
    ends[1].set()
    await asyncio.gather(first, second)


async def test_a_batch_is_not_paused_for_ever() -> None:
    precedence, log = Precedence(longest_pause_s=0.05), list[str]()
    call, answering = network(precedence, 1, log)
    answering.set()
    forever = asyncio.create_task(precedence.first(asyncio.Event().wait)())
    await settled()
    async with asyncio.timeout(10):
        assert await call("batch") == "batch"
    forever.cancel()
    await asyncio.gather(forever, return_exceptions=True)


async def test_urgent_work_that_fails_lets_the_others_go_on() -> None:
    precedence, log = Precedence(longest_pause_s=60), list[str]()
    call, answering = network(precedence, 1, log)
    answering.set()

    async def failing() -> None:
        raise ValueError

    await asyncio.gather(precedence.first(failing)(), return_exceptions=True)
    async with asyncio.timeout(10):
        assert await call("batch") == "batch"
