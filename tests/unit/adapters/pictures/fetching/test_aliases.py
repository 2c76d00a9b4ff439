"""One Label Studio under several addresses: its pictures come from LABEL_STUDIO_URL, with the token."""

import sys
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from adapters.pictures.fetching.label_studio_site import LabelStudioSite
from tests.unit.adapters.pictures.fetching.test_source import (
    ALLOWED,
    FORBIDDEN,
    LABEL_STUDIO,
    LEGACY,
    PICTURE,
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

IN_BROWSERS, PUBLIC = "http://localhost:8080", "https://ls.example.org/studio"
ALIASES = (IN_BROWSERS, PUBLIC)


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        (f"{IN_BROWSERS}/data/upload/1/a%20b.png", "/ls/data/upload/1/a%20b.png"),
        (f"{PUBLIC}/data/upload/1/a.png?x=%2F", "/ls/data/upload/1/a.png?x=%2F"),
        (f"{PUBLIC}/tasks/7/resolve/?fileuri=YWJj", "/ls/tasks/7/resolve/?fileuri=YWJj"),
    ],
)
async def test_addresses_under_aliases_are_requested_there_with_the_token(address: str, asked: str) -> None:
    async with serving(label_studio(), LABEL_STUDIO) as server:
        settings = {"label_studio": f"{server.url}/ls", "aliases": ALIASES, "token": LEGACY}
        assert await fetch(address, **settings) == PICTURE
    assert [request.raw_path for request in server.requests] == [asked]


async def test_a_local_file_under_an_alias_is_read_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PICTURE)
    value = f"{IN_BROWSERS}/data/local-files/?d=a.png"
    assert await fetch(value, label_studio="http://127.0.0.3:1", aliases=ALIASES, root=tmp_path) == PICTURE


@pytest.mark.parametrize(
    "path", ["/api/users/", "/data/../api/users/", "/data/%2e%2e/api/users/", "/other/data/upload/a.png"]
)
@pytest.mark.promise("token-stays-with-label-studio")
async def test_an_alias_gives_the_token_to_no_other_path(path: str) -> None:
    async with serving(picture, LABEL_STUDIO) as server:
        await fetch(IN_BROWSERS + path, label_studio=server.url, aliases=ALIASES, token=LEGACY)
    assert server.authorizations == [None]


@pytest.mark.promise("only-allowed-addresses")
@pytest.mark.promise("token-stays-with-label-studio")
async def test_an_alias_is_not_connected_to() -> None:
    async with serving(picture, FORBIDDEN) as other, serving(label_studio(), LABEL_STUDIO) as server:
        settings = {"label_studio": server.url, "aliases": (other.url,), "token": LEGACY}
        assert await fetch(f"{other.url}/data/upload/1/a.png", **settings) == PICTURE
        # Another path prefix is another server.
        settings["aliases"] = (f"{other.url}/ls",)
        assert (await failure(f"{other.url}/data/upload/1/a.png", **settings)).reason == "refused"
    assert other.requests == []


@pytest.mark.parametrize(
    ("own", "other"),
    [("http://ls.test", "https://ls.test"), ("https://ls.test/ls", "http://ls.test:80/ls")],
)
def test_http_and_https_of_one_host_are_one(own: str, other: str) -> None:
    site = LabelStudioSite.at(own)
    assert str(site.canonical(URL(f"{other}/data/upload/1/a.png"))) == f"{own}/data/upload/1/a.png"


def test_other_ports_are_other_servers() -> None:
    for own in ("http://ls.test:8080", "https://ls.test"):
        for other in (
            "https://ls.test:8443",
            "https://ls.test:8080",
            "http://ls.test:8081",
            "http://other.test",
        ):
            address = URL(f"{other}/data/upload/1/a.png")
            assert LabelStudioSite.at(own).canonical(address) == address


async def test_a_redirect_to_an_alias_is_followed_to_label_studio() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/tasks/"):
            return web.Response(status=303, headers={"Location": f"{PUBLIC}/data/upload/1/a.png"})
        return await label_studio()(request)

    async with serving(answer, LABEL_STUDIO) as server:
        settings = {"label_studio": server.url, "aliases": ALIASES, "token": LEGACY}
        assert await fetch("/tasks/7/resolve/?fileuri=YWJj", **settings) == PICTURE
    assert server.authorizations == 2 * [f"Token {LEGACY}"]


async def test_a_move_to_an_alias_is_explained_and_not_repeated() -> None:
    target = f"{IN_BROWSERS}/data/upload/1/a.png"
    async with serving(answering(status=301, headers={"Location": target}), LABEL_STUDIO) as server:
        settings = {"label_studio": server.url, "aliases": ALIASES, "token": LEGACY}
        error = await failure("/data/upload/1/a.png", **settings)
    assert f"redirects to {IN_BROWSERS}" in str(error)
    assert len(server.requests) == 1


class TestWithoutTheSetting:
    """A failure at an address like Label Studio's names the setting."""

    @pytest.mark.parametrize(
        "path",
        [
            "/data/upload/1/a.png",
            "/data/local-files/?d=a.png",
            "/storage-data/uploaded/?filepath=upload/1/a.png",
            "/tasks/7/presign/?fileuri=YWJj",
            "/projects/7/resolve/?fileuri=YWJj",
        ],
    )
    async def test_the_address_is_said_to_be_label_studios(self, path: str) -> None:
        error = await failure(f"{IN_BROWSERS}{path}", label_studio="http://127.0.0.3:1", token=LEGACY)
        assert error.reason == "refused"
        assert f"set LABEL_STUDIO_ALIASES={IN_BROWSERS}." in str(error)

    async def test_a_path_prefix_belongs_to_the_address(self) -> None:
        error = await failure(f"http://{FORBIDDEN}/ls/data/upload/1/a.png", label_studio="http://127.0.0.3:1")
        assert f"set LABEL_STUDIO_ALIASES=http://{FORBIDDEN}/ls." in str(error)

    async def test_without_any_label_studio_its_own_setting_is_named(self) -> None:
        error = await failure(f"{IN_BROWSERS}/data/upload/1/a.png")
        assert f"set LABEL_STUDIO_URL={IN_BROWSERS}." in str(error)

    async def test_a_login_page_there_is_a_refusal(self) -> None:
        login = answering(status=302, headers={"Location": "/user/login/?next=/data/"})
        async with serving(login, ALLOWED) as other:
            error = await failure(f"{other.url}/data/upload/1/a.png", label_studio="http://127.0.0.3:1")
        assert error.reason == "unauthorized"
        assert f"set LABEL_STUDIO_ALIASES={other.url}." in str(error)
        assert len(other.requests) == 1

    @pytest.mark.parametrize("path", ["/data/a.png", "/upload/1/a.png", "/data/upload/a.png"])
    async def test_other_paths_are_not(self, path: str) -> None:
        error = await failure(f"{IN_BROWSERS}{path}", label_studio="http://127.0.0.3:1")
        assert "LABEL_STUDIO_ALIASES" not in str(error)


@pytest.mark.parametrize("alias", ["localhost:8080", "http://", "ftp://ls.test"])
def test_an_alias_that_is_no_address_stops_the_start(alias: str) -> None:
    with pytest.raises(ValueError, match="LABEL_STUDIO_ALIASES is not a web address"):
        LabelStudioSite.at("http://ls.test", [alias])
