"""Asks an ASGI application, stands for the one behind the gateway, and puts a gateway before it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.gateway import Gateway
from adapters.observability.request_id import request_id

JSON = {"content-type": "application/json"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class App:
    """Stands for BentoML: reads the body and answers what the test says."""

    answer: Callable[[Request], Awaitable[Response]] | None = None
    reached: list[str] = field(default_factory=list)
    received: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope["path"])
        request = Request(scope, receive)
        self.received += len(await request.body())
        response = await self.answer(request) if self.answer else JSONResponse({"request": request_id.get()})
        await response(scope, receive, send)


def gateway(app: ASGIApp, **settings: Any) -> Gateway:
    """A gateway with room for every body, no routes and no password, unless it is set otherwise."""
    plain = {"routes": {}, "auth": None, "max_request_bytes": 64 * 2**20, "retry_after_s": lambda: None}
    return Gateway(app, **{**plain, **settings})


async def ask(
    app: ASGIApp,
    path: str = "/predict",
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    body: AsyncIterator[bytes] | bytes = b"{}",
    hangs_up: bool = False,
) -> Answer:
    """Ask the gateway over ASGI; a body that is bytes comes with its length, an iterator comes chunked.

    A caller that hangs up does so after the body.
    """
    given = {**JSON, **(headers or {})}
    if isinstance(body, bytes):
        given.setdefault("content-length", str(len(body)))
        chunks = as_chunks(body)
    else:
        chunks = body
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        "server": ("127.0.0.1", 9090),
        "scheme": "http",
    }
    messages: list[Message] = []
    sent_all = False

    async def receive() -> Message:
        nonlocal sent_all
        try:
            return {"type": "http.request", "body": await anext(chunks), "more_body": True}
        except StopAsyncIteration:
            if sent_all and hangs_up:
                return {"type": "http.disconnect"}
            sent_all = True
            return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    async with asyncio.timeout(5):
        await app(scope, receive, send)
    starts = [message for message in messages if message["type"] == "http.response.start"]
    assert len(starts) == 1, "one response to one request"
    body_sent = b"".join(message.get("body", b"") for message in messages[1:])
    headers_sent = {name.decode(): value.decode() for name, value in starts[0]["headers"]}
    assert len(headers_sent) == len(starts[0]["headers"]), "no header twice"
    return Answer(starts[0]["status"], headers_sent, body_sent)


async def as_chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def assert_error(answer: Answer, status: HTTPStatus) -> str:
    """Assert that an answer is an error in the one shape, and return its detail."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.json.keys() == {"error", "detail", "request_id"}
    assert answer.json["error"] == status.phrase
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    return answer.json["detail"]
