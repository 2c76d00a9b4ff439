"""Runs work in threads, which cannot be cancelled."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking work in a thread; if cancelled, still wait for its end.

    Its memory stays in use until then. If its reservation ended sooner, more memory would be in use than counted.
    """
    return await run_in_executor(None, work, *args, **kwargs)


async def run_in_executor(
    executor: Executor | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Do the same in a thread of an executor; None is the event loop's default executor."""
    context = copy_context()
    running = asyncio.get_running_loop().run_in_executor(
        executor, lambda: context.run(functools.partial(work, *args, **kwargs))
    )
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            # A second cancellation, such as by a request and then by shutdown, does not stop the thread either.
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError:
                continue
        if not running.cancelled():
            running.exception()  # marks it as retrieved; the caller gets the cancellation
        raise
    finally:
        # It holds the error, whose traceback holds this frame: the work's data would stay until the next collection.
        del running
