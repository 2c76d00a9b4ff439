"""A thread cannot be cancelled: who is cancelled waits for it, and gives nothing back before its end."""

import asyncio
import contextlib
import gc
import threading
import weakref

import pytest

from adapters.concurrency.memory_budget import MemoryBudget
from adapters.concurrency.threads import run_in_thread


async def test_the_outcome_is_that_of_the_work() -> None:
    assert await run_in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(divmod, 7, 0)


@pytest.mark.promise("pixel-memory-until-decoded")
async def test_pixels_of_a_cancelled_picture_are_held_until_its_thread_has_ended() -> None:
    budget, in_thread, end = MemoryBudget(100), threading.Event(), threading.Event()

    def decode() -> None:
        in_thread.set()
        end.wait(10)

    async def work() -> None:
        async with budget.hold(100):
            await run_in_thread(decode)

    async def next_one() -> None:
        async with budget.hold(1):
            pass

    async with asyncio.timeout(10):
        working = asyncio.create_task(work())
        await asyncio.to_thread(in_thread.wait)
        waiting = asyncio.create_task(next_one())
        for _ in range(2):  # also when it is asked twice
            working.cancel()
            await asyncio.sleep(0.02)
        assert not working.done()
        assert not waiting.done()
        end.set()
        with pytest.raises(asyncio.CancelledError):
            await working
        await waiting


async def test_what_goes_wrong_in_the_thread_of_a_cancelled_caller_is_not_reported_as_unseen() -> None:
    unseen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    in_thread, end = threading.Event(), threading.Event()

    def fail() -> None:
        in_thread.set()
        end.wait(10)
        raise ValueError("damaged")

    working = asyncio.create_task(run_in_thread(fail))
    await asyncio.to_thread(in_thread.wait)
    working.cancel()
    await asyncio.sleep(0)
    end.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert unseen == []


class _Work:
    """What is worked on: memory, in real life."""


async def test_what_was_worked_on_is_gone_at_once_also_after_an_error() -> None:
    """Not only when garbage is collected: a body of 64 MiB would stay for minutes."""

    def fail(_: _Work) -> None:
        raise ValueError

    work = _Work()
    gone = weakref.ref(work)
    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            await run_in_thread(fail, work)
        del work
        await asyncio.sleep(0.05)  # the thread lets go of it as well
        assert gone() is None
    finally:
        gc.enable()
