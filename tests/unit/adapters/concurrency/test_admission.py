"""Work is taken on as long as it gets its turn in time."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from adapters.concurrency.admission import URGENT_PLACES, Admission


async def hold(admission: Admission, until: asyncio.Event) -> None:
    async with admission.place():
        await until.wait()


async def queue_up(admission: Admission, tasks: int) -> tuple[list[asyncio.Task[None]], asyncio.Event]:
    end = asyncio.Event()
    waiting = [asyncio.create_task(hold(admission, end)) for _ in range(tasks)]
    await asyncio.sleep(0)
    return waiting, end


async def test_no_more_tasks_than_places_are_worked_on_at_once() -> None:
    admission, at_once, most = Admission(3), 0, 0

    async def work() -> None:
        nonlocal at_once, most
        async with admission.place():
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.001)
            at_once -= 1

    await asyncio.gather(*(work() for _ in range(20)))
    assert most == 3


async def test_an_idle_service_welcomes_work() -> None:
    assert Admission(2).retry_after_s() is None


async def test_work_is_refused_when_the_queue_is_longer_than_the_longest_wait() -> None:
    admission = Admission(2, longest_wait_s=15.0)
    waiting, end = await queue_up(admission, 2 + 10)  # ten queued, three seconds each, two at a time
    assert admission.retry_after_s() is None
    more, _ = await queue_up(admission, 1)
    assert admission.retry_after_s() == 3
    for task in (*waiting, *more):
        task.cancel()
    end.set()
    await asyncio.gather(*waiting, *more, return_exceptions=True)
    assert admission.retry_after_s() is None


async def test_the_estimate_follows_what_tasks_really_take() -> None:
    admission = Admission(1, longest_wait_s=1.0)
    for _ in range(60):
        async with admission.place():
            pass
    waiting, end = await queue_up(admission, 50)  # at three seconds each they would be refused
    assert admission.retry_after_s() is None
    end.set()
    await asyncio.gather(*waiting)


async def test_a_task_that_gives_up_waiting_leaves_the_queue_and_takes_no_place() -> None:
    admission = Admission(1)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(admission.place())
        waiting, _ = await queue_up(admission, 1)
        assert admission.queued == 1
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        assert admission.queued == 0
    async with asyncio.timeout(1), admission.place():
        pass


async def test_a_smart_tool_has_places_of_its_own_that_are_few() -> None:
    admission = Admission(1)
    waiting, end = await queue_up(admission, 3)
    async with AsyncExitStack() as stack, asyncio.timeout(10):
        for _ in range(URGENT_PLACES):
            await stack.enter_async_context(admission.place(urgent=True))
        one_more = asyncio.create_task(stack.enter_async_context(admission.place(urgent=True)))
        await asyncio.sleep(0)
        assert not one_more.done()
        assert admission.queued == 2 + 1
        one_more.cancel()
        await asyncio.gather(one_more, return_exceptions=True)
    end.set()
    await asyncio.gather(*waiting)
