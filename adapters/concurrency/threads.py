"""Work in threads, which nobody can cancel."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking work in a thread; if cancelled, wait for its end all the same.

    What the work occupies, such as memory, is occupied until then: given back sooner, there would be more of it in
    use than anybody counted.
    """
    return await run_in_executor(None, work, *args, **kwargs)


async def run_in_executor(
    executor: Executor | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Do the same in a thread of an executor, or of the event loop's own if it is None."""
    context = copy_context()
    running = asyncio.get_running_loop().run_in_executor(
        executor, lambda: context.run(functools.partial(work, *args, **kwargs))
    )
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            # Cancelled once more, as by a request and then by the end of the service: the thread goes on regardless.
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError:
                continue
        if not running.cancelled():
            running.exception()  # seen: the caller is told of the cancellation
        raise
    finally:
        # It holds the error, whose traceback holds this frame: what was worked on would stay until the next collection.
        del running
