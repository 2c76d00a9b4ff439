"""How long one download may take, and how often it is repeated."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from adapters.pictures.errors import PictureError
from adapters.pictures.limits import PictureLimits


class TemporaryError(Exception):
    """A download failed for a reason that may pass within seconds.

    Attributes:
        failure: What to report if it does not.
        retry_after: The Retry-After header, if there was one.
        progressed: Whether the attempt brought a part of the file, so the next one starts without a pause.
    """

    def __init__(
        self, failure: PictureError, *, retry_after: str | None = None, progressed: bool = False
    ) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.retry_after = retry_after
        self.progressed = progressed


class Patience:
    """The time and the attempts that one download has left."""

    def __init__(self, limits: PictureLimits) -> None:
        self._left_s = limits.total_seconds
        self._retries = limits.retries
        self._requests_left = limits.max_requests
        self._in_vain = 0

    @asynccontextmanager
    async def counted(self) -> AsyncGenerator[None]:
        """Count the time of a block, and end it with TimeoutError when none is left."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(max(self._left_s, 0)):
                yield
        finally:
            self._left_s -= time.monotonic() - started

    async def pause(self, error: TemporaryError) -> None:
        """Wait before the next attempt.

        Raises:
            PictureError: The failure, if there is no time or no attempt left.
        """
        self._requests_left -= 1
        self._in_vain = 0 if error.progressed else self._in_vain + 1
        pause_s = 0.0 if error.progressed else self._retries.pause_s(self._in_vain - 1, error.retry_after)
        if self._requests_left <= 0 or self._in_vain >= self._retries.attempts or pause_s >= self._left_s:
            raise error.failure from error
        await asyncio.sleep(pause_s)
        self._left_s -= pause_s
