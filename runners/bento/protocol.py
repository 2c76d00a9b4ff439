"""Strict HTTP connections: a timeout for request heads, and error responses to invalid HTTP.

Uvicorn has no timeout for a request's head, and its response to invalid HTTP is not in the service's format.
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
"""Timeout for a request's first line and headers, and for the rest of a rejected body."""

Refuse = Callable[[int, str | None], Response]
"""Returns the response to invalid HTTP, given the status that h11 proposes and the fault if known."""


class StrictProtocol(H11Protocol):
    """One HTTP connection.

    Args:
        arguments: Uvicorn's arguments.
        refuse: Returns the response to invalid HTTP.
        options: Uvicorn's options.
    """

    _head_deadline: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, refuse: Refuse, **options: Any) -> None:
        super().__init__(*arguments, **options)
        connection: Any = self.conn
        connection._receive_buffer = StrictReceiveBuffer()  # h11 has no strict option
        self._response_to = refuse

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first head."""
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received data and update the timeout."""
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """Start the timeout for the rest of a rejected body."""
        super().on_response_complete()
        # Between requests the keep-alive timeout applies.
        if self.conn.their_state is h11.SEND_BODY:
            self._watch_head()

    def send_400_response(self, msg: str) -> None:
        """Respond to invalid HTTP; called while h11's error is handled."""
        error = sys.exc_info()[1]
        hint = (
            error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else HTTPStatus.BAD_REQUEST
        )
        self._refuse(hint, str(error) if isinstance(error, FramingError) else None)

    def _should_upgrade(self) -> bool:
        """Treat a WebSocket upgrade as a plain request: the gateway would not see a WebSocket."""
        return False

    def _watch_head(self) -> None:
        # None before the first request, despite its type.
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
        else:  # no data, or the response was already sent
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
    """Uvicorn's options, which BentoML gives no way to set.

    The service has untrusted clients. A runner's only client is the service, so it keeps the fastest protocol.
    """

    in_use = False

    def __init__(self, *arguments: Any, refuse: Refuse, **options: Any) -> None:
        StrictConfig.in_use = True
        if bentoml.server_context.service_type != "service":
            options["http"] = partial(StrictProtocol, refuse=refuse)
        super().__init__(*arguments, **options)


def use_strict_protocol(refuse: Refuse) -> None:
    """Use `StrictConfig` for all servers started in this process."""
    replaced: Any = uvicorn
    replaced.Config = partial(StrictConfig, refuse=refuse)
