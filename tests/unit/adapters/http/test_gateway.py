"""The outermost layer, around an application of a few lines: what every request and every answer goes through."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.errors import error_response
from adapters.http.gateway import CALLER_GONE, BasicAuth, Gateway
from adapters.http.guards.security_headers import page_policy
from adapters.observability.request_id import request_id
from tests.support.asgi_client import App, as_chunks, ask, assert_error

LIMIT = 10_000
AUTH = BasicAuth("ann", "pass:wörd")


async def health(_: Request) -> Response:
    return JSONResponse({"status": "UP"})


async def broken(_: Request) -> Response:
    raise RuntimeError("a secret detail")


def gateway(app: ASGIApp, auth: BasicAuth | None = None, retry_after_s: int | None = None) -> Gateway:
    routes = {"/health": health, "/broken": broken}
    return Gateway(
        app, routes=routes, auth=auth, max_request_bytes=LIMIT, retry_after_s=lambda: retry_after_s
    )


class TestRequestIds:
    async def test_a_callers_id_is_kept_and_reaches_the_application(self) -> None:
        answer = await ask(gateway(App()), headers={"x-request-id": "trace-1.a_B"})

        assert answer.headers["x-request-id"] == "trace-1.a_B"
        assert answer.json == {"request": "trace-1.a_B"}

    @pytest.mark.parametrize("given", ["", "a b", "a\tb", "ä", "x" * 65, 'id" level="', "a\nb"])
    async def test_an_id_that_is_not_plain_is_replaced(self, given: str) -> None:
        answer = await ask(gateway(App()), headers={"x-request-id": given})

        assert answer.headers["x-request-id"] != given
        assert answer.headers["x-request-id"].isalnum()

    async def test_every_request_has_an_id_of_its_own(self) -> None:
        app = gateway(App())
        answers = await asyncio.gather(*(ask(app) for _ in range(20)))

        assert len({answer.headers["x-request-id"] for answer in answers}) == 20
        assert all(answer.json["request"] == answer.headers["x-request-id"] for answer in answers)

    async def test_the_id_is_forgotten_afterwards(self) -> None:
        await ask(gateway(App()), headers={"x-request-id": "gone"})

        assert request_id.get() == "-"


async def test_a_request_whose_caller_hung_up_ends_with_a_response() -> None:
    """BentoML's timeout middleware waits for one, until its limit."""

    async def never(_: Request) -> Response:
        await asyncio.sleep(60)
        raise AssertionError("is cancelled")

    answer = await ask(gateway(App(never)), hangs_up=True)

    assert (answer.status, answer.body) == (CALLER_GONE, b"")


class TestRoutes:
    async def test_get_routes_are_answered_without_the_application(self) -> None:
        app = App()
        answer = await ask(gateway(app), "/health", method="GET")

        assert (answer.status, answer.json) == (200, {"status": "UP"})
        assert app.reached == []

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    async def test_they_answer_no_other_method(self, method: str) -> None:
        answer = await ask(gateway(App()), "/health", method=method)

        assert assert_error(answer, HTTPStatus.METHOD_NOT_ALLOWED) == "/health accepts GET only."
        assert answer.headers["allow"] == "GET, HEAD"

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
    @pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook", "/train"])
    async def test_post_routes_answer_no_other_method(self, path: str, method: str) -> None:
        app = App()
        answer = await ask(gateway(app), path, method=method)

        assert assert_error(answer, HTTPStatus.METHOD_NOT_ALLOWED) == f"{path} accepts POST only."
        assert answer.headers["allow"] == "POST"
        assert app.reached == []

    @pytest.mark.parametrize(
        "path", ["/predict/", "/healthz", "/static_content/index.css", "/static_content/", "/docs", "*", ""]
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_what_else_bentoml_would_answer_it_is_not_asked(self, path: str, method: str) -> None:
        """Among them redirects, to wherever the Host header says."""
        app = App()
        answer = await ask(gateway(app), path, method=method, headers={"host": "elsewhere.example"})

        assert "See / for the API" in assert_error(answer, HTTPStatus.NOT_FOUND)
        assert app.reached == []

    async def test_what_is_no_http_request_is_passed_on(self) -> None:
        seen: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["type"])

        async def nothing(*_: Any) -> Any:
            raise AssertionError

        await gateway(app)({"type": "lifespan"}, nothing, nothing)

        assert seen == ["lifespan"]


def basic(credentials: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}


class TestBasicAuthentication:
    async def test_the_right_credentials_are_let_in(self) -> None:
        app = App()
        answer = await ask(gateway(app, AUTH), headers=basic("ann:pass:wörd"))

        assert answer.status == 200
        assert app.reached == ["/predict"]

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": ""},
            {"authorization": "Basic"},
            {"authorization": "Basic !!!"},
            {"authorization": "Basic ännö"},
            {"authorization": "Bearer " + base64.b64encode("ann:pass:wörd".encode()).decode()},
            basic("ann:"),
            basic("ann:wrong"),
            basic("ann:pass:wörd "),
            basic("Ann:pass:wörd"),
            basic(":"),
        ],
    )
    @pytest.mark.parametrize("path", ["/predict", "/setup", "/status", "/metrics", "/", "/docs.json"])
    async def test_all_others_are_not(self, headers: dict[str, str], path: str) -> None:
        app = App()
        answer = await ask(gateway(app, AUTH), path, headers=headers)

        assert "Basic authentication" in assert_error(answer, HTTPStatus.UNAUTHORIZED)
        assert answer.headers["www-authenticate"].startswith("Basic ")
        assert app.reached == []

    @pytest.mark.promise("constant-time-password")
    @pytest.mark.parametrize("given", ["", "a", "ann:pass:wörd", "x" * 5000])
    async def test_credentials_of_every_length_are_compared_in_full(
        self, given: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compared: list[tuple[bytes, bytes]] = []

        def compare(one: bytes, other: bytes) -> bool:
            compared.append((one, other))
            return hmac.compare_digest(one, other)

        monkeypatch.setattr("adapters.http.gateway.hmac", SimpleNamespace(compare_digest=compare))
        await ask(gateway(App(), AUTH), headers=basic(given))

        ((one, other),) = compared
        assert len(one) == len(other), "a comparison of different lengths would end sooner"

    @pytest.mark.parametrize("path", ["/livez", "/readyz", "/webhook"])
    async def test_probes_and_webhooks_need_none(self, path: str) -> None:
        app = App()
        method = "POST" if path == "/webhook" else "GET"
        answer = await ask(gateway(app, AUTH), path, method=method)

        assert answer.status == 200
        assert app.reached == [path]

    async def test_health_needs_none(self) -> None:
        assert (await ask(gateway(App(), AUTH), "/health", method="GET")).status == 200

    @pytest.mark.parametrize(
        ("path", "host"),
        [
            ("/predict", "a/webhook?"),
            ("/predict", "a/livez#"),
            ("/predict", "a\\@b/livez?"),
            ("/livez?/../predict", "a"),
            ("/web\thook", "a"),
            ("//livez", "a"),
            ("/livez/../predict", "a"),
            ("/LIVEZ", "a"),
        ],
    )
    async def test_no_host_and_no_path_passes_for_an_open_route(self, path: str, host: str) -> None:
        app = App()
        answer = await ask(gateway(app, AUTH), path, headers={"host": host})

        assert_error(answer, HTTPStatus.UNAUTHORIZED)
        assert app.reached == []


class TestSizeOfTheBody:
    @pytest.mark.parametrize("size", [0, 1, LIMIT - 128, LIMIT])
    async def test_a_body_up_to_the_limit_is_read(self, size: int) -> None:
        app = App()
        answer = await ask(gateway(app), body=b"x" * size)

        assert (answer.status, app.received) == (200, size)

    @pytest.mark.parametrize("size", [LIMIT - 128, LIMIT])
    async def test_a_chunked_body_up_to_the_limit_is_read(self, size: int) -> None:
        app = App()
        answer = await ask(gateway(app), body=as_chunks(b"x" * (size // 2), b"", b"x" * (size - size // 2)))

        assert (answer.status, app.received) == (200, size)

    @pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 128, 10**30])
    async def test_a_body_that_announces_more_is_refused_unread(self, size: int) -> None:
        app = App()
        answer = await ask(gateway(app), headers={"content-length": str(size)})

        assert f"more than {LIMIT} bytes" in assert_error(answer, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        assert app.reached == []

    @pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 128])
    async def test_a_chunked_body_is_refused_where_it_passes_the_limit(self, size: int) -> None:
        read: list[int] = []

        async def chunks() -> AsyncIterator[bytes]:
            for chunk in (b"x" * LIMIT, b"x" * (size - LIMIT), b"never read"):
                read.append(len(chunk))
                yield chunk

        answer = await ask(gateway(App()), body=chunks())

        assert f"more than {LIMIT} bytes" in assert_error(answer, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        assert read == [LIMIT, size - LIMIT]

    async def test_an_application_that_makes_its_own_error_of_it_is_not_heard(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response = JSONResponse({"error": "An unexpected error has occurred"}, 500)
            try:
                await Request(scope, receive).body()
            except Exception:
                await response(scope, receive, send)

        answer = await ask(gateway(app), body=as_chunks(b"x" * (LIMIT + 1)))

        assert_error(answer, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    @pytest.mark.parametrize("length", ["-1", "²", "1_0", "abc", ""])
    async def test_a_length_that_is_no_number_hides_nothing(self, length: str) -> None:
        answer = await ask(gateway(App()), headers={"content-length": length}, body=b"x" * (LIMIT + 1))

        assert_error(answer, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


class TestTypeOfTheBody:
    @pytest.mark.parametrize("given", ["application/json", "Application/JSON; charset=utf-8", ""])
    async def test_json_is_taken(self, given: str) -> None:
        assert (await ask(gateway(App()), headers={"content-type": given})).status == 200

    @pytest.mark.parametrize(
        "given",
        [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/plain",
            "application/vnd.bentoml+pickle",
        ],
    )
    async def test_nothing_else_is(self, given: str) -> None:
        app = App()
        answer = await ask(gateway(app), headers={"content-type": given})

        assert "application/json" in assert_error(answer, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        assert app.reached == []

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity", "x"])
    async def test_a_packed_body_is_refused_and_never_unpacked(self, encoding: str) -> None:
        app = App()
        answer = await ask(gateway(app), headers={"content-encoding": encoding}, body=gzip.compress(b"{}"))

        assert "Content-Encoding is not supported" in assert_error(answer, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        assert app.reached == []

    async def test_one_that_says_it_is_not_packed_is_taken(self) -> None:
        assert (await ask(gateway(App()), headers={"content-encoding": "Identity"})).status == 200


class TestSecurityHeaders:
    @pytest.mark.parametrize(
        ("path", "method"),
        [
            ("/predict", "POST"),
            ("/health", "GET"),
            ("/broken", "GET"),
            ("/nothing", "GET"),
            ("/predict", "GET"),
        ],
    )
    async def test_every_answer_has_them(self, path: str, method: str) -> None:
        headers = (await ask(gateway(App()), path, method=method)).headers

        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]

    async def test_a_page_may_have_a_policy_of_its_own(self) -> None:
        async def answer(_: Request) -> Response:
            return Response(headers={"Content-Security-Policy": "default-src 'self'"})

        headers = (await ask(gateway(App(answer)))).headers

        assert headers["content-security-policy"] == "default-src 'self'"
        assert headers["x-content-type-options"] == "nosniff"

    def test_a_page_names_its_inline_scripts_by_digest(self) -> None:
        policy = page_policy("<p>a</p><script>run();</script>")

        digest = base64.b64encode(hashlib.sha256(b"run();").digest()).decode()
        assert f"script-src 'self' 'sha256-{digest}';" in policy
        assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


class TestErrors:
    """BentoML and Starlette have several shapes of errors; callers see one."""

    @pytest.mark.parametrize(
        ("theirs", "status", "said"),
        [
            (PlainTextResponse("Not Found", 404), HTTPStatus.NOT_FOUND, "Unknown route."),
            (
                PlainTextResponse("Method Not Allowed", 405),
                HTTPStatus.METHOD_NOT_ALLOWED,
                "Method not allowed",
            ),
            (JSONResponse([{"error": "too long"}], 400), HTTPStatus.BAD_REQUEST, "too long"),
            (JSONResponse({"error": "e", "detail": "because"}, 409), HTTPStatus.CONFLICT, "because"),
            (
                JSONResponse(
                    {"error": "1 error", "detail": [{"loc": ["tasks", 0, "data"], "msg": "Input is bad"}]},
                    400,
                ),
                HTTPStatus.BAD_REQUEST,
                "tasks[0].data: input is bad",
            ),
            (
                JSONResponse(
                    {"error": "1", "detail": [{"loc": ["tasks", 0, "id", "constrained-int"], "msg": "No"}]},
                    400,
                ),
                HTTPStatus.BAD_REQUEST,
                "tasks[0].id: no",
            ),
            (JSONResponse(None, 400), HTTPStatus.BAD_REQUEST, "Bad request syntax"),
            (JSONResponse({"detail": 'a "request_id" is named'}, 400), HTTPStatus.BAD_REQUEST, "is named"),
            (Response(b"\xff\xfe", 400), HTTPStatus.BAD_REQUEST, "\ufffd"),
            (Response(b"", 503), HTTPStatus.SERVICE_UNAVAILABLE, "See the log"),
            (PlainTextResponse("Traceback: File x", 500), HTTPStatus.INTERNAL_SERVER_ERROR, "See the log"),
        ],
    )
    async def test_each_is_put_into_our_shape(self, theirs: Response, status: HTTPStatus, said: str) -> None:
        async def answer(_: Request) -> Response:
            return theirs

        got = await ask(gateway(App(answer)))

        assert said in assert_error(got, status)
        assert b"Traceback" not in got.body

    async def test_one_in_our_shape_stays_as_it_is(self) -> None:
        async def answer(_: Request) -> Response:
            return error_response(429, "Come back later.", {"Retry-After": "3"})

        got = await ask(gateway(App(answer)))

        assert assert_error(got, HTTPStatus.TOO_MANY_REQUESTS) == "Come back later."
        assert got.headers["retry-after"] == "3"

    async def test_an_error_that_comes_in_pieces_is_put_together(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            for piece in (b'{"detail": ', b'"be', b'cause"}'):
                await send({"type": "http.response.body", "body": piece, "more_body": piece[-1:] != b"}"})

        assert assert_error(await ask(gateway(app)), HTTPStatus.BAD_REQUEST) == "because"

    @pytest.mark.promise("one-error-shape")
    @pytest.mark.parametrize("path", ["/broken", "/livez"])
    async def test_an_exception_is_a_500_that_says_nothing_about_it(
        self, path: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "adapters.http.gateway"):
            answer = await ask(gateway(App(broken)), path, method="GET")

        assert "secret" not in assert_error(answer, HTTPStatus.INTERNAL_SERVER_ERROR)
        assert "a secret detail" in caplog.text

    async def test_who_made_the_server_is_not_told(self) -> None:
        async def answer(_: Request) -> Response:
            return Response(headers={"Server": "BentoML Service/x"})

        assert "server" not in (await ask(gateway(App(answer)))).headers


class TestLogLines:
    async def test_a_request_leaves_a_line(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "adapters.http.gateway"):
            await ask(gateway(App()))

        assert "method=POST path=/predict status=200" in caplog.text

    async def test_a_refused_request_says_why(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "adapters.http.gateway"):
            await ask(gateway(App()), "/health", method="PUT")

        assert "status=405" in caplog.text
        assert "/health accepts GET only." in caplog.text

    async def test_probes_leave_none_while_all_is_well(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "adapters.http.gateway"):
            await ask(gateway(App()), "/health", method="GET")

        assert caplog.text == ""

    async def test_no_credentials_are_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            await ask(gateway(App(), AUTH), headers=basic("ann:hunter2"))

        assert "401" in caplog.text
        assert "hunter2" not in caplog.text
        assert basic("ann:hunter2")["authorization"].split()[1] not in caplog.text


async def test_work_that_would_not_get_its_turn_is_refused_before_its_body_is_read() -> None:
    app = App()
    answer = await ask(gateway(app, retry_after_s=7))
    detail = assert_error(answer, HTTPStatus.SERVICE_UNAVAILABLE)
    assert answer.headers["retry-after"] == "7"
    assert "7 s" in detail
    assert app.reached == []


async def test_other_routes_answer_whatever_the_load() -> None:
    overloaded = gateway(App(), retry_after_s=7)
    assert (await ask(overloaded, "/health", method="GET")).status == HTTPStatus.OK
    assert (await ask(overloaded, "/setup")).status == HTTPStatus.OK


async def test_requests_are_counted_by_route_and_unknown_paths_together() -> None:
    def counted(route: str, status: int) -> float:
        labels = {"route": route, "status": str(status)}
        return REGISTRY.get_sample_value("rtmlib_requests_total", labels) or 0

    before = counted("/health", 200), counted("other", 404)
    app = gateway(App())
    await ask(app, "/health", method="GET")
    for number in range(3):
        await ask(app, f"/made-up/{number}")
    assert (counted("/health", 200) - before[0], counted("other", 404) - before[1]) == (1, 3)


async def test_failures_are_counted_from_zero_so_that_the_first_is_an_increase() -> None:
    def shown(route: str, status: int) -> bool:
        labels = {"route": route, "status": str(status)}
        return REGISTRY.get_sample_value("rtmlib_requests_total", labels) is not None

    gateway(App())

    for route in ("/predict", "/setup", "/webhook", "/train", "/health"):
        assert shown(route, 500), route
    assert shown("/setup", 504)
    assert shown("/predict", 503)
    assert shown("/readyz", 503)
