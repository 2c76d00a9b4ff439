"""Names by which browsers may reach the service: a page whose name was made to lead here gets nothing."""

import base64
import socket
from http import HTTPStatus

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from adapters.http.gateway import BasicAuth, Gateway
from adapters.http.guards.hosts import KnownHosts, as_host_pattern
from tests.support.asgi_client import App, ask, assert_error
from tests.support.asgi_client import gateway as bare_gateway

EVIL = "rebound.evil.example:9090"
BROWSERS = {
    "a_page_asks": {"origin": f"http://{EVIL}"},
    "somebody_opens_it": {"accept-language": "de", "accept": "text/html", "user-agent": "Mozilla/5.0 (X11)"},
    "a_page_hides_who_it_is": {"accept-language": "", "user-agent": "curl/8"},
    "on_its_own_machine": {"sec-fetch-site": "same-origin"},
    "an_old_one": {"user-agent": "Mozilla/5.0 (Windows NT 6.1) Gecko"},
    "by_a_link": {"referer": f"http://{EVIL}/"},
}

RIGHT = {"authorization": "Basic " + base64.b64encode(b"ann:pass").decode()}


async def answered(_: Request) -> Response:
    return JSONResponse({})


def gateway(app: App, *patterns: str, auth: BasicAuth | None = None) -> Gateway:
    routes = dict.fromkeys(("/status", "/", "/health"), answered)
    return bare_gateway(app, routes=routes, auth=auth, hosts=KnownHosts.named(patterns))


@pytest.mark.promise("known-hosts-only")
@pytest.mark.parametrize("browser", BROWSERS.values(), ids=BROWSERS)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/status"), ("GET", "/"), ("POST", "/predict"), ("POST", "/webhook")]
)
async def test_a_browser_that_was_led_here_by_an_unknown_name_is_refused(
    method: str, path: str, browser: dict[str, str]
) -> None:
    app = App()
    answer = await ask(gateway(app), path, method=method, headers={"host": EVIL, **browser})

    detail = assert_error(answer, HTTPStatus.FORBIDDEN)
    assert "rebound.evil.example" in detail
    assert "BACKEND_HOSTS" in detail
    assert app.reached == []


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz"])
async def test_probes_are_answered_by_any_name(path: str) -> None:
    answer = await ask(gateway(App()), path, method="GET", headers={"host": EVIL, **BROWSERS["an_old_one"]})

    assert answer.status == 200


@pytest.mark.promise("known-hosts-only")
@pytest.mark.parametrize(
    "program",
    [
        {"user-agent": "heartex/1.23.2", "accept": "*/*", "accept-encoding": "gzip, deflate"},  # Label Studio
        {"user-agent": "Prometheus/3.0", "accept": "text/plain"},
        {"user-agent": "curl/8.5.0"},
        {},
    ],
)
@pytest.mark.parametrize("host", [EVIL, "pose.example.org", "backend:9090", "10.1.2.3:9090", "not a host"])
async def test_programs_may_use_any_name(program: dict[str, str], host: str) -> None:
    for method, path in (("POST", "/predict"), ("GET", "/status")):
        answer = await ask(gateway(App()), path, method=method, headers={"host": host, **program})
        assert answer.status == 200


@pytest.mark.parametrize(
    "host",
    ["localhost:9090", "LOCALHOST", "127.0.0.1:9090", "192.168.3.4", "[::1]:9090", "[::ffff:10.0.0.1]", "backend",
     "rtmlib-ml-backend:9090", "pose.local", "pose.localhost:1", "pose.ns.svc.cluster.local:9090", "a.internal",
     "pose.example.org", "pose.example.org.", "POSE.example.org:443", "a.tools.example", "b.a.tools.example"],
)  # fmt: skip
async def test_browsers_may_use_names_that_no_page_can_have(host: str) -> None:
    door = gateway(App(), "pose.example.org", "*.tools.example")
    answer = await ask(door, "/", method="GET", headers={"host": host, **BROWSERS["somebody_opens_it"]})

    assert answer.status == 200


@pytest.mark.promise("known-hosts-only")
@pytest.mark.parametrize(
    "host",
    ["tools.example", "eviltools.example", "pose.example.org.evil.example", "127.0.0.1.evil.example", "1.2.3.4.5",
     "pose.example.org:90:90", "pose.example.org@evil.example", "evil.example/pose.example.org", "[::1].evil.example",
     "pose.example.org, evil.example", "local.example", "..", "", "a..local x", "x" * 300 + ".example"],
)  # fmt: skip
async def test_names_that_look_similar_are_unknown(host: str) -> None:
    door = gateway(App(), "pose.example.org", "*.tools.example")
    answer = await ask(door, "/", method="GET", headers={"host": host, **BROWSERS["somebody_opens_it"]})

    assert_error(answer, HTTPStatus.FORBIDDEN)


def test_the_name_of_the_machine_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "GPU1.lab.example")

    headers = Headers({"host": "gpu1.lab.example:9090", "user-agent": "Mozilla/5.0"})
    assert KnownHosts.named([]).unknown(headers) is None


class TestWithAPassword:
    """Browsers keep it for the name that it was typed for, so a page under another name has none."""

    async def test_any_name_will_do_for_who_has_it(self) -> None:
        door = gateway(App(), auth=BasicAuth("ann", "pass"))
        headers = {"host": EVIL, **BROWSERS["somebody_opens_it"]}
        without = await ask(door, "/status", method="GET", headers=headers)
        with_it = await ask(door, "/status", method="GET", headers={**headers, **RIGHT})

        assert (without.status, with_it.status) == (HTTPStatus.UNAUTHORIZED, HTTPStatus.OK)

    async def test_a_route_that_needs_none_is_guarded_all_the_same(self) -> None:
        door = gateway(App(), auth=BasicAuth("ann", "pass"))
        answer = await ask(door, "/webhook", headers={"host": EVIL, **BROWSERS["a_page_asks"]})

        assert_error(answer, HTTPStatus.FORBIDDEN)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("Pose.Example.org", "pose.example.org"), ("*.example.org", "*.example.org"), ("a", "a")],
)
def test_patterns_are_compared_as_hosts_are(text: str, pattern: str) -> None:
    assert as_host_pattern(text) == pattern


@pytest.mark.parametrize(
    "text", ["*", "https://a", "a:80", "a/b", "*a.example", "a.*.b", "", "a b", "ä.example", "x" * 260]
)
def test_what_is_no_name_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as pose\.example\.org"):
        as_host_pattern(text)
