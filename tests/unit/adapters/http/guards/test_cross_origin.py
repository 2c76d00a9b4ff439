"""Pages of other sites: kept out, unless they are named."""

from http import HTTPStatus

import pytest

from adapters.http.gateway import BasicAuth, Gateway
from adapters.http.guards.cross_origin import CrossOrigin, as_origin
from tests.support.asgi_client import Answer, App, ask, assert_error
from tests.support.asgi_client import gateway as bare_gateway

TOOLS, ELSEWHERE = "https://tools.example", "https://elsewhere.example"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}


def gateway(app: App, *allowed: str) -> Gateway:
    return bare_gateway(app, auth=BasicAuth("ann", "pass"), cross_origin=CrossOrigin(frozenset(allowed)))


def cors_headers(answer: Answer) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-")}


AUTHORIZED = {"authorization": "Basic YW5uOnBhc3M="}


class TestByDefault:
    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_no_page_may_read_an_answer(self, method: str) -> None:
        answer = await ask(
            gateway(App()), "/livez", method=method, headers={**AUTHORIZED, "origin": ELSEWHERE}
        )

        assert answer.status == (HTTPStatus.OK if method == "GET" else HTTPStatus.FORBIDDEN)
        assert cors_headers(answer) == set()

    async def test_a_browser_that_asks_is_told_no(self) -> None:
        answer = await ask(gateway(App()), method="OPTIONS", headers={"origin": ELSEWHERE, **PREFLIGHT})

        assert answer.status == HTTPStatus.UNAUTHORIZED
        assert cors_headers(answer) == set()

    @pytest.mark.promise("other-sites-refused")
    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    async def test_what_a_browser_sends_for_another_site_without_asking_is_refused(self, site: str) -> None:
        """A form, or a fetch without a content type: sent with the password that the browser knows."""
        app = App()
        headers = {**AUTHORIZED, "origin": ELSEWHERE, "sec-fetch-site": site, "content-type": ""}
        answer = await ask(gateway(app), headers=headers)

        assert "CORS_ALLOWED_ORIGINS" in assert_error(answer, HTTPStatus.FORBIDDEN)
        assert app.reached == []

    @pytest.mark.parametrize("site", ["same-origin", "none"])
    async def test_our_own_pages_and_people_may_ask(self, site: str) -> None:
        answer = await ask(gateway(App()), headers={**AUTHORIZED, "sec-fetch-site": site})

        assert answer.status == 200


HERE = "http://pose.local:9090"


class TestWithoutSecFetchSite:
    """Browsers leave it out where the service is plain http and not on their own machine."""

    @pytest.mark.parametrize(
        ("origin", "host"),
        [
            (HERE, "pose.local:9090"),
            ("http://pose.local", "Pose.local"),
            ("http://pose.local", "pose.local:80"),
            ("https://pose.local", "pose.local"),  # a proxy took the TLS off
            ("http://[::1]:9090", "[::1]:9090"),
            ("http://192.0.2.7:9090", "192.0.2.7:9090"),
        ],
    )
    async def test_our_own_pages_may_ask(self, origin: str, host: str) -> None:
        answer = await ask(gateway(App()), headers={**AUTHORIZED, "origin": origin, "host": host})

        assert answer.status == 200

    @pytest.mark.promise("other-sites-refused")
    @pytest.mark.parametrize(
        "origin",
        [ELSEWHERE, "null", "", "http://pose.local", "http://pose.local:9091", "http://a.pose.local:9090",
         "http://pose.local:9090.evil.example", "http://x@pose.local:9090", "pose.local:9090", "file://"],
    )  # fmt: skip
    @pytest.mark.parametrize("content_type", ["application/json", ""])
    async def test_a_page_of_another_site_is_refused(self, origin: str, content_type: str) -> None:
        app = App()
        headers = {**AUTHORIZED, "origin": origin, "host": "pose.local:9090", "content-type": content_type}
        answer = await ask(gateway(app), headers=headers)

        assert "CORS_ALLOWED_ORIGINS" in assert_error(answer, HTTPStatus.FORBIDDEN)
        assert app.reached == []

    @pytest.mark.promise("other-sites-refused")
    @pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
    async def test_what_a_page_sends_is_json_and_says_so(self, content_type: str) -> None:
        headers = {**AUTHORIZED, "origin": HERE, "host": "pose.local:9090", "content-type": content_type}
        answer = await ask(gateway(App()), headers=headers)

        assert_error(answer, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

    async def test_where_a_proxy_tells_another_host_the_browser_is_believed(self) -> None:
        headers = {
            "origin": "https://pose.example",
            "host": "127.0.0.1:9090",
            "sec-fetch-site": "same-origin",
        }
        answer = await ask(gateway(App()), headers={**AUTHORIZED, **headers})

        assert answer.status == 200

    async def test_programs_need_neither_origin_nor_content_type(self) -> None:
        answer = await ask(gateway(App()), headers={**AUTHORIZED, "host": "any.example", "content-type": ""})

        assert answer.status == 200


class TestAllowedOrigin:
    async def test_a_browser_that_asks_is_told_yes_without_a_password(self) -> None:
        app = App()
        answer = await ask(gateway(app, TOOLS), method="OPTIONS", headers={"origin": TOOLS, **PREFLIGHT})

        assert answer.status == HTTPStatus.NO_CONTENT
        assert answer.headers["access-control-allow-origin"] == TOOLS
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert answer.headers["vary"] == "Origin"
        assert app.reached == []

    async def test_its_pages_may_ask_and_read_answers(self) -> None:
        headers = {**AUTHORIZED, "origin": TOOLS, "sec-fetch-site": "cross-site"}
        answer = await ask(gateway(App(), TOOLS), headers=headers)

        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == TOOLS

    async def test_they_may_read_errors_too(self) -> None:
        answer = await ask(gateway(App(), TOOLS), headers={"origin": TOOLS})

        assert_error(answer, HTTPStatus.UNAUTHORIZED)
        assert answer.headers["access-control-allow-origin"] == TOOLS

    @pytest.mark.promise("other-sites-refused")
    @pytest.mark.parametrize(
        "origin", [ELSEWHERE, "null", "https://tools.example.evil", "http://tools.example"]
    )
    async def test_other_origins_stay_out(self, origin: str) -> None:
        door = gateway(App(), TOOLS)
        asked = await ask(door, method="OPTIONS", headers={"origin": origin, **PREFLIGHT})
        sent = await ask(door, headers={**AUTHORIZED, "origin": origin, "sec-fetch-site": "cross-site"})

        assert (asked.status, sent.status) == (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        assert cors_headers(asked) == cors_headers(sent) == set()
        assert asked.headers["vary"] == "Origin", "a cache must not give it to others"


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Tools.example", "https://tools.example"),
        ("https://tools.example:443/", "https://tools.example"),
        ("http://localhost:3000", "http://localhost:3000"),
    ],
)
def test_origins_are_compared_as_browsers_write_them(text: str, origin: str) -> None:
    assert as_origin(text) == origin


@pytest.mark.parametrize(
    "text", ["*", "null", "tools.example", "https://*.example", "https://a/b", "https://a?b", "ftp://a"]
)
def test_what_is_no_origin_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as https://tools\.example\.org"):
        as_origin(text)
