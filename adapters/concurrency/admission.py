"""How much work is taken on: places for tasks, and when to say that there are none in time."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from adapters.time_limits import TIME_LIMITS

_FIRST_GUESS_S = 3.0  # rather too long: what is let in cannot be sent away any more
_WEIGHT_OF_NEWEST = 0.1


class Admission:
    """A number of places for tasks, given away first come first served, and an estimate of the wait for one.

    Args:
        places: Tasks worked on at once.
        longest_wait_s: Estimated wait beyond which new work is refused.
    """

    def __init__(self, places: int, longest_wait_s: float = TIME_LIMITS.queue_wait_s) -> None:
        self._places = places
        self._longest_wait_s = longest_wait_s
        self._free = asyncio.Semaphore(places)
        self._seconds_per_task = _FIRST_GUESS_S
        self.queued = 0

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """Wait for a place and hold it."""
        self.queued += 1
        try:
            await self._free.acquire()
        finally:
            self.queued -= 1
        started = time.monotonic()
        try:
            yield
        finally:
            self._free.release()
            self._seconds_per_task += _WEIGHT_OF_NEWEST * (
                time.monotonic() - started - self._seconds_per_task
            )

    @property
    def estimated_wait_s(self) -> float:
        """Seconds until a task that comes now would get its place."""
        return self.queued * self._seconds_per_task / self._places

    def retry_after_s(self) -> int | None:
        """Return the seconds after which to come again, or None if new work is welcome."""
        excess = self.estimated_wait_s - self._longest_wait_s
        return math.ceil(excess) + 1 if excess > 0 else None
