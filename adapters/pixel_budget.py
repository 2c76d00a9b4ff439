"""Bounds how many pixels are held in memory at once."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class PixelBudget:
    """Pictures wait, first come first served, until their pixels fit beside those in hand.

    Many small pictures are worked on at once, and a few huge ones cannot fill the memory.

    Args:
        pixels: Total that may be held; a picture larger than that is held alone.
    """

    def __init__(self, pixels: int) -> None:
        self._limit = pixels
        self._free = pixels
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, pixels: int) -> AsyncGenerator[None]:
        """Hold a picture of that many pixels, as soon as it fits."""
        share = min(pixels, self._limit)
        if self._waiting or share > self._free:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((share, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_back(share)  # its turn came in the moment in which it was given up
                elif (share, turn) in self._waiting:  # else whoever left before has taken it out already
                    self._waiting.remove((share, turn))
                    self._admit()
                raise
        else:
            self._free -= share
        try:
            yield
        finally:
            self._give_back(share)

    def _give_back(self, share: int) -> None:
        self._free += share
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            share, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= share
                turn.set_result(None)
