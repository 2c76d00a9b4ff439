"""The outermost layer of the service: what every request goes through before BentoML sees it.

It names the request, checks who asks, what they send and how much, answers the GET routes from memory, and gives every
error the same shape. It never waits for a network or for another service, so /health answers whatever the load.
"""

import base64
import hmac
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters import metrics
from adapters.http.disconnects import run_while_connected
from adapters.http.errors import detail_in_our_shape, detail_of, error_response
from adapters.request_context import request_id

logger = logging.getLogger(__name__)

Route = Callable[[Request], Awaitable[Response]]

PROBES = frozenset({"/health", "/livez", "/readyz"})
"""Open to everybody: load balancers and kubelets have no password."""
WEBHOOK = "/webhook"
"""Open as well: Label Studio sends no credentials with ordinary webhooks."""
WORK = "/predict"
POST_ROUTES = frozenset({WORK, "/setup", WEBHOOK, "/train"})
CALLER_GONE = 499
"""What the log shows as status when the caller hung up, as in nginx."""
QUIET = PROBES | {"/metrics"}
"""Asked for every few seconds; the log lines of those that succeed would bury the others."""
JSON_TYPES = frozenset({"", "application/json"})
"""What a body may say that it is. Forms and plain text are what a foreign page can make a browser send."""

_SHOWN_PATH = 200

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class BasicAuth:
    """The user name and password that callers must send."""

    user: str
    password: str

    def admits(self, header: str | None) -> bool:
        """Tell whether an Authorization header carries them; takes the same time however much of it is right."""
        scheme, _, encoded = (header or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except ValueError:
            return False
        return hmac.compare_digest(given, f"{self.user}:{self.password}".encode())


class _BodyTooLargeError(Exception):
    pass


class Surface:
    """ASGI middleware; see the module.

    Args:
        app: BentoML's application.
        routes: GET routes by path.
        auth: What callers must send, or None.
        max_request_bytes: Largest body of a request.
        retry_after_s: Tells after how many seconds to come again with work, or None if it is welcome now.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: dict[str, Route],
        auth: BasicAuth | None,
        max_request_bytes: int,
        retry_after_s: Callable[[], int | None],
    ) -> None:
        self._app = app
        self._routes = routes
        self._auth = auth
        self._max_request_bytes = max_request_bytes
        self._retry_after_s = retry_after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        token = request_id.set(given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex[:16])
        answer = _Answer(send)
        started = time.perf_counter()
        try:
            response = await self._own_answer(request)
            if response is not None:
                await response(scope, receive, answer.send)
            else:
                limited = self._limited(receive, answer)
                if not await run_while_connected(self._app, scope, limited, answer.send):
                    answer.status = CALLER_GONE
        except _BodyTooLargeError:
            pass  # answered where it was raised
        except Exception:
            logger.exception("An unexpected error")
            if answer.started:
                raise
            await error_response(500, detail_of(500, b""))(scope, receive, answer.send)
        finally:
            seconds = time.perf_counter() - started
            self._count(scope["path"], answer.status, seconds)
            quiet = scope["path"] in QUIET and answer.detail is None
            logger.log(
                logging.DEBUG if quiet else logging.INFO,
                "method=%s path=%s status=%s seconds=%.3f%s",
                scope["method"],
                scope["path"][:_SHOWN_PATH],
                answer.status,
                seconds,
                "" if answer.detail is None else f": {answer.detail}",
            )
            request_id.reset(token)

    def _count(self, path: str, status: int, seconds: float) -> None:
        # Callers choose paths: a label for each would grow without bound.
        route = path if path in self._routes or path in POST_ROUTES or path in PROBES else "other"
        metrics.requests_total().labels(route=route, status=str(status)).inc()
        metrics.request_seconds().labels(route=route).observe(seconds)

    async def _own_answer(self, request: Request) -> Response | None:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        path = request.scope["path"]
        route = self._routes.get(path)
        if route is None:
            return None
        if request.method not in ("GET", "HEAD"):
            return error_response(405, f"{path} answers GET only.", {"Allow": "GET, HEAD"})
        return await route(request)

    def _refusal(self, request: Request) -> Response | None:
        """Say no before the body is read: it must cost next to nothing, or it costs the others their place."""
        # Not of request.url: that is put together from the Host header too, and read again.
        path = request.scope["path"]
        open_to_all = path in PROBES or path == WEBHOOK
        if self._auth and not open_to_all and not self._auth.admits(request.headers.get("authorization")):
            return error_response(
                401,
                "This backend asks for a user name and a password: set them in Label Studio at the model, under "
                "'Basic authentication'.",
                {"WWW-Authenticate": 'Basic realm="rtmlib-ml-backend"'},
            )
        if path == WORK and (seconds := self._retry_after_s()) is not None:
            return error_response(
                503,
                f"There is more work waiting than can be done in time; come again in {seconds} s.",
                {"Retry-After": str(seconds)},
            )
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_request_bytes:
            return self._too_large()
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method == "POST" and path not in self._routes and content_type not in JSON_TYPES:
            return error_response(415, "Send JSON, and say so: Content-Type: application/json.")
        return None

    def _too_large(self) -> JSONResponse:
        return error_response(
            413,
            f"The body is larger than {self._max_request_bytes} bytes; send fewer tasks at once, or pictures by "
            "address instead of data: URIs.",
        )

    def _limited(self, receive: Receive, answer: "_Answer") -> Receive:
        received = 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_request_bytes:
                # Answered here, since BentoML would make a 500 of the error.
                await answer.refuse(self._too_large())
                raise _BodyTooLargeError
            return message

        return count


class _Answer:
    """Passes a response on, with the request id; an error that is not yet in our shape is put into it.

    Attributes:
        started: Whether the response has begun.
        status: Its status; 0 before.
        detail: What it says if it is an error.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._error: Message | None = None
        self._error_body = b""
        self._refused = False
        self.started = False
        self.status = 0
        self.detail: str | None = None

    async def refuse(self, response: JSONResponse) -> None:
        """Answer with an error, unless a response has begun; whatever comes afterwards is dropped."""
        if not self.started:
            body = bytes(response.body)
            await self.send({"type": "http.response.start", "status": response.status_code, "headers": []})
            await self.send({"type": "http.response.body", "body": body})
        self._refused = True

    async def send(self, message: Message) -> None:
        """ASGI's send."""
        if self._refused:
            return
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._error is not None and message["type"] == "http.response.body":
            self._error_body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_error(self._error)
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        self.started = True
        self.status = message["status"]
        headers = [(name, value) for name, value in message["headers"] if name != b"server"]
        headers.append((b"x-request-id", request_id.get().encode()))
        message = {**message, "headers": headers}
        if self.status >= 400:
            self._error = message
        else:
            await self._send(message)

    async def _send_error(self, start: Message) -> None:
        body = self._error_body
        self.detail = detail_in_our_shape(body)
        if self.detail is None:
            self.detail = detail_of(self.status, body)
            body = bytes(error_response(self.status, self.detail).body)
        replaced = {b"content-length", b"content-type"}
        headers = [(name, value) for name, value in start["headers"] if name not in replaced]
        headers += [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
