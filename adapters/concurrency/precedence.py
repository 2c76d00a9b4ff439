"""Lets smart tools go before batches: an annotator waits for them with the pen in hand."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

LONGEST_PAUSE_S = 30.0
"""Longest pause of a batch's call to a network. Smart tools take a tenth of it, or fail."""

_urgent: ContextVar[bool] = ContextVar("urgent", default=False)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Precedence:
    """Makes the calls of batches to the networks wait for the urgent work that runs.

    A call does not wait for urgent work that starts later, so a hundred annotators cannot stop a batch.

    Args:
        longest_pause_s: Longest pause of one call.
    """

    def __init__(self, longest_pause_s: float = LONGEST_PAUSE_S) -> None:
        self._longest_pause_s = longest_pause_s
        self._running: set[asyncio.Future[None]] = set()

    def first(self, work: Callable[Arguments, Awaitable[Result]]) -> Callable[Arguments, Awaitable[Result]]:
        """Return the same function, whose calls to the networks go first."""

        async def urgent(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            token = _urgent.set(True)
            end = asyncio.get_running_loop().create_future()
            self._running.add(end)
            try:
                return await work(*args, **kwargs)
            finally:
                self._running.remove(end)
                end.set_result(None)
                _urgent.reset(token)

        return urgent

    @asynccontextmanager
    async def turn(self, places: asyncio.Semaphore) -> AsyncGenerator[None]:
        """Wait for the turn of a call to a network.

        Args:
            places: For the calls of batches: few, since nothing can overtake a call that was sent.
        """
        if _urgent.get():
            yield
            return
        async with places:
            if self._running:
                await asyncio.wait(self._running, timeout=self._longest_pause_s)
            yield
