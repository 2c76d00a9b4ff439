"""Bodies with so many values that reading them would hold the event loop: they are cut short elsewhere first."""

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
"""Returns a body in short, without holding the event loop."""

_one_at_a_time = asyncio.Lock()
"""Each takes hundreds of megabytes."""


class CompactBody:
    """Receives the body of one request in one piece, and in short if it has too many values to be read at once.

    Args:
        body: The body as it comes.
        compact: Cuts it short.
        refuse: Answers the request.
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
            BodyRefusedError: The body went beyond its limits, or cannot be read.
        """
        if self._given:  # what comes now is the end of the connection
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
        await asyncio.sleep(0)  # putting 64 MiB together takes some 30 ms, and reading them more
        if self._body.values > MAX_VALUES:
            content = await self._in_short(content)
        return {"type": "http.request", "body": content, "more_body": False}

    async def _in_short(self, content: bytes) -> bytes:
        try:
            async with _one_at_a_time:
                return await self._compact(content)
        except UnreadableError as error:
            await self._end(error_response(400, detail_of(400, str(error).encode())))
        except Exception as error:  # it may have run out of memory or time in many ways
            logger.info("A body with %s values could not be cut short: %r", self._body.values, error)
            await self._end(
                error_response(
                    413,
                    f"The JSON has more than {MAX_VALUES} values that would have to be read; send fewer tasks at "
                    "once.",
                )
            )

    async def _end(self, refusal: Response) -> NoReturn:
        await self._refuse(refusal)
        raise BodyRefusedError
