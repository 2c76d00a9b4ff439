"""Processes the frames of a task concurrently without taking the slots of other tasks."""

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
    """Process all frames of a task.

    The task's own slot processes one frame at a time, so the task always progresses. Each other frame needs a slot of
    its own, and queues for it with all other tasks.

    Args:
        count: Number of frames.
        work: Processes the frame of an index.
        spare_place: Waits for a slot for one frame.
        at_once: Most frames processed at once.

    Returns:
        The result of each frame, in order.

    Raises:
        Exception: The first that `work` raises; the other frames are then cancelled.
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
