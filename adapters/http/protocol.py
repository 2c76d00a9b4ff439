"""What happens on a connection before there is a request: limits on time, and answers to what is not HTTP.

Uvicorn waits for ever for the rest of a request's head, and answers what it cannot read in a shape of its own.
"""

import asyncio
import logging
import sys
import uuid
from http import HTTPStatus
from typing import Any

import h11
import uvicorn.protocols.http.auto
from bentoml._internal.context import server_context
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.http.errors import error_response
from adapters.http.guards.framing import FramingError, StrictReceiveBuffer
from adapters.http.guards.security_headers import missing_security_headers
from adapters.observability import metrics
from adapters.observability.logs import Event
from adapters.observability.request_id import request_id

logger = logging.getLogger(__name__)

HEAD_LIMIT_S = 10.0
"""For the first line and the headers of a request, and for what is left of a body that was refused."""

_SENTENCES = {
    HTTPStatus.BAD_REQUEST: "This is not a proper HTTP/1.1 request.",
    HTTPStatus.REQUEST_TIMEOUT: "The headers of the request did not come in time.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The headers of the request are too large; send fewer or shorter ones.",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "This version of HTTP is not understood.",
    HTTPStatus.NOT_IMPLEMENTED: "This Transfer-Encoding is not understood; send the body as it is, or chunked.",
}


class ServerProtocol(H11Protocol):
    """One connection."""

    _head_deadline: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        connection: Any = self.conn
        connection._receive_buffer = StrictReceiveBuffer()  # h11 has no stricter way to read

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
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        status = HTTPStatus(hint) if hint in _SENTENCES else HTTPStatus.BAD_REQUEST
        self._refuse(status, str(error) if isinstance(error, FramingError) else _SENTENCES[status])

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
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, _SENTENCES[HTTPStatus.REQUEST_TIMEOUT])
        else:  # nothing came, or the answer was given already
            self.transport.close()

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            token = request_id.set(uuid.uuid4().hex[:16])
            try:
                self._answer(status, detail)
            finally:
                request_id.reset(token)
        self.transport.close()

    def _answer(self, status: HTTPStatus, detail: str) -> None:
        """Answer, count and log what the surface never sees, as it does with what it sees."""
        response: Response = error_response(status, detail, {"Connection": "close"})
        headers = [*response.raw_headers, (b"x-request-id", request_id.get().encode())]
        headers += missing_security_headers(headers)
        for event in (
            h11.Response(status_code=status, headers=headers, reason=status.phrase.encode()),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        metrics.requests_total().labels(route="other", status=str(status.value)).inc()
        logger.info(Event("answered", detail, status=status.value))


def protocol_of_this_process(*arguments: Any, **options: Any) -> asyncio.Protocol:
    """Return what serves a connection: the service has callers that are not to be trusted, a runner has the service."""
    serves_callers = server_context.service_type != "service"
    return (ServerProtocol if serves_callers else HttpToolsProtocol)(*arguments, **options)


def use_server_protocol() -> None:
    """Let Uvicorn, which BentoML starts without a way to say so, use these protocols in this process."""
    replaced: Any = uvicorn.protocols.http.auto
    replaced.AutoHTTPProtocol = protocol_of_this_process
