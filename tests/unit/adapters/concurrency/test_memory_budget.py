"""Pictures wait until their pixels fit beside those in hand."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.concurrency.memory_budget import MemoryBudget


async def holding(budget: MemoryBudget, pixels: int, held: list[int], release: asyncio.Event) -> None:
    async with budget.hold(pixels):
        held.append(pixels)
        await release.wait()
        held.remove(pixels)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_pictures_that_fit_are_held_together() -> None:
    budget, held, release = MemoryBudget(100), [], asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(holding(budget, 25, held, release))
        await settle()
        assert held == [25] * 4
        release.set()


@pytest.mark.parametrize(
    ("one", "more"), [(60, 41), (1_000, 1)], ids=["too large together", "larger than all alone"]
)
async def test_one_more_waits_until_another_is_done(one: int, more: int) -> None:
    budget, held, first, second = MemoryBudget(100), [], asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(holding(budget, one, held, first))
        group.create_task(holding(budget, more, held, second))
        await settle()
        assert held == [one]
        first.set()
        await settle()
        assert held == [more]
        second.set()


async def test_a_large_picture_is_not_overtaken_for_ever_by_small_ones() -> None:
    budget, held = MemoryBudget(100), []
    releases = [asyncio.Event() for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        for pixels, release in zip((50, 100, 10), releases, strict=True):
            group.create_task(holding(budget, pixels, held, release))
            await settle()
        assert held == [50], "the small one came after the large one, although it would fit"
        for release, left in zip(releases, ([100], [10], []), strict=True):
            release.set()
            await settle()
            assert held == left


async def test_one_that_gives_up_waiting_leaves_its_place_to_the_next() -> None:
    budget, held, release = MemoryBudget(100), [], asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(holding(budget, 50, held, release))
        await settle()
        waiting = group.create_task(holding(budget, 100, held, release))
        await settle()
        group.create_task(holding(budget, 50, held, release))
        await settle()
        assert held == [50]
        waiting.cancel()
        await settle()
        assert held == [50, 50]
        release.set()


async def test_one_that_is_cancelled_in_the_moment_of_its_turn_gives_it_back() -> None:
    budget, held, release = MemoryBudget(100), [], asyncio.Event()
    async with AsyncExitStack() as first:
        await first.enter_async_context(budget.hold(100))
        waiting = asyncio.create_task(holding(budget, 100, held, release))
        await settle()
        await (
            first.aclose()
        )  # the turn is given to the waiting one, which does not run before it is cancelled
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(1), budget.hold(100):
        assert held == []


async def test_a_request_that_ends_with_its_holding_and_waiting_pictures_cancels_them_all() -> None:
    budget, held, release = MemoryBudget(100), [], asyncio.Event()
    running = [asyncio.create_task(holding(budget, 100, held, release)) for _ in range(3)]
    await settle()
    for task in running:  # in one moment, as when the time of a request is up
        task.cancel()
    await asyncio.wait(running)
    assert [task.cancelled() for task in running] == [True] * 3
    async with asyncio.timeout(1), budget.hold(100):
        pass


async def test_an_error_while_it_is_held_gives_the_pixels_back() -> None:
    budget = MemoryBudget(100)
    with pytest.raises(ZeroDivisionError):
        async with budget.hold(100):
            raise ZeroDivisionError
    async with asyncio.timeout(1), budget.hold(100):
        pass


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 150), st.integers(0, 3), st.booleans()), min_size=1, max_size=25))
def test_whatever_comes_and_goes_the_limit_is_kept_and_nothing_is_lost(
    pictures: list[tuple[int, int, bool]],
) -> None:
    async def scenario() -> None:
        budget, now, most = MemoryBudget(100), 0, 0

        async def one(pixels: int, turns: int) -> None:
            nonlocal now, most
            async with budget.hold(pixels):
                now += min(pixels, 100)
                most = max(most, now)
                try:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                finally:
                    now -= min(pixels, 100)

        running = [asyncio.create_task(one(pixels, turns)) for pixels, turns, _ in pictures]
        await asyncio.sleep(0)
        for task, (_, _, gives_up) in zip(running, pictures, strict=True):
            if gives_up:
                task.cancel()
                await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await asyncio.wait(running)
            assert most <= 100
            async with budget.hold(100):
                assert now == 0

    asyncio.run(scenario())
