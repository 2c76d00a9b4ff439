"""Connections of Uvicorn's server with our protocol, over real sockets: what comes before there is a request."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
import uvicorn
from bentoml import server_context
from prometheus_client import REGISTRY
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from adapters.http.malformed import malformed_response
from adapters.observability.request_id import request_id
from runners.bento import protocol
from runners.bento.protocol import StrictProtocol, use_strict_protocol

HEAD_LIMIT_S = 0.3


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once; /refuse does so without reading the body, the others read it."""
    while scope["path"] != "/refuse" and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(protocol, "HEAD_LIMIT_S", HEAD_LIMIT_S)
    http: Any = partial(StrictProtocol, refuse=malformed_response)
    config = uvicorn.Config(app, port=0, http=http, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - Uvicorn tells it in no other way
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await asyncio.wait_for(serving, 5)


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends, or breaks: a server that closes with bytes unread breaks it."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65_536):
            got += piece
    return got


async def until_closed(port: int, *pieces: bytes, pause_s: float = 0) -> tuple[bytes, float]:
    """Send pieces and read until the server closes; returns what came and after how many seconds it closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = asyncio.get_running_loop().time()
    reading = asyncio.create_task(all_of(reader))
    for piece in pieces:
        if reading.done():
            break
        writer.write(piece)
        await asyncio.sleep(pause_s)
    got = await asyncio.wait_for(reading, 5)
    writer.close()
    return got, asyncio.get_running_loop().time() - started


def assert_error(answer: bytes, status: HTTPStatus) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0] == f"HTTP/1.1 {status.value} {status.phrase}"
    content = json.loads(body)
    assert content.keys() == {"error", "detail", "request_id"}
    assert content["request_id"] == headers["x-request-id"] != "-"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["connection"] == "close"
    return content


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_an_error_in_the_one_shape(port: int, request_: bytes) -> None:
    answer, _ = await until_closed(port, request_)
    status = HTTPStatus.NOT_IMPLEMENTED if b"gzip" in request_ else HTTPStatus.BAD_REQUEST
    assert_error(answer, status)


POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"


@pytest.mark.promise("ambiguous-requests-refused")
@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n", "both Content-Length and Transfer-Encoding"),
        (POST + b"Content-Length: 2, 2\r\n\r\n{}", "several Content-Lengths"),
        (POST + b"Content-Length: 2\r\ncontent-length: 2\r\n\r\n{}", "several Content-Lengths"),
        (b"POST / HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n", "HTTP/1.0 has no Transfer-Encoding"),
        (POST + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", "continues on the next line"),
        (POST + b"X: a\r\n\tb\r\nContent-Length: 2\r\n\r\n{}", "continues on the next line"),
        (b"POST / HTTP/1.1\nHost: a\nContent-Length: 2\n\n{}", "CR and LF"),
        (b"\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "CR and LF"),
        (POST + b"X: a\nContent-Length: 2\r\n\r\n{}", "CR and LF"),
        (POST + b"Content-Length: 2\r\n\n{}", "CR and LF"),
        (POST + b"X: a\n", "CR and LF"),  # at once, not when the time is over
        (b"POST / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1"),
        (b"POST / HTTP/0.9\r\nHost: a\r\n\r\n", "HTTP/1.1"),
    ],
)
async def test_a_request_whose_end_is_ambiguous_is_refused_and_the_connection_closed(
    port: int, request_: bytes, says: str
) -> None:
    """Cut anywhere, and with a second request behind it that is never answered."""
    for cut in (0, *range(len(request_) - 6, len(request_))):
        pieces = (request_[:cut], request_[cut:] + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer, seconds = await until_closed(port, *pieces, pause_s=0.01)
        wrong_version = b"HTTP/2" in request_ or b"HTTP/0" in request_
        status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED if wrong_version else HTTPStatus.BAD_REQUEST
        assert says in assert_error(answer, status)["detail"]
        assert seconds < HEAD_LIMIT_S


@pytest.mark.promise("ambiguous-requests-refused")
@pytest.mark.parametrize("trailer", [b"X: y\n\n", b"X: y\r\n z\r\n\r\n", b"\n"])
async def test_trailers_are_read_as_strictly(port: int, trailer: bytes) -> None:
    answer, _ = await until_closed(port, POST + CHUNKED + trailer)
    assert_error(answer, HTTPStatus.BAD_REQUEST)


async def test_what_is_not_ambiguous_is_read_however_it_is_cut(port: int) -> None:
    chunked = POST + CHUNKED + b"X: y\r\n\r\n"
    old = b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n\n\n"
    sent = POST + b"Content-Length: 4\r\n\r\n\n\n\n\n" + chunked + old
    for size in (1, 2, 3, 5, len(sent)):
        pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
        answer, _ = await until_closed(port, *pieces)
        assert answer.count(b"HTTP/1.1 200 OK") == 3


async def test_headers_that_are_too_large_are_said_to_be(port: int) -> None:
    answer, _ = await until_closed(port, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000)
    assert_error(answer, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)


async def test_what_was_no_request_is_logged_under_the_id_that_the_caller_was_told(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    ids: list[str] = []
    caplog.handler.addFilter(lambda _: ids.append(request_id.get()) or True)
    before = counted(HTTPStatus.BAD_REQUEST)
    with caplog.at_level(logging.INFO, logger="adapters.http.malformed"):
        answer, _ = await until_closed(port, b"nonsense\r\n\r\n")

    said = assert_error(answer, HTTPStatus.BAD_REQUEST)
    assert said["request_id"] in ids
    assert said["detail"] in caplog.text
    assert counted(HTTPStatus.BAD_REQUEST) == before + 1


def counted(status: HTTPStatus) -> float:
    labels = {"route": "other", "status": str(status.value)}
    return REGISTRY.get_sample_value("rtmlib_requests_total", labels) or 0


async def test_headers_that_do_not_come_are_given_up(port: int) -> None:
    answer, seconds = await until_closed(port, b"GET / HTTP/1.1\r\nHo")
    assert_error(answer, HTTPStatus.REQUEST_TIMEOUT)
    assert seconds < 3 * HEAD_LIMIT_S


@pytest.mark.promise("slow-requests-dropped")
async def test_headers_that_trickle_are_given_up_as_soon(port: int) -> None:
    pieces = [b"GET / HTTP/1.1\r\n", b"X", b": 1\r\n", b"Y", b": 2\r\n"]
    _, seconds = await until_closed(port, *pieces, pause_s=HEAD_LIMIT_S / 4)
    assert seconds < 3 * HEAD_LIMIT_S


async def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    answer, seconds = await until_closed(port)
    assert answer == b""
    assert seconds < 3 * HEAD_LIMIT_S


async def test_the_rest_of_a_body_that_was_answered_already_is_not_waited_for(port: int) -> None:
    head = b"POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx"
    answer, seconds = await until_closed(port, head, *[b"x"] * 20, pause_s=HEAD_LIMIT_S / 10)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert seconds < 4 * HEAD_LIMIT_S


async def test_a_body_has_all_the_time_that_the_application_gives_it(port: int) -> None:
    pieces = [
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\n",
        b"a",
        b"b",
        b"c",
    ]
    answer, seconds = await until_closed(port, *pieces, pause_s=HEAD_LIMIT_S)
    assert answer.endswith(b"\r\n\r\nok")
    assert seconds > 2 * HEAD_LIMIT_S


async def test_a_connection_is_kept_for_the_next_request(port: int) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    last = request.replace(b"a\r\n", b"a\r\nConnection: close\r\n")
    answer, _ = await until_closed(port, request, request + request, last, pause_s=HEAD_LIMIT_S / 2)
    assert answer.count(b"HTTP/1.1 200 OK") == 4


async def test_a_websocket_is_not_opened(port: int) -> None:
    answer, _ = await until_closed(
        port,
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("kind", "served_by"),
    [("entry_service", StrictProtocol), (None, StrictProtocol), ("service", HttpToolsProtocol)],
)
async def test_callers_are_served_by_it_and_the_service_by_its_runners_with_the_fastest_one(
    kind: Any, served_by: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvicorn, "Config", uvicorn.Config)
    monkeypatch.setattr(server_context, "service_type", kind)
    use_strict_protocol(malformed_response)
    config = uvicorn.Config(app, log_config=None)
    config.load()
    made: Any = config.http_protocol_class
    assert type(made(config, ServerState(), {})) is served_by
