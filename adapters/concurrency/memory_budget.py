"""Bounds how much memory pictures and clips take at once."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Held:
    """Memory that is held.

    Attributes:
        count: Of bytes.
    """

    def __init__(self, budget: "MemoryBudget", count: int) -> None:
        self._budget = budget
        self.count = count

    def shrink(self, count: int) -> None:
        """Go on with so many bytes, and give back the others."""
        if count < self.count:
            self._budget.give_back(self.count - count)
            self.count = count


class MemoryBudget:
    """Whoever needs memory waits, first come first served, until there is enough beside what is held already.

    Many small pictures are worked on at once, and a few huge ones cannot fill the memory.

    Args:
        limit: Bytes that may be held in all; who wants more than that holds it alone.
        small: Up to so many bytes are not counted, so that nobody waits for them behind something huge. There must be
            another bound for their number.
    """

    def __init__(self, limit: int, small: int = 0) -> None:
        self._limit = limit
        self._small = small
        self._free = limit
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, count: int) -> AsyncGenerator[Held]:
        """Hold so many bytes, as soon as there are."""
        share = 0 if count <= self._small else min(count, self._limit)
        if share and (self._waiting or share > self._free):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((share, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.give_back(share)  # its turn came in the moment in which it was given up
                elif (share, turn) in self._waiting:  # else whoever left before has taken it out already
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
        """Let others have so many bytes: `hold` and `Held` do it."""
        self._free += count
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            share, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= share
                turn.set_result(None)
