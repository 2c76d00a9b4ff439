"""The outermost layer of the service, in front of BentoML.

It assigns a request id, checks credentials, headers and size, answers GET routes from memory, and gives every error
the same shape. It never waits for inference or for another service, so /health answers under any load.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.errors import detail_in_our_shape, detail_of, error_response
from adapters.http.guards.bodies import BODIES_AT_ONCE, BodyLimits, BodyRefusedError, HeldBytes, LimitedBody
from adapters.http.guards.cross_origin import CrossOrigin
from adapters.http.guards.disconnects import run_while_connected
from adapters.http.guards.heavy_bodies import Compact, CompactBody
from adapters.http.guards.hosts import KnownHosts
from adapters.http.guards.security_headers import RawHeaders, missing_security_headers
from adapters.observability import metrics
from adapters.observability.logs import Event
from adapters.observability.request_id import request_id
from adapters.time_limits import TIME_LIMITS

logger = logging.getLogger(__name__)

Route = Callable[[Request], Awaitable[Response]]

PROBES = frozenset({"/health", "/livez", "/readyz"})
"""Need no password: load balancers and kubelets have none."""
WEBHOOK = "/webhook"
"""Needs no password either: Label Studio sends no credentials with ordinary webhooks."""
OPEN_TO_ALL = PROBES | {WEBHOOK}
WORK = "/predict"
POST_ROUTES = frozenset({WORK, "/setup", WEBHOOK, "/train"})
BENTOML_ROUTES = frozenset(
    {
        "/livez",
        "/readyz",
        "/schema.json",  # BentoML's own client reads it
        # The files of the API page.
        "/static_content/favicon-light-32x32.png",
        "/static_content/swagger-ui-bundle.js",
        "/static_content/swagger-ui.css",
    }
)
"""BentoML's GET routes that are served. Its others (redirects, aliases, more files) are not."""
CALLER_GONE = 499
"""Status in the log when the caller disconnected, as in nginx."""
QUIET = PROBES | {"/metrics"}
"""Requested every few seconds. Successes are logged at DEBUG, or they would bury other log lines."""
JSON_TYPES = frozenset({"", "application/json"})
"""Accepted media types. Foreign pages can make a browser send forms and plain text, so these are rejected."""

_SHOWN_PATH = 200

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class BasicAuth:
    """The user name and password that callers must send."""

    user: str
    password: str

    def admits(self, header: str | None) -> bool:
        """Return whether an Authorization header carries these credentials, in constant time."""
        scheme, _, encoded = (header or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except ValueError:
            return False
        # Digests have equal lengths; a comparison of unequal lengths would end sooner.
        return hmac.compare_digest(_digest(given), _digest(f"{self.user}:{self.password}".encode()))


def _digest(credentials: bytes) -> bytes:
    return hashlib.sha256(credentials).digest()


class Gateway:
    """ASGI middleware; see the module.

    Args:
        app: BentoML's application.
        routes: GET routes by path.
        auth: Credentials that callers must send, or None.
        max_request_bytes: Largest body of a request.
        retry_after_s: Returns Retry-After in seconds if overloaded, else None.
        cross_origin: Origins whose pages may send requests from a browser.
        hosts: Names by which browsers may reach the service.
        compact: Shortens the body of a prediction request; without it, bodies are passed on unchanged.
        answer_limit_s: Time limit of a request in seconds.
    """

    def __init__(  # noqa: PLR0913 - the parts of one gateway, each named by its caller
        self,
        app: ASGIApp,
        *,
        routes: dict[str, Route],
        auth: BasicAuth | None,
        max_request_bytes: int,
        retry_after_s: Callable[[], int | None],
        cross_origin: CrossOrigin = CrossOrigin(),  # noqa: B008 - frozen
        hosts: KnownHosts = KnownHosts(),  # noqa: B008 - frozen
        compact: Compact | None = None,
        answer_limit_s: float = TIME_LIMITS.answer_s,
    ) -> None:
        self._app = app
        self._routes = routes
        self._auth = auth
        self._limits = BodyLimits(max_request_bytes)
        self._small_limits = self._limits.for_small_bodies()
        # Separate, so that callers without a password cannot use up the memory of those with one.
        self._held = HeldBytes(BODIES_AT_ONCE * self._limits.max_bytes)
        self._open_held = HeldBytes(BODIES_AT_ONCE * self._small_limits.max_bytes)
        self._retry_after_s = retry_after_s
        self._cross_origin = cross_origin
        self._hosts = hosts
        self._compact = compact
        self._answer_limit_s = answer_limit_s
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Create the series that alerts watch: Prometheus sees no increase from absent to 1."""
        counted = metrics.requests_total()
        for route in POST_ROUTES:
            counted.labels(route=route, status="504")
        for route in (*POST_ROUTES, *self._routes):
            counted.labels(route=route, status="500")
        for status in ("200", "503"):
            for route in (WORK, "/readyz"):
                counted.labels(route=route, status=status)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        token = request_id.set(given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex[:16])
        answer = _Answer(send, self._cross_origin.answer_headers(request.headers))
        started = time.perf_counter()
        try:
            response = await self._own_answer(request)
            if response is not None:
                await response(scope, receive, answer.send)
            else:
                await self._ask_bentoml(scope, receive, answer)
        except Exception:
            logger.exception("Unexpected error")
            if answer.started:
                raise
            await error_response(500, detail_of(500, b""))(scope, receive, answer.send)
        finally:
            seconds = time.perf_counter() - started
            self._count(scope["path"], answer.status, seconds)
            quiet = scope["path"] in QUIET and answer.detail is None
            logger.log(
                logging.DEBUG if quiet else logging.INFO,
                Event(
                    "answered",
                    answer.detail,
                    method=scope["method"],
                    path=scope["path"][:_SHOWN_PATH],
                    status=answer.status,
                    seconds=seconds,
                ),
            )
            request_id.reset(token)

    async def _ask_bentoml(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        path = scope["path"]
        body = LimitedBody(
            receive,
            self._limits_of(path),
            self._open_held if path == WEBHOOK else self._held,
            answer.refuse,
        )
        short = CompactBody(body, self._compact, answer.refuse) if self._compact and path == WORK else body
        try:
            async with asyncio.timeout(self._answer_limit_s):
                if not await run_while_connected(self._app, scope, short.receive, answer.send):
                    await answer.end_unread()
        except BodyRefusedError:
            pass  # answered where it was raised
        except TimeoutError:
            await answer.refuse(
                error_response(
                    504, f"Timed out after {self._answer_limit_s:g} s. Send fewer tasks per request."
                )
            )
        finally:
            body.release()

    def _limits_of(self, path: str) -> BodyLimits:
        return self._limits if path == WORK else self._small_limits

    def _count(self, path: str, status: int, seconds: float) -> None:
        # Callers choose the path: one label per path would grow without bound.
        route = path if path in self._routes or path in POST_ROUTES or path in PROBES else "other"
        metrics.requests_total().labels(route=route, status=str(status)).inc()
        metrics.request_seconds().labels(route=route).observe(seconds)

    async def _own_answer(self, request: Request) -> Response | None:
        preflight = self._cross_origin.preflight(request)
        if preflight is not None:  # browsers send no password with it
            return preflight
        refusal = self._not_allowed(request) or self._no_such_route(request) or self._not_taken(request)
        if refusal is not None:
            return refusal
        route = self._routes.get(request.scope["path"])
        return None if route is None else await route(request)

    def _not_allowed(self, request: Request) -> Response | None:
        """Reject callers that are not allowed. Like the checks below, it reads headers only and is cheap."""
        # Not request.url: Starlette builds and parses it from the Host header.
        path = request.scope["path"]
        needs_password = self._auth is not None and path not in OPEN_TO_ALL
        if needs_password and self._auth and not self._auth.admits(request.headers.get("authorization")):
            return error_response(
                401,
                "User name or password is missing or wrong. Set them in Label Studio at the model, under "
                "'Basic authentication'.",
                {"WWW-Authenticate": 'Basic realm="rtmlib-ml-backend"'},
            )
        # A browser sends the password only to host names for which the user entered it.
        if not needs_password and path not in PROBES:
            unknown = self._hosts.unknown(request.headers)
            if unknown is not None:
                return error_response(
                    403, f"Unknown host name '{unknown}'. To allow it, add it to BACKEND_HOSTS."
                )
        if request.method == "POST" and self._cross_origin.keeps_out(request.headers):
            return error_response(
                403, "Cross-origin request. To allow it, add the page's origin to CORS_ALLOWED_ORIGINS."
            )
        return None

    def _no_such_route(self, request: Request) -> Response | None:
        path = request.scope["path"]
        if path in POST_ROUTES:
            if request.method != "POST":
                return error_response(405, f"{path} accepts POST only.", {"Allow": "POST"})
        elif path in self._routes or path in BENTOML_ROUTES:
            if request.method not in ("GET", "HEAD"):
                return error_response(405, f"{path} accepts GET only.", {"Allow": "GET, HEAD"})
        else:
            return error_response(404, detail_of(404, b""))
        return None

    def _not_taken(self, request: Request) -> Response | None:
        """Reject a request before its body is read and takes memory."""
        path = request.scope["path"]
        if path == WORK and (seconds := self._retry_after_s()) is not None:
            return error_response(
                503,
                f"Overloaded. Retry after {seconds} s.",
                {"Retry-After": str(seconds)},
            )
        limits = self._limits_of(path)
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > limits.max_bytes:
            return limits.too_large()
        if request.method == "POST":
            content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            # A browser must send a type: it can send a body without one for a page of another site.
            if content_type not in JSON_TYPES or (not content_type and "origin" in request.headers):
                return error_response(415, "Content-Type must be application/json.")
            if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
                return error_response(415, "Content-Encoding is not supported. Send uncompressed JSON.")
        return None


class _Answer:
    """Sends a response with the common headers, and errors in the common shape.

    Attributes:
        started: Whether the response has begun.
        status: Its status; 0 before.
        detail: The error's detail; None for other responses.
    """

    def __init__(self, send: Send, cross_origin: RawHeaders) -> None:
        self._send = send
        self._cross_origin = cross_origin
        self._error: Message | None = None
        self._error_body = b""
        self._refused = False
        self.started = False
        self.status = 0
        self.detail: str | None = None

    async def refuse(self, response: Response) -> None:
        """Send an error unless a response has begun, and drop everything that follows."""
        if not self.started:
            await self.send(
                {
                    "type": "http.response.start",
                    "status": response.status_code,
                    "headers": response.raw_headers,
                }
            )
            await self.send({"type": "http.response.body", "body": bytes(response.body)})
        self._refused = True

    async def end_unread(self) -> None:
        """End the response to a caller that disconnected; the server discards it.

        BentoML's timeout middleware waits for a message, or until its limit, and a server that stops waits for it.
        """
        self.status = CALLER_GONE
        if not self.started:
            await self._send({"type": "http.response.start", "status": CALLER_GONE, "headers": []})
            await self._send({"type": "http.response.body"})

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
        headers += self._cross_origin
        headers += missing_security_headers(headers)
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
