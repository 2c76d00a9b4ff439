"""Limits concurrent downloads."""

import asyncio

from adapters.pictures.fetching.address import Origin


class HostSlots:
    """Limits concurrent downloads per origin and in total; first come, first served."""

    def __init__(self, per_origin: int, together: int) -> None:
        self._per_origin = per_origin
        self._together = asyncio.Semaphore(together)
        self._origins: dict[Origin, tuple[asyncio.Semaphore, int]] = {}  # with its number of users

    async def acquire(self, origin: Origin) -> None:
        """Wait for a slot of an origin."""
        semaphore, users = self._origins.get(origin, (asyncio.Semaphore(self._per_origin), 0))
        self._origins[origin] = (semaphore, users + 1)
        try:
            # The origin's slot first: a download that waits for a slow host must not hold a shared slot.
            await semaphore.acquire()
            try:
                await self._together.acquire()
            except BaseException:
                semaphore.release()
                raise
        except BaseException:
            self._leave(origin)
            raise

    def release(self, origin: Origin) -> None:
        """Return a slot."""
        self._together.release()
        self._origins[origin][0].release()
        self._leave(origin)

    def _leave(self, origin: Origin) -> None:
        semaphore, users = self._origins[origin]
        # Removed when idle: tasks can have any number of hosts.
        if users == 1:
            del self._origins[origin]
        else:
            self._origins[origin] = (semaphore, users - 1)
