"""Bodies with so many values that parsing would block the event loop: another process shortens them first."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

from starlette.responses import Response
from starlette.types import Message

from adapters.http.errors import detail_of, error_response
from adapters.http.guards.bodies import BodyRefusedError, LimitedBody
from adapters.label_studio.compact_request import MAX_VALUES, UnreadableError

logger = logging.getLogger(__name__)

Compact = Callable[[bytes], Awaitable[bytes]]
"""Returns a shortened body without blocking the event loop."""

_one_at_a_time = asyncio.Lock()
"""Shortening one body takes hundreds of megabytes."""


class CompactBody:
    """Receives the body of one request in one piece, shortened if it has more than `MAX_VALUES`.

    Args:
        body: The body as received.
        compact: Shortens it.
        refuse: Sends the error.
    """

    def __init__(
        self, body: LimitedBody, compact: Compact, refuse: Callable[[Response], Awaitable[None]]
    ) -> None:
        self._body = body
        self._compact = compact
        self._refuse = refuse
        self._given = False

    async def receive(self) -> Message:
        """ASGI's receive.

        Raises:
            BodyRefusedError: The body exceeded its limits, or is invalid.
        """
        if self._given:  # the next message is the disconnect
            return await self._body.receive()
        pieces: list[bytes] = []
        more = True
        while more:
            message = await self._body.receive()
            if message["type"] != "http.request":
                return message
            pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
        self._given = True
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        await asyncio.sleep(0)  # joining 64 MiB takes about 30 ms, and parsing them more
        if self._body.values > MAX_VALUES:
            content = await self._in_short(content)
        return {"type": "http.request", "body": content, "more_body": False}

    async def _in_short(self, content: bytes) -> bytes:
        try:
            async with _one_at_a_time:
                return await self._compact(content)
        except UnreadableError as error:
            await self._end(error_response(400, detail_of(400, str(error).encode())))
        except Exception as error:  # the process may run out of memory or time in many ways
            logger.info("A body with %s values could not be shortened: %r", self._body.values, error)
            await self._end(
                error_response(
                    413,
                    f"The JSON has more than {MAX_VALUES} relevant values. Send fewer tasks per request.",
                )
            )

    async def _end(self, refusal: Response) -> NoReturn:
        await self._refuse(refusal)
        raise BodyRefusedError
