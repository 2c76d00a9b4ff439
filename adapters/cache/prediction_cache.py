"""The prediction cache: memory, then Redis, then one computation for all concurrent callers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from adapters.cache import metrics
from adapters.cache.entries import MAX_PEOPLE, EntryError, FoundPeople, decode, encode
from adapters.cache.memory import MemoryStore
from adapters.cache.redis_address import RedisAddress
from adapters.cache.redis_store import RedisStore

Compute = Callable[[], Awaitable[FoundPeople]]


@dataclass
class _Flight:
    """A running computation and the number of its waiters."""

    task: asyncio.Task[FoundPeople]
    waiting: int = 0


class PredictionCache:
    """Returns cached people, and computes the others.

    An async context manager: its end closes the connections.

    Args:
        memory: Entries of this process.
        shared: Entries of several processes, if there is such a store.
    """

    def __init__(self, memory: MemoryStore, shared: RedisStore | None = None) -> None:
        self._memory = memory
        self._shared = shared
        self._flights: dict[str, _Flight] = {}

    async def __aenter__(self) -> Self:
        """Open nothing: connections are opened at their first use."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._shared is not None:
            await self._shared.aclose()

    async def find(self, name: str, compute: Compute) -> FoundPeople:
        """Return the people of an entry.

        Concurrent callers share one computation. It is cancelled when the last of them is.

        Args:
            name: Of the entry, from `entry_name`.
            compute: Computes the people if no store has them. Its exception reaches all waiters and is not cached.
        """
        found = self._read(self._memory.get(name))
        if found is not None:
            metrics.hits_total().labels(tier="memory").inc()
            return found
        flight = self._flights.get(name)
        if flight is None or flight.task.done():
            flight = _Flight(asyncio.create_task(self._fly(name, compute)))
            self._flights[name] = flight
        else:
            metrics.hits_total().labels(tier="flight").inc()
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            # Removed at once, so no caller joins a computation that is being cancelled.
            if not flight.waiting and self._flights.get(name) is flight:
                del self._flights[name]
                flight.task.cancel()

    async def _fly(self, name: str, compute: Compute) -> FoundPeople:
        if self._shared is not None:
            entry = await self._shared.get(name)
            found = self._read(entry)
            if entry is not None and found is not None:
                metrics.hits_total().labels(tier="redis").inc()
                self._memory.put(name, entry)
                return found
        metrics.misses_total().inc()
        found = await compute()
        if len(found.people) <= MAX_PEOPLE:
            entry = encode(found)
            self._memory.put(name, entry)
            if self._shared is not None:
                self._shared.put(name, entry)
        return found

    def _read(self, entry: bytes | None) -> FoundPeople | None:
        if entry is None:
            return None
        try:
            return decode(entry)
        except EntryError:
            metrics.errors_total().labels(kind="garbage").inc()
            return None


def open_prediction_cache(memory_bytes: int, redis: RedisAddress | None) -> PredictionCache | None:
    """Return the cache as configured; None if it is off.

    Args:
        memory_bytes: Memory for the entries of this process; 0 keeps none.
        redis: Address of the shared store, if there is one.
    """
    if not memory_bytes and redis is None:
        return None
    return PredictionCache(MemoryStore(memory_bytes), RedisStore(redis) if redis else None)
