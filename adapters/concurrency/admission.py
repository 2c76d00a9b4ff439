"""Admission control: slots for tasks, and rejection when the queue wait is too long."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from adapters.time_limits import TIME_LIMITS

URGENT_PLACES = 4
"""Slots of their own for smart tools, so that none waits for the tasks of a batch."""

_FIRST_GUESS_S = 3.0  # rather too long: admitted tasks cannot be rejected later
_WEIGHT_OF_NEWEST = 0.1


class Admission:
    """Slots for tasks, first come first served but for smart tools, and an estimate of the queue wait.

    Args:
        places: Concurrent tasks.
        longest_wait_s: Estimated queue wait beyond which new work is rejected.
    """

    def __init__(self, places: int, longest_wait_s: float = TIME_LIMITS.queue_wait_s) -> None:
        self._places = places
        self._longest_wait_s = longest_wait_s
        self._free = asyncio.Semaphore(places)
        self._free_for_urgent = asyncio.Semaphore(URGENT_PLACES)
        self._seconds_per_task = _FIRST_GUESS_S
        self.queued = 0

    @asynccontextmanager
    async def place(self, *, urgent: bool = False) -> AsyncGenerator[None]:
        """Wait for a slot and hold it.

        Args:
            urgent: Whether an annotator waits for the task.
        """
        free = self._free_for_urgent if urgent else self._free
        self.queued += 1
        try:
            await free.acquire()
        finally:
            self.queued -= 1
        started = time.monotonic()
        try:
            yield
        finally:
            free.release()
            if not urgent:  # they take less, and no slot of the others
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
