"""Pictures through IMAGE_PROXY: the guard decides before the proxy is asked."""

import socket
import sys

import pytest
from aiohttp.abc import ResolveResult

from adapters.pictures.fetching.source import PictureSource
from tests.unit.adapters.pictures.fetching.test_source import (
    ALLOWED,
    FORBIDDEN,
    LABEL_STUDIO,
    LEGACY,
    PICTURE,
    QUICK,
    Names,
    Server,
    answering,
    failure,
    fetch,
    label_studio,
    picture,
    serving,
)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has the whole 127.0.0.0/8 on its loopback interface"
)


def asked(proxy: Server) -> list[str]:
    """The addresses that were requested through a proxy."""
    return [request.raw_path for request in proxy.requests]


class Unknown(Names):
    """DNS that knows no names, as in a network that leaves by a proxy only."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_pictures_go_through_the_proxy() -> None:
    names = Names(images_test=["93.184.215.14"])
    async with serving(picture, FORBIDDEN) as proxy:
        assert await fetch("http://images.test/a.png?x=%2F", proxy=proxy.url, resolver=names) == PICTURE
    assert asked(proxy) == ["http://images.test/a.png?x=%2F"]


@pytest.mark.promise("only-allowed-addresses")
@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/",
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://[::1]/",
        "http://inside.test/",
    ],
)
async def test_the_guard_decides_before_the_proxy(address: str) -> None:
    async with serving(picture, FORBIDDEN) as proxy:
        error = await failure(address, proxy=proxy.url, resolver=Names(inside_test=["10.0.0.1"]))
    assert error.reason == "refused"
    assert proxy.requests == []


@pytest.mark.promise("redirects-checked")
async def test_the_guard_checks_redirects_through_the_proxy() -> None:
    names = Names(images_test=["93.184.215.14"])
    async with serving(answering(status=302, headers={"Location": "http://10.0.0.1/"}), FORBIDDEN) as proxy:
        assert (await failure("http://images.test/", proxy=proxy.url, resolver=names)).reason == "refused"
    assert len(proxy.requests) == 1


async def test_the_proxy_itself_is_no_place_for_pictures() -> None:
    async with serving(picture, FORBIDDEN) as proxy:
        assert (await failure(f"{proxy.url}/", proxy=proxy.url)).reason == "refused"
    assert proxy.requests == []


async def test_a_name_that_only_the_proxy_knows_must_be_listed() -> None:
    async with serving(picture, FORBIDDEN) as proxy:
        options = {"proxy": proxy.url, "resolver": Unknown()}
        error = await failure("http://images.test/a.png", **options)
        assert error.reason == "unreachable"
        assert "ALLOWED_IMAGE_HOSTS" in str(error)
        assert proxy.requests == []
        assert await fetch("http://images.test/a.png", allowed=("*.test",), **options) == PICTURE


@pytest.mark.promise("token-stays-with-label-studio")
async def test_label_studio_is_not_reached_through_it() -> None:
    async with serving(picture, FORBIDDEN) as proxy, serving(label_studio(), LABEL_STUDIO) as server:
        options = {"label_studio": server.url, "token": LEGACY, "proxy": proxy.url}
        assert await fetch("/data/upload/1/a.png", **options) == PICTURE
    assert proxy.requests == []


class TestStorage:
    """A failure behind a redirect of Label Studio names the storage's endpoint."""

    @pytest.mark.parametrize(("host", "reason"), [(FORBIDDEN, "refused"), (ALLOWED, "unreachable")])
    async def test_an_endpoint_that_cannot_be_used_is_named(self, host: str, reason: str) -> None:
        with socket.socket() as unused:
            unused.bind((host, 0))
            storage = f"http://{host}:{unused.getsockname()[1]}"
            target = {"Location": f"{storage}/bucket/a.png?X-Amz-Signature=secret"}
            async with serving(answering(status=303, headers=target), LABEL_STUDIO) as server:
                error = await failure("s3://bucket/a.png", 7, label_studio=server.url)
        assert error.reason == reason
        assert f"Label Studio redirects to its storage at {storage}: " in str(error)
        assert "secret" not in str(error)


def test_a_proxy_that_is_none_stops_the_start() -> None:
    with pytest.raises(ValueError, match="IMAGE_PROXY"):
        PictureSource(
            label_studio_url=None,
            credentials=None,
            allowed_hosts=(),
            local_files_root=None,
            limits=QUICK,
            proxy="socks5://proxy",
        )
