"""What happens on a connection before there is a request: limits on time, and answers to what is not HTTP.

Uvicorn waits for ever for the rest of a request's head, and answers what it cannot read in a shape of its own.
"""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import bentoml
import h11
import uvicorn
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from runners.bento.framing import FramingError, StrictReceiveBuffer

HEAD_LIMIT_S = 10.0
"""For the first line and the headers of a request, and for what is left of a body that was refused."""

Refuse = Callable[[int, str | None], Response]
"""Returns the response to what is not an HTTP request: from the status that h11 proposes and, if known, the fault."""


class StrictProtocol(H11Protocol):
    """One connection.

    Args:
        arguments: As Uvicorn gives them.
        refuse: Answers what is not an HTTP request.
        options: As Uvicorn gives them.
    """

    _head_deadline: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, refuse: Refuse, **options: Any) -> None:
        super().__init__(*arguments, **options)
        connection: Any = self.conn
        connection._receive_buffer = StrictReceiveBuffer()  # h11 has no stricter way to read
        self._response_to = refuse

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """Go on to the next request, if there is one."""
        super().on_response_complete()
        # Between requests the keep-alive limit counts; the rest of a refused body has this one.
        if self.conn.their_state is h11.SEND_BODY:
            self._watch_head()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not a request; called where the error is caught."""
        error = sys.exc_info()[1]
        hint = (
            error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else HTTPStatus.BAD_REQUEST
        )
        self._refuse(hint, str(error) if isinstance(error, FramingError) else None)

    def _should_upgrade(self) -> bool:
        """Take a request to become a WebSocket as the request that it also is; the surface would not see the other."""
        return False

    def _watch_head(self) -> None:
        # None before the first request, whatever its type says.
        if self.cycle and not self.cycle.response_complete:
            self._forget_head()
        elif self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_LIMIT_S, self._too_slow)

    def _forget_head(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _too_slow(self) -> None:
        if self.transport.is_closing():
            return
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:  # nothing came, or the answer was given already
            self.transport.close()

    def _refuse(self, status: int, detail: str | None = None) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = self._response_to(status, detail)
            reason = HTTPStatus(response.status_code).phrase.encode()
            for event in (
                h11.Response(status_code=response.status_code, headers=response.raw_headers, reason=reason),
                h11.Data(data=bytes(response.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


_Config: Any = uvicorn.Config


class StrictConfig(_Config):
    """Uvicorn's options for the server that BentoML starts without a way to give any.

    The service has callers that are not to be trusted. A runner has the service, and keeps the fastest protocol.
    """

    in_use = False

    def __init__(self, *arguments: Any, refuse: Refuse, **options: Any) -> None:
        StrictConfig.in_use = True
        if bentoml.server_context.service_type != "service":
            options["http"] = partial(StrictProtocol, refuse=refuse)
        super().__init__(*arguments, **options)


def use_strict_protocol(refuse: Refuse) -> None:
    """Have the servers that are started in this process use these protocols."""
    replaced: Any = uvicorn
    replaced.Config = partial(StrictConfig, refuse=refuse)
