"""Limits the memory of pictures and clips that are processed at once."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Held:
    """A reserved part of the budget.

    Attributes:
        count: Its size in bytes.
    """

    def __init__(self, budget: "MemoryBudget", count: int) -> None:
        self._budget = budget
        self.count = count

    def shrink(self, count: int) -> None:
        """Reduce the reservation to this many bytes."""
        if count < self.count:
            self._budget.give_back(self.count - count)
            self.count = count


class MemoryBudget:
    """A memory limit: reservations wait, first come first served, until enough is free.

    So many small pictures are processed at once, and a few huge ones cannot fill the memory.

    Args:
        limit: Bytes that may be reserved in total; a larger reservation is granted alone.
        small: Reservations up to this many bytes are not counted, so they never wait behind a huge one. Their number
            needs another limit.
    """

    def __init__(self, limit: int, small: int = 0) -> None:
        self._limit = limit
        self._small = small
        self._free = limit
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, count: int) -> AsyncGenerator[Held]:
        """Wait until this many bytes are free, and reserve them."""
        share = 0 if count <= self._small else min(count, self._limit)
        if share and (self._waiting or share > self._free):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((share, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.give_back(share)  # granted at the moment of cancellation
                elif (share, turn) in self._waiting:  # else `_admit` has removed it already
                    self._waiting.remove((share, turn))
                    self._admit()
                raise
        else:
            self._free -= share
        held = Held(self, share)
        try:
            yield held
        finally:
            held.shrink(0)

    def give_back(self, count: int) -> None:
        """Return bytes to the budget; called by `hold` and `Held`."""
        self._free += count
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            share, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= share
                turn.set_result(None)
