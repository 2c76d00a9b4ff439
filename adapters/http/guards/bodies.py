"""What the body of a request may cost before anybody has read it: bytes, JSON values, time, and memory held at once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from starlette.responses import Response
from starlette.types import Message, Receive

from adapters.http.errors import error_response

MEBIBYTE = 2**20

MAX_COMMAS = 4_000_000
"""64 MiB of Label Studio's regions have one for every 20 bytes or more. A list of as many numbers takes 0.2 GB."""
MAX_BRACKETS = 1_000_000
"""Objects and lists; 64 MiB of Label Studio's regions have 0.7 million. As many small objects take 0.4 GB."""
LONGEST_SILENCE_S = 10.0
"""Between two pieces of a body; Label Studio sends its own in one go."""

SMALL_MAX_BYTES = 8 * MEBIBYTE
"""For routes that take no tasks: an annotation of fifty people has 2 MiB, the longest label config 4."""
SMALL_MAX_BRACKETS = 100_000
SMALL_MAX_COMMAS = 600_000
BODIES_AT_ONCE = 4
"""So many bodies of the largest size may be held at once; of smaller ones accordingly more."""


@dataclass(frozen=True)
class BodyLimits:
    """What one body may cost.

    Attributes:
        max_bytes: Its size as it arrives, whatever Content-Length says.
        max_commas: Values of its JSON, about.
        max_brackets: Objects and lists of its JSON. Counted without reading the JSON, so those in texts count as well.
        silence_s: Longest wait for the next piece, in seconds.
    """

    max_bytes: int
    max_commas: int = MAX_COMMAS
    max_brackets: int = MAX_BRACKETS
    silence_s: float = LONGEST_SILENCE_S

    def for_small_bodies(self) -> "BodyLimits":
        """Return the limits of routes that take no tasks, some of them without a password."""
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
            f"The body is larger than {self.max_bytes} bytes; send fewer tasks at once, or pictures by address "
            "instead of data: URIs.",
        )


class HeldBytes:
    """Bytes of all bodies that are held at once.

    Args:
        limit: That there may be.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit

    def take(self, count: int) -> bool:
        """Hold so many more; False, and none, if there is no room."""
        if count > self._free:
            return False
        self._free -= count
        return True

    def give_back(self, count: int) -> None:
        """Hold so many less."""
        self._free += count


class BodyRefusedError(Exception):
    """A body went beyond its limits; the caller has been told."""


class LimitedBody:
    """Receives the body of one request within limits.

    Args:
        receive: The server's.
        limits: What it may cost.
        held: What all bodies may hold; this one gives back its share by `release`.
        refuse: Answers the request. Done here, since BentoML would make a 500 of any error.
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
            BodyRefusedError: The body went beyond its limits.
        """
        if self._complete:  # what comes now is the end of the connection, whenever that is
            return await self._receive()
        try:
            async with asyncio.timeout(self._limits.silence_s):
                message = await self._receive()
        except TimeoutError:
            await self._end(
                error_response(
                    408,
                    f"Nothing more of the body came for {self._limits.silence_s:g} s; send it in one go.",
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
        """Give back what this body held."""
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
                f"{self._limits.max_commas} values; send fewer tasks at once.",
            )
        if not self._held.take(len(piece)):
            return error_response(
                503,
                "Too many large requests are being received; come again in 5 s, or send fewer tasks at once.",
                {"Retry-After": "5"},
            )
        self._taken += len(piece)
        return None
