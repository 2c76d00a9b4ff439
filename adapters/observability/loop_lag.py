"""Measures event loop lag: anything that blocks the loop also delays /health, for which Label Studio waits 1 s."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from adapters.observability import metrics

INTERVAL_S = 0.25


@asynccontextmanager
async def event_loop_watched(interval_s: float = INTERVAL_S) -> AsyncGenerator[None]:
    """Measure the lag of the running event loop during the block.

    Args:
        interval_s: Time from one measurement to the next.
    """
    watch = asyncio.create_task(_watch(interval_s))
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch


async def _watch(interval_s: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval_s
        await asyncio.sleep(interval_s)
        metrics.event_loop_lag_seconds().observe(max(0.0, loop.time() - due))
