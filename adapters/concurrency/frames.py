"""The frames of a task: worked on side by side without taking the places of other tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

Result = TypeVar("Result")


async def over_frames(
    count: int,
    work: Callable[[int], Awaitable[Result]],
    spare_place: Callable[[], AbstractAsyncContextManager[object]],
    at_once: int,
) -> Sequence[Result]:
    """Work on all frames of a task.

    One frame at a time is worked on in the place that the task holds already, so it always gets on. The others need
    a place each, for which they wait in line with all other tasks.

    Args:
        count: Number of frames.
        work: Works on the frame of an index.
        spare_place: Gives a place for one frame.
        at_once: Most frames in hand.

    Returns:
        What came of each frame, in their order.

    Raises:
        Exception: The first that `work` raises; the frames in hand are then given up.
    """
    results: dict[int, Result] = {}
    todo = iter(range(count))
    waiting: set[asyncio.Task[None]] = set()

    async def in_spare_places() -> None:
        this = asyncio.current_task()
        assert this is not None
        while True:
            waiting.add(this)
            async with spare_place():
                waiting.discard(this)
                index = next(todo, None)
                if index is None:
                    return
                results[index] = await work(index)

    spare = [asyncio.create_task(in_spare_places()) for _ in range(min(count, at_once) - 1)]
    try:
        for index in todo:
            results[index] = await work(index)
        for task in waiting:
            task.cancel()
        for task in spare:
            if task not in waiting:
                await task
    finally:
        for task in spare:
            task.cancel()
        await asyncio.gather(*spare, return_exceptions=True)
    return [results[index] for index in range(count)]
