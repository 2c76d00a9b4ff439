"""Pictures are fetched over real sockets, from a local server that stands in for Label Studio and for others.

Addresses of the loopback network play the parts: 127.0.0.1 is a machine that nobody allowed, 127.0.0.2 one
that the operator did, and 127.0.0.3 is Label Studio.
"""

import asyncio
import base64
import gzip
import socket
import sys
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.label_studio.client.credentials import Credentials
from adapters.label_studio.client.retry import RetryPolicy
from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.source import PictureLimits, PictureSource
from tests.conftest import Within

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has the whole 127.0.0.0/8 on its loopback interface"
)

FORBIDDEN, ALLOWED, LABEL_STUDIO = "127.0.0.1", "127.0.0.2", "127.0.0.3"
PICTURE = b"\x89PNG the bytes are not looked at here"
LEGACY = "c0ffee" * 6 + "c0ff"
PAT = "e30." + base64.urlsafe_b64encode(b'{"token_type": "refresh"}').decode().rstrip("=") + ".c2lnbmF0dXJl"
QUICK = PictureLimits(
    connect_seconds=1,
    first_byte_seconds=1,
    total_seconds=3,
    slot_seconds=3,
    retries=RetryPolicy(attempts=3, first_pause_s=0.01),
)


class Server:
    """An HTTP server that remembers what it was asked."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.requests: list[web.Request] = []

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def authorizations(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.requests]


@asynccontextmanager
async def serving(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], host: str = ALLOWED, port: int = 0
) -> AsyncIterator[Server]:
    server = Server(host, port)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        server.requests.append(request)
        return await answer(request)

    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def speaking(answer: bytes, *, then_wait: bool = False, host: str = ALLOWED) -> AsyncIterator[str]:
    """A server below HTTP: whatever is asked, these are the bytes that it sends."""

    connections: set[asyncio.StreamWriter] = set()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if then_wait:
            await reader.read()  # until the other side leaves
        writer.close()

    server = await asyncio.start_server(on_connection, host, 0)
    try:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in connections:
            connection.close()
        await asyncio.gather(*(c.wait_closed() for c in connections), return_exceptions=True)


async def picture(_: web.Request) -> web.StreamResponse:
    return web.Response(body=PICTURE)


def answering(**response: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answer everything in the same way."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(**response)

    return answer


def redirecting(*targets: str, status: int = 302) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answer the path /N with a redirect to targets[N]."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": targets[int(request.path.strip("/") or 0)]})

    return answer


def source(
    *,
    label_studio: str | None = None,
    aliases: tuple[str, ...] = (),
    token: str | None = None,
    allowed: tuple[str, ...] = (f"{ALLOWED}/32",),
    root: Path | None = None,
    limits: PictureLimits = QUICK,
    proxy: str | None = None,
    resolver: AbstractResolver | None = None,
) -> PictureSource:
    credentials = Credentials(label_studio, token) if label_studio and token else None
    return PictureSource(
        label_studio_url=label_studio,
        label_studio_aliases=aliases,
        credentials=credentials,
        allowed_hosts=allowed,
        local_files_root=root,
        limits=limits,
        proxy=proxy,
        resolver=resolver,
    )


async def fetch(uri: str, task_id: int | str | None = None, **options: object) -> bytes:
    async with source(**options) as pictures:  # type: ignore[arg-type]
        return await pictures.fetch(uri, task_id=task_id)


async def failure(uri: object, task_id: int | str | None = None, **options: object) -> PictureError:
    with pytest.raises(PictureError) as caught:
        await fetch(uri, task_id, **options)  # type: ignore[arg-type]
    assert str(caught.value).isprintable()
    assert LEGACY not in str(caught.value)
    return caught.value


class Names(AbstractResolver):
    """DNS whose answer to a name changes from one question to the next; the last one stays."""

    def __init__(self, **names: list[str]) -> None:
        self.names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        answers = self.names[host.replace(".", "_")]
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


class TestGuard:
    async def test_an_allowed_address_is_fetched_from(self) -> None:
        async with serving(picture) as server:
            assert await fetch(f"{server.url}/a.png") == PICTURE

    async def test_another_is_not_even_connected_to(self) -> None:
        async with serving(picture, FORBIDDEN) as server:
            error = await failure(f"{server.url}/a.png")
        assert error.reason == "refused"
        assert "ALLOWED_IMAGE_HOSTS" in str(error)
        assert server.requests == []

    async def test_a_name_at_a_forbidden_address_is_not_connected_to(self) -> None:
        async with serving(picture, FORBIDDEN) as server:
            error = await failure(f"http://cdn.test:{server.port}/", resolver=Names(cdn_test=[FORBIDDEN]))
        assert error.reason == "refused"
        assert server.requests == []

    async def test_the_systems_names_are_guarded_as_well(self) -> None:
        async with serving(picture, FORBIDDEN) as server:
            assert (await failure(f"http://localhost:{server.port}/")).reason == "refused"
        assert server.requests == []

    @pytest.mark.promise("no-dns-rebinding")
    async def test_rebinding_gains_nothing(self) -> None:
        """The name has an allowed address at first and a forbidden one at every later question."""
        async with (
            serving(picture, ALLOWED) as allowed,
            serving(picture, FORBIDDEN, allowed.port) as forbidden,
            source(resolver=Names(evil_test=[ALLOWED, FORBIDDEN])) as pictures,
        ):
            uri = f"http://evil.test:{allowed.port}/a.png"
            assert await pictures.fetch(uri) == PICTURE
            # The connection that stays open is the checked one; then a new one has to be made.
            assert await pictures.fetch(uri) == PICTURE
            await asyncio.gather(*(try_fetch(pictures, uri) for _ in range(8)))
        assert forbidden.requests == []
        assert len(allowed.requests) >= 2

    @pytest.mark.promise("redirects-checked")
    async def test_rebinding_between_redirects_gains_nothing(self) -> None:
        async with (
            serving(
                answering(status=302, headers={"Location": "/again", "Connection": "close"}), ALLOWED
            ) as allowed,
            serving(picture, FORBIDDEN, allowed.port) as forbidden,
        ):
            error = await failure(
                f"http://evil.test:{allowed.port}/", resolver=Names(evil_test=[ALLOWED, FORBIDDEN])
            )
        assert error.reason == "refused"
        assert len(allowed.requests) == 1
        assert forbidden.requests == []

    async def test_proxies_of_the_environment_are_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with serving(picture, FORBIDDEN) as proxy, serving(picture) as server:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            assert await fetch(f"{server.url}/a.png") == PICTURE
        assert proxy.requests == []


async def try_fetch(pictures: PictureSource, uri: str) -> bytes | PictureError:
    try:
        return await pictures.fetch(uri)
    except PictureError as error:
        return error


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_is_followed(self, status: int) -> None:
        async with serving(picture) as server, serving(redirecting(server.url, status=status)) as first:
            assert await fetch(f"{first.url}/0") == PICTURE

    async def test_a_relative_one_is_followed(self) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path == "/sub/b c.png":
                return await picture(request)
            return web.Response(status=302, headers={"Location": "../sub/b%20c.png?x=%2Fy"})

        async with serving(answer) as server:
            assert await fetch(f"{server.url}/old/a.png") == PICTURE
        assert server.requests[1].raw_path == "/sub/b%20c.png?x=%2Fy"

    @pytest.mark.promise("redirects-checked")
    async def test_three_are_followed_and_a_fourth_is_not(self) -> None:
        async with serving(picture) as last, serving(redirecting("/1", "/2", last.url)) as server:
            assert await fetch(f"{server.url}/0") == PICTURE
        async with serving(redirecting("/1", "/2", "/3", "/4")) as server:
            assert (await failure(f"{server.url}/0")).reason == "too_many_redirects"
        assert len(server.requests) == 4

    @pytest.mark.promise("redirects-checked")
    @pytest.mark.parametrize(
        ("location", "reason"),
        [
            ("http://127.0.0.1:{port}/", "refused"),
            ("//127.0.0.1:{port}/", "refused"),
            ("http://localhost:{port}/", "refused"),
            ("http://2130706433:{port}/", "bad_address"),
            ("http://[::ffff:127.0.0.1]:{port}/", "refused"),
            ("http://user@127.0.0.2:{port}/", "bad_address"),
            ("http://127.0.0.2:{port}\\@127.0.0.1:{port}/", "bad_address"),
            ("/\\127.0.0.1:{port}/", "bad_address"),
            ("file:///etc/passwd", "bad_address"),
            ("data:image/png;base64,AAAA", "bad_address"),
            ("ftp://127.0.0.2/", "bad_address"),
            ("", "too_many_redirects"),
        ],
    )
    async def test_each_is_guarded_anew(self, location: str, reason: str) -> None:
        async with (
            serving(picture, FORBIDDEN) as forbidden,
            serving(redirecting(location.format(port=forbidden.port))) as server,
        ):
            assert (await failure(f"{server.url}/0")).reason == reason
        assert forbidden.requests == []


class TestLimits:
    async def test_a_body_at_the_limit_is_read_and_one_beyond_is_not(self) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(body=bytes(int(request.path[1:])))

        limits = replace(QUICK, max_bytes=100_000)
        async with serving(answer) as server:
            assert len(await fetch(f"{server.url}/100000", limits=limits)) == 100_000
            assert (await failure(f"{server.url}/100001", limits=limits)).reason == "too_large"

    @pytest.mark.promise("fetched-bytes-counted")
    async def test_an_endless_body_without_a_length_is_cut_off(self) -> None:
        sent = 0

        async def answer(request: web.Request) -> web.StreamResponse:
            nonlocal sent
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            while True:
                await response.write(bytes(65536))
                sent += 65536

        async with serving(answer) as server:
            error = await failure(f"{server.url}/", limits=replace(QUICK, max_bytes=1_000_000))
        assert error.reason == "too_large"
        assert sent < 20_000_000  # what fits into the sockets' buffers

    @pytest.mark.promise("decoding-memory-reserved")
    @pytest.mark.parametrize("chunked", [False, True])
    async def test_large_bodies_wait_until_there_is_room_for_them(self, chunked: bool) -> None:
        large = 5 * 2**20

        async def answer(request: web.Request) -> web.StreamResponse:
            size = int(request.path[1:])
            if not chunked:
                return web.Response(body=bytes(size))
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            await response.write(bytes(size))
            return response

        limits = replace(QUICK, total_seconds=20, max_bytes=large, held_bytes=2 * large)
        async with serving(answer) as server, source(limits=limits) as pictures, AsyncExitStack() as others:
            held = [await others.enter_async_context(AsyncExitStack()) for _ in range(2)]
            for stack in held:
                assert len(await pictures.fetch(f"{server.url}/{large}", held=stack)) == large
            third = asyncio.create_task(pictures.fetch(f"{server.url}/{large}"))
            # Small ones do not wait for them.
            assert len(await pictures.fetch(f"{server.url}/1000")) == 1000
            await asyncio.sleep(0.2)
            assert not third.done()
            await held[0].aclose()
            assert len(await third) == large

    async def test_an_announced_length_beyond_the_limit_ends_it_before_the_body(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
        async with speaking(head, then_wait=True) as url:
            assert (await failure(url)).reason == "too_large"

    async def test_a_length_that_promises_too_much_is_an_error(self) -> None:
        async with speaking(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this") as url:
            assert (await failure(url)).reason == "unreachable"

    async def test_a_length_that_promises_too_little_does_not_let_more_in(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour" + bytes(10_000)
        async with speaking(answer) as url, source() as pictures:
            outcome = await try_fetch(pictures, url)
        # Whether it is noticed depends on how the bytes arrive; more than announced is never handed on.
        assert outcome == b"four" or (isinstance(outcome, PictureError) and outcome.reason == "unreachable")

    @pytest.mark.parametrize(
        "answer", [b"", b"not HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10**6]
    )
    async def test_what_is_not_http_is_an_error(self, answer: bytes) -> None:
        async with speaking(answer) as url:
            assert (await failure(url)).reason == "unreachable"

    @pytest.mark.promise("fetch-time-limits")
    async def test_a_server_that_accepts_and_stays_silent_is_given_up(self) -> None:
        async with speaking(b"", then_wait=True) as url:
            assert (await failure(url, limits=replace(QUICK, first_byte_seconds=0.2))).reason == "timeout"

    @pytest.mark.promise("fetch-time-limits")
    async def test_a_server_that_does_not_accept_is_given_up(self, within: Within) -> None:
        with socket.create_server((ALLOWED, 0), backlog=0) as full:
            port = full.getsockname()[1]
            waiting = [socket.socket() for _ in range(4)]  # nobody accepts them, so no more come in
            for one in waiting:
                one.setblocking(False)
                one.connect_ex((ALLOWED, port))
            started = time.monotonic()
            with within(0.9):
                error = await failure(f"http://{ALLOWED}:{port}/", limits=replace(QUICK, connect_seconds=0.3))
            for one in waiting:
                one.close()
        assert error.reason in {"timeout", "unreachable"}
        assert time.monotonic() - started > 0.25

    @pytest.mark.promise("fetch-time-limits")
    async def test_a_body_that_trickles_for_ever_is_given_up(self) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b".")
                await asyncio.sleep(0.05)

        async with serving(answer) as server:
            started = asyncio.get_running_loop().time()
            error = await failure(f"{server.url}/", limits=replace(QUICK, total_seconds=0.5))
            assert asyncio.get_running_loop().time() - started < 1.5
        assert error.reason == "timeout"

    @pytest.mark.promise("fetch-time-limits")
    async def test_the_total_time_counts_all_redirects(self) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(0.3)
            return web.Response(status=302, headers={"Location": "/"})

        async with serving(answer) as server:
            error = await failure(f"{server.url}/", limits=replace(QUICK, total_seconds=0.5))
        assert error.reason == "timeout"
        assert len(server.requests) == 2

    async def test_nobody_listening_is_said(self) -> None:
        with socket.socket() as unused:
            unused.bind((ALLOWED, 0))
            error = await failure(f"http://{ALLOWED}:{unused.getsockname()[1]}/")
        assert error.reason == "unreachable"
        assert "refused" in str(error).lower()

    async def test_a_slow_name_server_is_given_up(self) -> None:
        class Slow(Names):
            async def resolve(self, *_: object, **__: object) -> list[ResolveResult]:
                await asyncio.sleep(30)
                return []

        error = await failure("http://slow.test/", resolver=Slow(), limits=replace(QUICK, total_seconds=0.3))
        assert error.reason == "timeout"

    @pytest.mark.promise("downloads-per-host")
    async def test_one_host_is_asked_for_so_many_at_a_time(self) -> None:
        now = most = 0

        async def answer(_: web.Request) -> web.StreamResponse:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.02)
            now -= 1
            return web.Response(body=PICTURE)

        async with serving(answer) as server, source(limits=replace(QUICK, downloads_per_host=3)) as pictures:
            fetched = await asyncio.gather(*(pictures.fetch(f"{server.url}/{i}") for i in range(30)))
        assert fetched == [PICTURE] * 30
        assert most == 3

    @pytest.mark.promise("downloads-per-host")
    async def test_a_slow_host_leaves_the_others_their_places(self) -> None:
        limits = replace(QUICK, downloads_per_host=2, downloads=4)
        async with (
            speaking(b"", then_wait=True) as silent,
            serving(picture) as server,
            source(limits=limits) as pictures,
        ):
            waiting = [asyncio.create_task(try_fetch(pictures, silent)) for _ in range(20)]
            await asyncio.sleep(0.1)
            started = asyncio.get_running_loop().time()
            assert await pictures.fetch(server.url) == PICTURE
            assert asyncio.get_running_loop().time() - started < 0.5
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def test_waiting_for_a_place_has_an_end(self) -> None:
        limits = replace(QUICK, downloads_per_host=1, slot_seconds=0.2)
        async with speaking(b"", then_wait=True) as silent, source(limits=limits) as pictures:
            _first, second = await asyncio.gather(try_fetch(pictures, silent), try_fetch(pictures, silent))
        assert isinstance(second, PictureError)
        assert "fewer tasks" in str(second)

    async def test_cancelled_fetches_give_their_places_back(self) -> None:
        limits = replace(QUICK, downloads_per_host=2)

        async def answer(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(30 if request.path == "/slow" else 0)
            return web.Response(body=PICTURE)

        async with serving(answer) as server, source(limits=limits) as pictures:
            for _ in range(5):
                tasks = [asyncio.create_task(pictures.fetch(f"{server.url}/slow")) for _ in range(4)]
                await asyncio.sleep(0.02)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            assert await pictures.fetch(f"{server.url}/a") == PICTURE


class TestPackedBodies:
    @pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
    async def test_is_unpacked_although_it_was_not_asked_for(
        self, encoding: str, pack: Callable[[bytes], bytes]
    ) -> None:
        async with serving(answering(body=pack(PICTURE), headers={"Content-Encoding": encoding})) as server:
            assert await fetch(server.url) == PICTURE
        assert server.requests[0].headers["Accept-Encoding"] == "identity"

    @pytest.mark.promise("fetched-bytes-counted")
    async def test_a_bomb_is_stopped_at_the_limit(self) -> None:
        bomb = gzip.compress(bytes(200_000_000), 9)  # 200 kB

        async with serving(answering(body=bomb, headers={"Content-Encoding": "gzip"})) as server:
            tracemalloc.start()
            try:
                error = await failure(server.url, limits=replace(QUICK, max_bytes=1_000_000))
                assert tracemalloc.get_traced_memory()[1] < 10_000_000
            finally:
                tracemalloc.stop()
        assert error.reason == "too_large"

    @pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 1000])
    async def test_other_packings_are_refused(self, encoding: str) -> None:
        async with serving(answering(body=PICTURE, headers={"Content-Encoding": encoding})) as server:
            assert (await failure(server.url)).reason == "server_error"

    @pytest.mark.parametrize(
        ("body", "reason"),
        [(gzip.compress(PICTURE)[:-9], "unreachable"), (b"not packed", "server_error")],
        ids=["cut off", "not packed"],
    )
    async def test_a_damaged_packing_is_an_error(self, body: bytes, reason: str) -> None:
        async with serving(answering(body=body, headers={"Content-Encoding": "gzip"})) as server:
            assert (await failure(server.url)).reason == reason


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            (204, "server_error"),
            (304, "server_error"),
            (400, "server_error"),
            (401, "unauthorized"),
            (403, "unauthorized"),
            (404, "not_found"),
            (410, "not_found"),
            (429, "rate_limited"),
            (500, "server_error"),
            (503, "server_error"),
        ],
    )
    async def test_has_its_reason(self, status: int, reason: str) -> None:
        async with serving(answering(status=status)) as server:
            error = await failure(f"{server.url}/a.png?signature=secret")
        assert error.reason == reason
        assert "/a.png" in str(error)
        assert "secret" not in str(error)

    @pytest.mark.parametrize(
        ("path", "gone"), [("/data/upload/1/a.png", True), ("/data/local-files/?d=a.png", False)]
    )
    async def test_500_for_an_upload_is_explained_as_label_studio_means_it(
        self, path: str, gone: bool
    ) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            return web.json_response({"detail": "'NoneType' object has no attribute…"}, status=500)

        async with serving(answer, LABEL_STUDIO) as server:
            error = await failure(path, label_studio=server.url, token=LEGACY)
        assert error.reason == "server_error"
        assert ("Upload the picture again" in str(error)) == gone


def label_studio(token: str = LEGACY) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answers pictures to a legacy token, and redirects /presign to where its query says."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Token {token}":
            return web.json_response({"detail": "Authentication credentials were not provided."}, status=401)
        if "/presign/" in request.path:
            target = base64.urlsafe_b64decode(request.query["fileuri"]).decode().removeprefix("s3://")
            return web.Response(status=303, headers={"Location": f"http://{target}"})
        return web.Response(body=PICTURE)

    return answer


class TestLabelStudio:
    @pytest.mark.parametrize(
        ("value", "asked"),
        [
            ("/data/upload/1/a.png", "/data/upload/1/a.png"),
            ("/data/upload/1/my%20photo.png", "/data/upload/1/my%20photo.png"),
            ("/data/upload/1/my photo ü.png", "/data/upload/1/my%20photo%20%C3%BC.png"),
            ("/data/upload/1/100%.png", "/data/upload/1/100%25.png"),
            ("/data/upload/1/a+b&c=d.png", "/data/upload/1/a+b&c=d.png"),
            ("  /data/upload/1/a.png\n", "/data/upload/1/a.png"),
            ("/data/local-files/?d=set%2Fb%20c.png", "/data/local-files/?d=set%2Fb%20c.png"),
            ("/tasks/7/resolve/?fileuri=YWJj", "/tasks/7/resolve/?fileuri=YWJj"),
            (
                "/storage-data/uploaded/?filepath=upload/1/a.png",
                "/storage-data/uploaded/?filepath=upload/1/a.png",
            ),
        ],
    )
    async def test_its_paths_are_asked_there_with_the_token(self, value: str, asked: str) -> None:
        async with serving(label_studio(), LABEL_STUDIO) as server:
            assert await fetch(value, label_studio=server.url, token=LEGACY) == PICTURE
        assert server.requests[0].raw_path == asked

    async def test_the_separators_of_windows_are_tried_with_slashes(self) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(status=404) if "\\" in request.query["d"] else await label_studio()(request)

        async with serving(answer, LABEL_STUDIO) as server:
            value = "/data/local-files/?d=set%5cdir%5Cimg%20a.png"
            assert await fetch(value, label_studio=f"{server.url}/ls", token=LEGACY) == PICTURE
        assert [request.raw_path for request in server.requests] == [
            "/ls/data/local-files/?d=set%5cdir%5Cimg%20a.png",
            "/ls/data/local-files/?d=set/dir/img%20a.png",
        ]

    async def test_its_absolute_addresses_are_its_own_too(self) -> None:
        async with serving(label_studio(), LABEL_STUDIO) as server:
            assert await fetch(
                f"{server.url}/data/upload/1/a.png", label_studio=server.url + "/", token=LEGACY
            )

    @pytest.mark.parametrize("value", ["/data/upload/1/a.png", "/ls/data/upload/1/a.png"])
    async def test_it_may_be_installed_below_a_path(self, value: str) -> None:
        async with serving(label_studio(), LABEL_STUDIO) as server:
            assert await fetch(value, label_studio=f"{server.url}/ls/", token=LEGACY) == PICTURE
        assert server.requests[0].raw_path == "/ls/data/upload/1/a.png"

    async def test_without_an_address_of_label_studio_its_paths_say_what_is_missing(self) -> None:
        error = await failure("/data/upload/1/a.png")
        assert error.reason == "bad_address"
        assert "LABEL_STUDIO_URL" in str(error)

    async def test_without_a_token_the_refusal_says_what_is_missing(self) -> None:
        async with serving(label_studio(), LABEL_STUDIO) as server:
            error = await failure("/data/upload/1/a.png", label_studio=server.url)
        assert error.reason == "unauthorized"
        assert "LABEL_STUDIO_API_TOKEN" in str(error)

    async def test_a_refused_legacy_token_is_explained(self) -> None:
        async with serving(label_studio("another"), LABEL_STUDIO) as server:
            error = await failure("/data/upload/1/a.png", label_studio=server.url, token=LEGACY)
        assert error.reason == "unauthorized"
        assert "legacy token" in str(error)
        assert "Personal Access Token" in str(error)

    async def test_a_redirect_to_the_login_page_is_a_refusal(self) -> None:
        async with serving(
            answering(status=302, headers={"Location": "/user/login/?next=/data/upload/1/a.png"}),
            LABEL_STUDIO,
        ) as server:
            assert (await failure("/data/upload/1/a.png", label_studio=server.url)).reason == "unauthorized"
        assert len(server.requests) == 1

    async def test_a_move_to_another_port_is_explained(self) -> None:
        async with serving(label_studio(), LABEL_STUDIO) as moved:

            async def answer(request: web.Request) -> web.StreamResponse:
                return web.Response(status=301, headers={"Location": moved.url + request.path})

            async with serving(answer, LABEL_STUDIO) as server:
                error = await failure("/data/upload/1/a.png", label_studio=server.url, token=LEGACY)
        assert error.reason == "unauthorized"
        assert f"redirects to {moved.url}" in str(error)
        assert moved.requests == []


class Exchange:
    """A Label Studio with personal access tokens; ``valid`` is the number of the one access token it knows."""

    def __init__(self) -> None:
        self.valid = 0
        self.exchanges = 0
        self.refuses = False

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/ls/api/token/refresh/":
            self.exchanges += 1
            if self.refuses:
                return web.json_response({"detail": "Token is blacklisted"}, status=401)
            self.valid = self.exchanges
            return web.json_response({"access": f"access-{self.valid}"})
        if request.headers.get("Authorization") != f"Bearer access-{self.valid}":
            return web.json_response({"detail": "Given token not valid"}, status=401)
        return web.Response(body=PICTURE)


class TestPersonalAccessToken:
    async def test_many_pictures_need_one_exchange(self) -> None:
        exchange = Exchange()
        async with (
            serving(exchange, LABEL_STUDIO) as server,
            source(label_studio=f"{server.url}/ls", token=PAT) as pictures,
        ):
            fetched = await asyncio.gather(*(pictures.fetch("/data/upload/1/a.png") for _ in range(20)))
        assert fetched == [PICTURE] * 20
        assert exchange.exchanges == 1

    async def test_a_token_that_label_studio_forgot_is_renewed_unnoticed(self) -> None:
        exchange = Exchange()
        async with (
            serving(exchange, LABEL_STUDIO) as server,
            source(label_studio=f"{server.url}/ls", token=PAT) as pictures,
        ):
            await pictures.fetch("/data/upload/1/a.png")
            exchange.valid = -1
            fetched = await asyncio.gather(*(pictures.fetch("/data/upload/1/a.png") for _ in range(8)))
        assert fetched == [PICTURE] * 8
        assert exchange.exchanges == 2

    async def test_one_that_is_refused_is_explained_and_not_tried_for_ever(self) -> None:
        exchange = Exchange()
        exchange.refuses = True
        async with serving(exchange, LABEL_STUDIO) as server:
            error = await failure("/data/upload/1/a.png", label_studio=f"{server.url}/ls", token=PAT)
        assert error.reason == "unauthorized"
        assert "personal access token (Token is blacklisted)" in str(error)
        assert PAT not in str(error)
        assert len(server.requests) == 1

    async def test_a_picture_refused_to_a_fresh_token_is_an_error(self) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path == "/api/token/refresh/":
                return web.json_response({"access": "access"})
            return web.Response(status=int(request.path.rpartition("/")[2]))

        async with serving(answer, LABEL_STUDIO) as server:
            for status, words in [(401, "expired"), (403, "access to the project")]:
                error = await failure(f"/data/upload/1/{status}", label_studio=server.url, token=PAT)
                assert error.reason == "unauthorized"
                assert words in str(error)

    async def test_label_studio_being_down_is_said(self) -> None:
        error = await failure("/data/upload/1/a.png", label_studio=f"http://{LABEL_STUDIO}:1", token=PAT)
        assert error.reason == "unreachable"
        assert "LABEL_STUDIO_URL" in str(error)


class TestCloudStorage:
    @pytest.mark.promise("token-stays-with-label-studio")
    async def test_goes_through_presign_and_leaves_the_token_there(self) -> None:
        async with serving(picture) as bucket, serving(label_studio(), LABEL_STUDIO) as server:
            uri = f"s3://{ALLOWED}:{bucket.port}/folder/a b.png"
            assert await fetch(uri, 7, label_studio=server.url, token=LEGACY) == PICTURE
        encoded = base64.urlsafe_b64encode(uri.encode()).decode()
        assert server.requests[0].path_qs == f"/tasks/7/presign/?fileuri={encoded}"
        assert server.authorizations == [f"Token {LEGACY}"]
        assert bucket.authorizations == [None]

    @pytest.mark.parametrize("scheme", ["s3", "gs", "azure-blob", "S3"])
    async def test_all_schemes_are_handed_to_label_studio(self, scheme: str) -> None:
        async with serving(picture, LABEL_STUDIO) as server:
            assert await fetch(f"{scheme}://bucket/a.png", "12", label_studio=server.url) == PICTURE
        assert server.requests[0].path == "/tasks/12/presign/"

    async def test_a_bucket_at_a_forbidden_address_is_refused(self) -> None:
        async with serving(picture, FORBIDDEN) as bucket, serving(label_studio(), LABEL_STUDIO) as server:
            uri = f"s3://{FORBIDDEN}:{bucket.port}/a.png"
            assert (await failure(uri, 7, label_studio=server.url, token=LEGACY)).reason == "refused"
        assert bucket.requests == []

    @pytest.mark.parametrize("task_id", [None, "", "../api/users", "1/../2", "٣", "-1"])
    async def test_needs_the_tasks_id(self, task_id: str | None) -> None:
        error = await failure("s3://bucket/a.png", task_id, label_studio="http://127.0.0.3:1")
        assert error.reason == "bad_address"
        assert "id" in str(error)

    async def test_needs_a_label_studio(self) -> None:
        assert "LABEL_STUDIO_URL" in str(await failure("gs://bucket/a.png", 7))


class TestCredentialsStay:
    @pytest.mark.promise("token-stays-with-label-studio")
    async def test_other_hosts_get_none(self) -> None:
        async with serving(picture) as other, serving(picture, LABEL_STUDIO) as server:
            await fetch(f"{other.url}/data/upload/a.png", label_studio=server.url, token=LEGACY)
        assert other.authorizations == [None]

    @pytest.mark.promise("token-stays-with-label-studio")
    async def test_another_port_of_the_same_host_gets_none(self) -> None:
        async with serving(picture, LABEL_STUDIO) as other, serving(picture, LABEL_STUDIO) as server:
            allowed = (f"{LABEL_STUDIO}/32",)
            await fetch(f"{other.url}/data/a.png", label_studio=server.url, token=LEGACY, allowed=allowed)
        assert other.authorizations == [None]

    @pytest.mark.promise("token-stays-with-label-studio")
    @pytest.mark.parametrize(
        "path",
        [
            "/api/users/",
            "/logout/",
            "/data/../api/users/",
            "/data/%2e%2e/api/users/",
            "/data/..%2fapi/users/",
            "/api/projects/?x=/data/upload/a.png",
            "/other/data/upload/a.png",
            "/tasks/7/other/",
            "/dataset/a.png",
        ],
    )
    async def test_a_task_cannot_use_them_on_the_rest_of_label_studio(self, path: str) -> None:
        async with serving(picture, LABEL_STUDIO) as server:
            await fetch(path, label_studio=server.url, token=LEGACY)
            await fetch(server.url + path, label_studio=server.url, token=LEGACY)
        assert server.authorizations == [None, None]

    async def test_outside_the_path_of_label_studio_there_are_none(self) -> None:
        async with serving(picture, LABEL_STUDIO) as server:
            site = f"{server.url}/ls"
            await fetch(f"{server.url}/data/a.png", label_studio=site, token=LEGACY)
            await fetch(f"{server.url}/ls/%2e%2e/data/a.png", label_studio=site, token=LEGACY)
            await fetch("/ls/../data/a.png", label_studio=site, token=LEGACY)
        assert server.authorizations == [None, None, None]

    async def test_cookies_are_not_kept(self) -> None:
        async with (
            serving(answering(body=PICTURE, headers={"Set-Cookie": "session=1; Path=/"})) as server,
            source() as pictures,
        ):
            await pictures.fetch(server.url)
            await pictures.fetch(server.url)
        assert "Cookie" not in server.requests[1].headers


class TestOtherForms:
    async def test_a_data_uri_needs_no_network(self) -> None:
        uri = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
        assert await fetch(uri) == PICTURE

    async def test_a_local_file_is_read_from_its_folder(self, tmp_path: Path) -> None:
        (tmp_path / "my set").mkdir()
        (tmp_path / "my set" / "a+b ü.png").write_bytes(PICTURE)
        value = "/data/local-files/?d=" + quote("my set/a+b ü.png")
        assert await fetch(value, label_studio="http://127.0.0.3:1", root=tmp_path) == PICTURE
        assert (
            await fetch("http://127.0.0.3:1" + value, label_studio="http://127.0.0.3:1", root=tmp_path)
            == PICTURE
        )
        below = "http://127.0.0.3:1/ls"
        assert await fetch("/ls" + value, label_studio=below, root=tmp_path) == PICTURE

    @pytest.mark.parametrize(
        "name", ["../secret", "%2e%2e/secret", "..%2fsecret", "a/../../secret", "..%5c..%2fsecret"]
    )
    async def test_a_local_file_outside_its_folder_is_not(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "secret").write_bytes(b"secret")
        root = tmp_path / "root"
        root.mkdir()
        error = await failure(f"/data/local-files/?d={name}", label_studio="http://127.0.0.3:1", root=root)
        assert error.reason in {"refused", "not_found"}

    @pytest.mark.parametrize("value", [None, "", "   ", 7, [], {"url": "x"}, True])
    async def test_no_picture_is_said(self, value: object) -> None:
        assert (await failure(value)).reason == "no_picture"

    @pytest.mark.parametrize(
        "value", ["a.png", "upload/1/a.png", "image.png?x=http://127.0.0.2/", "ü", "s3:/a"]
    )
    async def test_a_text_that_is_no_address_is_said(self, value: str) -> None:
        error = await failure(value)
        assert error.reason == "bad_address"
        assert "/data/upload/" in str(error)

    async def test_an_endless_address_is_refused(self) -> None:
        error = await failure(f"http://{ALLOWED}/" + "a" * 20_000)
        assert error.reason == "bad_address"
        assert len(str(error)) < 500

    async def test_a_presigned_address_arrives_byte_for_byte(self) -> None:
        path = "/a%7Eb/c%2Fd.png?X-Amz-Signature=a%2Bb%3D%3D&X-Amz-Date=1~2&empty=&plus=a+b"
        async with serving(picture) as server:
            await fetch(server.url + path)
        assert server.requests[0].raw_path == path


def test_a_wrong_address_of_label_studio_stops_the_start() -> None:
    with pytest.raises(ValueError, match="LABEL_STUDIO_URL"):
        source(label_studio="label-studio:8080")


async def test_outside_of_its_block_it_does_not_work() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await source().fetch(f"http://{ALLOWED}/")
