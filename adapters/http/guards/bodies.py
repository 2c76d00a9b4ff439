"""Limits on a request body while it is received: bytes, JSON values, time, and memory of all bodies together."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from starlette.responses import Response
from starlette.types import Message, Receive

from adapters.http.errors import error_response

MEBIBYTE = 2**20

MAX_COMMAS = 4_000_000
"""64 MiB of Label Studio's regions have at most one per 20 bytes. A list of as many numbers takes 0.2 GB."""
MAX_BRACKETS = 1_000_000
"""Objects and lists; 64 MiB of Label Studio's regions have 0.7 million. As many small objects take 0.4 GB."""
LONGEST_SILENCE_S = 10.0
"""Longest wait between two pieces of a body. Label Studio sends a body without pauses."""

SMALL_MAX_BYTES = 8 * MEBIBYTE
"""For routes without tasks: an annotation of fifty people has 2 MiB, the longest label config 4."""
SMALL_MAX_BRACKETS = 100_000
SMALL_MAX_COMMAS = 600_000
BODIES_AT_ONCE = 4
"""Bodies of the largest size that may be in memory at once; more if they are smaller."""


@dataclass(frozen=True)
class BodyLimits:
    """Limits on one body.

    Attributes:
        max_bytes: Bytes received, whatever Content-Length is.
        max_commas: Approximate number of JSON values.
        max_brackets: JSON objects and lists. Counted without parsing, so brackets in strings count as well.
        silence_s: Longest wait for the next piece, in seconds.
    """

    max_bytes: int
    max_commas: int = MAX_COMMAS
    max_brackets: int = MAX_BRACKETS
    silence_s: float = LONGEST_SILENCE_S

    def for_small_bodies(self) -> "BodyLimits":
        """Return the limits of routes without tasks, some of which need no password."""
        return BodyLimits(
            min(self.max_bytes, SMALL_MAX_BYTES),
            min(self.max_commas, SMALL_MAX_COMMAS),
            min(self.max_brackets, SMALL_MAX_BRACKETS),
            self.silence_s,
        )

    def too_large(self) -> Response:
        """Return the answer to a body with too many bytes."""
        return error_response(
            413,
            f"The body has more than {self.max_bytes} bytes. Send fewer tasks per request, or addresses of pictures "
            "instead of data: URIs.",
        )


class HeldBytes:
    """The bytes of all bodies in memory.

    Args:
        limit: Largest number of bytes at once.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit

    def take(self, count: int) -> bool:
        """Add bytes; return False, and add none, if they exceed the limit."""
        if count > self._free:
            return False
        self._free -= count
        return True

    def give_back(self, count: int) -> None:
        """Remove bytes."""
        self._free += count


class BodyRefusedError(Exception):
    """A body exceeded its limits; the caller has its error already."""


class LimitedBody:
    """Receives the body of one request within limits.

    Args:
        receive: The server's `receive`.
        limits: Limits on this body.
        held: Memory of all bodies; `release` returns the share of this one.
        refuse: Sends the error. Called here, since BentoML would turn any exception into a 500.
    """

    def __init__(
        self,
        receive: Receive,
        limits: BodyLimits,
        held: HeldBytes,
        refuse: Callable[[Response], Awaitable[None]],
    ) -> None:
        self._receive = receive
        self._limits = limits
        self._held = held
        self._refuse = refuse
        self._bytes = 0
        self._taken = 0
        self._commas = 0
        self._brackets = 0
        self._escapes = 0
        self._complete = False

    @property
    def values(self) -> int:
        """About how many values and escapes its JSON has so far."""
        return self._commas + self._brackets + self._escapes

    async def receive(self) -> Message:
        """ASGI's receive.

        Raises:
            BodyRefusedError: The body exceeded its limits.
        """
        if self._complete:  # the next message is the disconnect, whenever that is
            return await self._receive()
        try:
            async with asyncio.timeout(self._limits.silence_s):
                message = await self._receive()
        except TimeoutError:
            await self._end(
                error_response(
                    408,
                    f"The body stalled for {self._limits.silence_s:g} s. Send it without pauses.",
                    {"Connection": "close"},
                )
            )
        self._complete = message["type"] == "http.disconnect" or not message.get("more_body", False)
        refusal = self._count(message.get("body", b""))
        if refusal is not None:
            await self._end(refusal)
        return message

    async def _end(self, refusal: Response) -> NoReturn:
        self._complete = True
        await self._refuse(refusal)
        raise BodyRefusedError

    def release(self) -> None:
        """Return this body's share of the memory."""
        self._held.give_back(self._taken)
        self._taken = 0

    def _count(self, piece: bytes) -> Response | None:
        self._bytes += len(piece)
        if self._bytes > self._limits.max_bytes:
            return self._limits.too_large()
        self._commas += piece.count(b",")
        self._brackets += piece.count(b"{") + piece.count(b"[")
        self._escapes += piece.count(b"\\")
        if self._brackets > self._limits.max_brackets or self._commas > self._limits.max_commas:
            return error_response(
                413,
                f"The JSON has more than {self._limits.max_brackets} objects and lists, or "
                f"{self._limits.max_commas} values. Send fewer tasks per request.",
            )
        if not self._held.take(len(piece)):
            return error_response(
                503,
                "Too many large requests at once. Retry after 5 s, or send fewer tasks per request.",
                {"Retry-After": "5"},
            )
        self._taken += len(piece)
        return None
