"""Certificates of a private authority are trusted everywhere or named; proxies are those of the variables."""

import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from adapters.connections import environment_proxy, open_session, read_proxy
from adapters.label_studio.client.api import LabelStudioApi, LabelStudioApiError
from adapters.label_studio.client.connection import ConnectionFailedError, check_connection
from adapters.label_studio.client.credentials import Credentials
from adapters.label_studio.client.retry import RetryPolicy
from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.source import PictureSource
from adapters.pictures.limits import PictureLimits
from adapters.preannotation.outcome import RunEndedError
from adapters.preannotation.running_backend import RunningBackend
from adapters.settings import SettingsError, load_settings
from runners.web_identity import bundle_with_public_authorities, tls_context, user_agent
from tests.support.certificate import self_signed

TOKEN = "c0ffee" * 6 + "c0ff"
PAT = "e30.eyJ0b2tlbl90eXBlIjogInJlZnJlc2gifQ.c2lnbmF0dXJl"
ONCE = RetryPolicy(attempts=1)


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    if request.path == "/versions":
        return web.json_response({"versions": ["rtmlib-embedded-01234567"]})
    if request.path == "/data/upload/1/a.png":
        return web.Response(body=request.headers["User-Agent"].encode())
    if request.path == "/api/token/refresh/":
        return web.json_response({"access": "access"})
    return web.json_response({"id": 1, "email": request.headers["User-Agent"]})


@asynccontextmanager
async def serving(
    context: ssl.SSLContext | None = None,
    answering: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] = answer,
) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(answering), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        scheme = "http" if context is None else "https"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def fetch_picture(url: str) -> str:
    async with PictureSource(
        label_studio_url=url,
        credentials=Credentials(url, PAT),
        allowed_hosts=(),
        local_files_root=None,
        limits=PictureLimits(),
    ) as pictures:
        return (await pictures.fetch("/data/upload/1/a.png")).decode()


async def read_project(url: str) -> str:
    async with LabelStudioApi(url, Credentials(url, TOKEN), retries=ONCE) as api:
        return str((await api.project(1)).id)


async def check(url: str) -> str:
    return await check_connection(url, Credentials(url, TOKEN))


async def use_backend(url: str) -> str:
    async with RunningBackend(url, retries=ONCE) as backend:
        return backend.model_version


CLIENTS: list[tuple[Callable[[str], Awaitable[str]], type[Exception]]] = [
    (fetch_picture, PictureError),
    (read_project, LabelStudioApiError),
    (check, ConnectionFailedError),
    (use_backend, RunEndedError),
]


@pytest.mark.parametrize(("client", "error"), CLIENTS, ids=lambda one: one.__name__)
async def test_a_private_authority_is_trusted_or_named(
    client: Callable[[str], Awaitable[str]],
    error: type[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificate, context = self_signed(tmp_path, "127.0.0.1")
    async with serving(context) as url:
        with pytest.raises(error, match=r"has no trusted certificate .*set SSL_CERT_FILE to its PEM file"):
            await client(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await client(url)


@pytest.mark.parametrize(("client", "error"), CLIENTS, ids=lambda one: one.__name__)
async def test_a_server_without_tls_is_named(
    client: Callable[[str], Awaitable[str]], error: type[Exception]
) -> None:
    async with serving() as url:
        with pytest.raises(error, match=r"does not speak TLS as expected .*Check https:// and the port"):
            await client(url.replace("http://", "https://"))


def test_the_public_authorities_stay_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public = tls_context().cert_store_stats()["x509_ca"]
    certificate, _ = self_signed(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert public > 50
    assert tls_context().cert_store_stats()["x509_ca"] > 50


def test_pip_gets_both_in_one_file(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path, "127.0.0.1")
    bundle_with_public_authorities(certificate, tmp_path / "bundle.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tmp_path / "bundle.pem")
    assert context.cert_store_stats()["x509"] > 50
    assert certificate.read_text() in (tmp_path / "bundle.pem").read_text()


def test_a_file_without_certificates_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for path in ("empty.pem", "missing.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / path))
        with pytest.raises(SettingsError, match="SSL_CERT_FILE"):
            load_settings()


async def test_servers_learn_who_asks_and_whom_to_write_to() -> None:
    assert user_agent().startswith("rtmlib-ml-backend/")
    assert "(+https://" in user_agent()
    async with serving() as url:
        assert await fetch_picture(url) == user_agent()
        assert user_agent() in await check(url)


class TestProxies:
    @pytest.fixture(autouse=True)
    def no_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)

    @pytest.mark.parametrize(
        ("address", "proxy"),
        [
            ("http://label-studio:8080", "http://plain:3128"),
            ("https://label-studio.test", "http://secure:3128"),
            ("http://inside.test", None),
            ("http://127.0.0.1:8080", None),
        ],
    )
    def test_are_those_of_the_variables(
        self, address: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://plain:3128")
        monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@secure:3128/")
        monkeypatch.setenv("NO_PROXY", "inside.test,127.0.0.1")
        found = environment_proxy(address)
        assert (str(found) if found else None) == proxy

    async def test_passwords_are_for_the_proxy_only(self) -> None:
        seen: list[str | None] = []

        async def proxied(request: web.BaseRequest) -> web.StreamResponse:
            seen.append(request.headers.get("Proxy-Authorization"))
            return await answer(request)

        async with serving(answering=proxied) as url:
            proxy = read_proxy("HTTP_PROXY", url.replace("http://", "http://us%40er:secret@"))
            timeout = aiohttp.ClientTimeout(total=10)
            async with open_session(proxy, timeout) as session, session.get("http://ls.test/versions"):
                pass
        assert seen == [f"Basic {base64.b64encode(b'us@er:secret').decode()}"]
        assert "secret" not in f"{proxy} {proxy!r}"

    @pytest.mark.parametrize("text", ["socks5://user:secret@proxy:1080", "http://", "http://x:99999"])
    def test_others_are_refused_without_their_password(self, text: str) -> None:
        with pytest.raises(ValueError, match="IMAGE_PROXY is not the address of an HTTP proxy") as refused:
            read_proxy("IMAGE_PROXY", text)
        assert "secret" not in str(refused.value)

    def test_a_wrong_one_for_label_studio_stops_the_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy:1080")
        monkeypatch.setenv("LABEL_STUDIO_URL", "https://label-studio.test")
        with pytest.raises(SettingsError, match="HTTPS_PROXY is not the address of an HTTP proxy"):
            load_settings()

    @pytest.mark.promise("no-secret-shown")
    @pytest.mark.parametrize(("client", "error"), CLIENTS, ids=lambda one: one.__name__)
    async def test_one_that_refuses_is_named_without_its_password(
        self,
        client: Callable[[str], Awaitable[str]],
        error: type[Exception],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def refusing(_: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=407)

        async with serving(answering=refusing) as url:
            monkeypatch.setenv("HTTPS_PROXY", url.replace("http://", "http://user:secret@"))
            with pytest.raises(error, match="through the proxy, which returns 407") as refused:
                await client("https://label-studio.test")
        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize(("client", "error"), CLIENTS, ids=lambda one: one.__name__)
    async def test_one_that_is_away_is_named(
        self,
        client: Callable[[str], Awaitable[str]],
        error: type[Exception],
        monkeypatch: pytest.MonkeyPatch,
        unused_tcp_port: int,
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{unused_tcp_port}")
        with pytest.raises(error, match=f"behind the proxy 127.0.0.1:{unused_tcp_port}, which is"):
            await client("https://label-studio.test")

    async def test_requests_go_through_it(self) -> None:
        async with (
            serving() as proxy,
            open_session(read_proxy("HTTP_PROXY", proxy), aiohttp.ClientTimeout(total=10)) as session,
            session.get("http://label-studio.test/versions") as response,
        ):
            assert response.status == 200

    async def test_label_studio_is_asked_through_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with serving() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy)
            site = "http://label-studio.test"
            assert "through the proxy" in await check(site)
            assert await read_project(site) == "1"
            assert await fetch_picture(site) == user_agent()
            assert await use_backend("http://backend.test:9090")
