"""Transfers that end early are continued, over real sockets; the servers' troubles pass or stay."""

import asyncio
import gzip
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from adapters.label_studio.client.retry import RetryPolicy
from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.source import PictureSource
from adapters.pictures.limits import PictureLimits
from tests.unit.adapters.pictures.fetching.test_source import (
    ALLOWED,
    LABEL_STUDIO,
    LEGACY,
    failure,
    fetch,
    serving,
    source,
    speaking,
    try_fetch,
)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has the whole 127.0.0.0/8 on its loopback interface"
)

FILE = bytes(range(256)) * 40  # 10,240 bytes
PATIENT = PictureLimits(total_seconds=30, retries=RetryPolicy(attempts=3, first_pause_s=0.01))


@dataclass
class FileServer:
    """Serves FILE with ranges, a few bytes a response.

    Attributes:
        part: The most bytes of one response.
        cut: Break the connection after these bytes instead of announcing them.
        ranges: Whether Range is understood.
        etag: Of the file.
        troubles: Answers before all others.
        length: Whether the length of the file is announced.
        asked: The Range and If-Range of each request.
    """

    part: int = 4096
    cut: bool = False
    ranges: bool = True
    etag: str | None = '"one"'
    file: bytes = FILE
    length: bool = True
    troubles: deque[web.Response] = field(default_factory=deque)
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.headers.get("Range"), request.headers.get("If-Range")))
        if self.troubles:
            return self.troubles.popleft()
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "") if self.ranges else "")
        if wanted and request.headers.get("If-Range", self.etag) != self.etag:
            wanted = None
        begin = int(wanted[1]) if wanted else 0
        if begin >= len(self.file):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(self.file)}"})
        content = self.file[begin : begin + self.part]
        headers = {"ETag": self.etag} if self.etag else {}
        if wanted:
            size = len(self.file) if self.length else "*"
            last = len(self.file) - 1 if self.cut else begin + len(content) - 1
            headers["Content-Range"] = f"bytes {begin}-{last}/{size}"
        response = web.StreamResponse(status=206 if wanted else 200, headers=headers)
        if self.cut:
            response.content_length = len(self.file) - begin
        elif wanted:
            response.content_length = len(content)
        else:
            response.content_length = len(self.file)
        await response.prepare(request)
        await response.write(content)
        if response.content_length != len(content):
            assert request.transport is not None
            request.transport.close()
        return response


@asynccontextmanager
async def fetching(server: FileServer, **limits: object) -> AsyncIterator[tuple[str, PictureSource]]:
    async with (
        serving(server) as web_server,
        source(limits=replace(PATIENT, **limits)) as pictures,
    ):
        yield web_server.url, pictures


class TestResuming:
    @pytest.mark.promise("interrupted-transfers-resumed")
    @pytest.mark.parametrize("cut", [True, False], ids=["cut off", "in parts"])
    async def test_a_file_that_comes_in_parts_is_put_together(self, cut: bool) -> None:
        server = FileServer(cut=cut)
        async with fetching(server) as (url, pictures):
            assert await pictures.fetch(url) == FILE
        assert server.asked == [(None, None), ("bytes=4096-", '"one"'), ("bytes=8192-", '"one"')]

    @pytest.mark.promise("interrupted-transfers-resumed")
    async def test_parts_do_not_count_as_failed_attempts(self) -> None:
        server = FileServer(part=512)
        async with fetching(server) as (url, pictures):
            assert await pictures.fetch(url) == FILE
        assert len(server.asked) == 20

    @pytest.mark.promise("interrupted-transfers-resumed")
    async def test_a_part_that_nobody_asked_for_is_not_the_whole(self) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
            part = FILE[begin : begin + 6000]
            span = f"bytes {begin}-{begin + len(part) - 1}/{len(FILE)}"
            return web.Response(status=206, body=part, headers={"Content-Range": span})

        async with serving(answer) as server:
            assert await fetch(server.url) == FILE

    async def test_a_part_of_a_file_of_unknown_length_is_not_the_whole(self) -> None:
        async with fetching(FileServer(cut=True, length=False)) as (url, pictures):
            assert await pictures.fetch(url) == FILE

    async def test_a_file_without_a_validator_is_resumed(self) -> None:
        server = FileServer(etag=None)
        async with fetching(server) as (url, pictures):
            assert await pictures.fetch(url) == FILE
        assert server.asked[1] == ("bytes=4096-", None)

    async def test_a_file_that_changes_meanwhile_is_fetched_from_its_beginning(self) -> None:
        server = FileServer()
        async with fetching(server) as (url, pictures):

            class Changing(deque[web.Response]):
                """Exchange the file before the second request."""

                def __bool__(self) -> bool:
                    if len(server.asked) == 2:
                        server.etag, server.file = '"two"', FILE[::-1]
                    return False

            server.troubles = Changing()
            assert await pictures.fetch(url) == FILE[::-1]

    @pytest.mark.promise("interrupted-transfers-resumed")
    async def test_a_server_without_ranges_is_asked_again_and_then_given_up(self) -> None:
        server = FileServer(ranges=False)
        async with fetching(server) as (url, pictures):
            outcome = await try_fetch(pictures, url)
        assert isinstance(outcome, PictureError)
        assert outcome.reason == "unreachable"  # not lasting: a frame would be left out for good
        assert "after 4096 of 10240 bytes" in str(outcome)
        assert len(server.asked) == 1 + PATIENT.retries.attempts

    @pytest.mark.promise("interrupted-transfers-resumed")
    @pytest.mark.parametrize("broken", [b"4\r\nfour\r\n", b"4\r\nfo"])
    async def test_chunks_without_the_last_one_are_incomplete(self, broken: bytes) -> None:
        async with speaking(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + broken) as url:
            assert (await failure(url)).reason == "unreachable"

    async def test_a_packed_body_is_fetched_from_its_beginning(self) -> None:
        packed = gzip.compress(FILE)
        asked: list[str | None] = []

        async def answer(request: web.Request) -> web.StreamResponse:
            asked.append(request.headers.get("Range"))
            response = web.StreamResponse(headers={"Content-Encoding": "gzip", "ETag": '"one"'})
            response.content_length = len(packed)
            await response.prepare(request)
            await response.write(packed if len(asked) > 1 else packed[:100])
            if len(asked) == 1:
                assert request.transport is not None
                request.transport.close()
            return response

        async with serving(answer) as server:
            assert await fetch(server.url) == FILE
        assert asked == [None, None]


class TestUnmarkedEnds:
    """A response without length and chunks ends with its connection."""

    @pytest.mark.promise("interrupted-transfers-resumed")
    async def test_two_equal_ends_are_the_end(self) -> None:
        async with unmarked([FILE]) as (url, asked):
            assert await fetch(url) == FILE
        assert len(asked) == 2

    async def test_a_rest_that_does_not_exist_is_the_end(self) -> None:
        async with unmarked([FILE, b""], statuses=[200, 416]) as (url, asked):
            assert await fetch(url) == FILE
        assert b"Range: bytes=10240-" in asked[1]

    @pytest.mark.promise("interrupted-transfers-resumed")
    async def test_a_body_that_ends_early_once_is_completed(self) -> None:
        async with unmarked([FILE[:5000], FILE, FILE]) as (url, asked):
            assert await fetch(url) == FILE
        assert len(asked) == 3

    async def test_a_body_that_always_ends_elsewhere_fails_for_now(self) -> None:
        async with unmarked([FILE[:end] for end in (5000, 4000, 3000, 2000)]) as (url, _):
            error = await failure(url)
        assert error.reason == "unreachable"
        assert "different bytes" in str(error)


@asynccontextmanager
async def unmarked(
    bodies: list[bytes], statuses: Sequence[int] = (200,)
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server of HTTP/1.0 without lengths; each request gets the next body and status, or the last one."""
    asked: list[bytes] = []

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        turn = len(asked) - 1
        status, body = statuses[min(turn, len(statuses) - 1)], bodies[min(turn, len(bodies) - 1)]
        writer.write(f"HTTP/1.0 {status} Status\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(on_connection, ALLOWED, 0)
    async with server:
        yield f"http://{ALLOWED}:{server.sockets[0].getsockname()[1]}", asked


class TestLimits:
    @pytest.mark.promise("fetched-bytes-counted")
    async def test_the_size_is_counted_over_all_parts(self) -> None:
        server = FileServer(length=False, cut=True)
        async with fetching(server, max_bytes=9000) as (url, pictures):
            outcome = await try_fetch(pictures, url)
        assert isinstance(outcome, PictureError)
        assert outcome.reason == "too_large"

    @pytest.mark.promise("fetch-time-limits")
    async def test_crumbs_are_given_up(self) -> None:
        server = FileServer(part=1)
        async with fetching(server, max_requests=20) as (url, pictures):
            outcome = await try_fetch(pictures, url)
        assert isinstance(outcome, PictureError)
        assert outcome.reason == "unreachable"
        assert len(server.asked) == 20

    @pytest.mark.parametrize(
        "span", ["bytes 0-99/100", "bytes 9000-9999/10240", "bytes x", "", "bytes 4096-4999/99999"]
    )
    async def test_another_part_than_requested_is_not_appended(self, span: str) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            if "Range" in request.headers:
                return web.Response(status=206, body=bytes(100), headers={"Content-Range": span})
            return await server(request)

        server = FileServer()
        async with serving(answer) as web_server:
            assert (await failure(web_server.url)).reason == "unreachable"

    async def test_a_part_longer_than_the_file_is_not_accepted(self) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            if "Range" in request.headers:
                span = {"Content-Range": f"bytes 4096-10239/{len(FILE)}"}
                return web.Response(status=206, body=bytes(9000), headers=span)
            return await server(request)

        server = FileServer()
        async with serving(answer) as web_server:
            assert (await failure(web_server.url)).reason == "unreachable"


class TestBusyServers:
    @staticmethod
    def busy(status: int = 429, retry_after: str | None = None) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": retry_after} if retry_after else {})

    @pytest.mark.promise("rate-limits-waited-for")
    @pytest.mark.parametrize(("status", "form"), [(429, "seconds"), (503, "date"), (429, None), (503, None)])
    async def test_is_asked_again_when_it_says(self, status: int, form: str | None) -> None:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
        retry_after = {"seconds": "1", "date": date, None: None}[form]
        server = FileServer(part=len(FILE), troubles=deque([self.busy(status, retry_after)]))
        async with fetching(server) as (url, pictures):
            assert await pictures.fetch(url) == FILE
        assert len(server.asked) == 2

    async def test_the_pause_keeps_what_was_received(self) -> None:
        server = FileServer()

        async def answer(request: web.Request) -> web.StreamResponse:
            if len(server.asked) == 1:
                server.troubles.append(self.busy())
            return await server(request)

        async with serving(answer) as web_server:
            assert await fetch(web_server.url, limits=PATIENT) == FILE
        assert [part for part, _ in server.asked] == [None, "bytes=4096-", "bytes=4096-", "bytes=8192-"]

    async def test_a_pause_beyond_the_time_is_not_waited_for(self) -> None:
        server = FileServer(troubles=deque([self.busy(retry_after="3600")]))
        async with fetching(server) as (url, pictures):
            outcome = await try_fetch(pictures, url)
        assert isinstance(outcome, PictureError)
        assert outcome.reason == "rate_limited"
        assert "rate limited (429). Retry after 3600 s" in str(outcome)
        assert len(server.asked) == 1

    @pytest.mark.promise("rate-limits-waited-for")
    async def test_one_that_stays_busy_is_given_up(self) -> None:
        server = FileServer(troubles=deque(self.busy() for _ in range(9)))
        async with fetching(server) as (url, pictures):
            outcome = await try_fetch(pictures, url)
        assert isinstance(outcome, PictureError)
        assert outcome.reason == "rate_limited"
        assert len(server.asked) == PATIENT.retries.attempts

    async def test_label_studio_may_be_the_busy_one(self) -> None:
        server = FileServer(part=len(FILE), troubles=deque([self.busy(503)]))
        async with serving(server, LABEL_STUDIO) as web_server:
            fetched = await fetch("/data/upload/1/a.png", label_studio=web_server.url, token=LEGACY)
        assert fetched == FILE
        assert [request.headers["Authorization"] for request in web_server.requests] == 2 * [
            f"Token {LEGACY}"
        ]
