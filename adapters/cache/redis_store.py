"""Entries in a Redis that processes share. The service works without it if it is slow, full, down or misconfigured."""

import asyncio
import contextlib
import logging

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError, ResponseError

from adapters.cache import metrics
from adapters.cache.circuit import RETRY_PERIOD_S, Circuit
from adapters.cache.entries import MAX_ENTRY_BYTES
from adapters.cache.redis_address import RedisAddress
from adapters.cache.redis_failures import Failure, explain

logger = logging.getLogger(__name__)

LIMIT_S = 0.25
"""Timeout of one command with its connection, TLS and login. A slower Redis gains nothing."""
KEPT_S = 7 * 24 * 3600
"""Entries expire after this time."""
_CONNECTIONS = 16


class RedisStore:
    """Reads and writes entries; never raises.

    Failures are counted by kind, and logged when they begin, change or end. After a failure, Redis is not used for a
    period, so an outage costs little.

    Args:
        address: Of the Redis.
    """

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._redis = _connect(address)
        self._all = Circuit()
        self._writes = Circuit()
        self._writing: set[asyncio.Task[None]] = set()

    async def get(self, name: str) -> bytes | None:
        """Return an entry's bytes, or None."""
        began = self._all.attempt()
        if began is None:
            return None
        try:
            async with asyncio.timeout(LIMIT_S):
                # GETRANGE: whatever the value is, at most the length of an entry is fetched.
                reply = await self._redis.getrange(name, 0, MAX_ENTRY_BYTES)
        except Exception as error:
            if isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE"):
                metrics.errors_total().labels(kind="garbage").inc()
            else:
                self._failed(self._all, began, error)
            return None
        if self._all.succeeded(began):
            logger.warning("%s responds again; predictions are shared.", self._address.shown)
        return reply if isinstance(reply, bytes) and reply else None

    def put(self, name: str, entry: bytes) -> None:
        """Start writing an entry in the background."""
        if self._all.kind is not None:
            return
        began = self._writes.attempt()
        if began is None:
            return
        task = asyncio.create_task(self._write(name, entry, began))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def aclose(self) -> None:
        """Finish pending writes, each within its timeout, and close the connections."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=2 * LIMIT_S)
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._redis.aclose()
        except Exception as error:
            logger.debug("%s: %s while it was closed", self._address.shown, type(error).__name__)

    async def _write(self, name: str, entry: bytes, began: float) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._redis.set(name, entry, ex=KEPT_S)
        except Exception as error:
            failure = self._explain(error)
            self._failed(self._writes if failure.by_write else self._all, began, error)
            if failure.kind == "read_only":
                # The primary may have moved: new connections find it, open ones stay with the replica.
                with contextlib.suppress(RedisError):
                    await self._redis.connection_pool.disconnect(inuse_connections=False)
            return
        if self._writes.succeeded(began):
            logger.warning("%s accepts predictions again.", self._address.shown)

    def _explain(self, error: Exception) -> Failure:
        return explain(error, self._address.password)

    def _failed(self, circuit: Circuit, began: float, error: Exception) -> None:
        failure = self._explain(error)
        metrics.errors_total().labels(kind=failure.kind).inc()
        if circuit.failed(began, failure.kind):
            logger.warning(
                "Predictions are not %s: %s: %s. Retry every %.0f s.",
                "written" if circuit is self._writes else "shared",
                self._address.shown,
                failure.sentence,
                RETRY_PERIOD_S,
            )


def _connect(address: RedisAddress) -> Redis:
    """Return a client, which connects at its first use."""
    pool = BlockingConnectionPool.from_url(
        address.url,
        max_connections=_CONNECTIONS,
        timeout=LIMIT_S,
        socket_timeout=LIMIT_S,
        socket_connect_timeout=LIMIT_S,
        # Every Redis and proxy supports RESP 2, which needs no handshake.
        protocol=2,
    )
    return Redis.from_pool(pool)
