"""Admission control: slots for tasks, and rejection when the queue wait is too long."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from adapters.time_limits import TIME_LIMITS

_FIRST_GUESS_S = 3.0  # rather too long: admitted tasks cannot be rejected later
_WEIGHT_OF_NEWEST = 0.1


class Admission:
    """Slots for tasks, first come first served, and an estimate of the queue wait.

    Args:
        places: Concurrent tasks.
        longest_wait_s: Estimated queue wait beyond which new work is rejected.
    """

    def __init__(self, places: int, longest_wait_s: float = TIME_LIMITS.queue_wait_s) -> None:
        self._places = places
        self._longest_wait_s = longest_wait_s
        self._free = asyncio.Semaphore(places)
        self._seconds_per_task = _FIRST_GUESS_S
        self.queued = 0

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """Wait for a slot and hold it."""
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
        """Estimated queue wait of a new task in seconds."""
        return self.queued * self._seconds_per_task / self._places

    def retry_after_s(self) -> int | None:
        """Return Retry-After in seconds if overloaded, else None."""
        excess = self.estimated_wait_s - self._longest_wait_s
        return math.ceil(excess) + 1 if excess > 0 else None
