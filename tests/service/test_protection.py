"""A server with a password and a small limit for bodies."""

import base64
import http.client
import socket
from http import HTTPStatus

import pytest

from tests.service.conftest import StartServer
from tests.service.server import Answer, Server

USER, PASSWORD = "label-studio", "correct:horse-bättery"
LIMIT = 100_000
TOOLS = "https://tools.example"


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


RIGHT = basic(USER, PASSWORD)


@pytest.fixture(scope="module")
def protected(start_server: StartServer) -> Server:
    return start_server(
        ALLOWED_IMAGE_HOSTS="127.0.0.1",
        BASIC_AUTH_USER=USER,
        BASIC_AUTH_PASS=PASSWORD,
        MAX_REQUEST_BYTES=str(LIMIT),
        CORS_ALLOWED_ORIGINS=f"{TOOLS}/, http://localhost:3000",
        LOG_LEVEL="DEBUG",
    )


def assert_error(answer: Answer, status: HTTPStatus) -> str:
    assert answer.status == status
    assert answer.json.keys() == {"error", "detail", "request_id"}
    return answer.json["detail"]


class TestBasicAuthentication:
    @pytest.mark.promise("password-required")
    @pytest.mark.parametrize(
        "headers",
        [{}, basic(USER, "wrong"), basic("somebody", PASSWORD), {"Authorization": f"Bearer {PASSWORD}"}],
    )
    @pytest.mark.parametrize(
        ("method", "route"),
        [
            ("POST", "/predict"),
            ("POST", "/setup"),
            ("POST", "/train"),
            ("GET", "/versions"),
            ("GET", "/status"),
            ("GET", "/metrics"),
            ("GET", "/"),
            ("GET", "/docs.json"),
            ("GET", "/schema.json"),
            ("GET", "/nothing"),
        ],
    )
    def test_without_the_password_nothing_is_told(
        self, protected: Server, method: str, route: str, headers: dict[str, str]
    ) -> None:
        answer = protected.ask(method, route, {"tasks": []} if method == "POST" else None, headers=headers)

        assert "Basic authentication" in assert_error(answer, HTTPStatus.UNAUTHORIZED)
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")

    def test_with_it_predictions_are_made(self, protected: Server, figure: str) -> None:
        (slot,) = protected.predict(figure, headers=RIGHT)

        assert slot["result"]

    def test_with_it_a_project_is_set_up(self, protected: Server) -> None:
        assert protected.ask("POST", "/setup", {"project": "1"}, headers=RIGHT).status == 200

    @pytest.mark.parametrize("route", ["/health", "/livez", "/readyz"])
    def test_probes_need_none(self, protected: Server, route: str) -> None:
        assert protected.ask("GET", route).status == 200

    def test_webhooks_need_none_since_label_studio_sends_none(self, protected: Server) -> None:
        assert protected.ask("POST", "/webhook", {"action": "ANNOTATION_CREATED"}).status == 200

    @pytest.mark.promise("password-required")
    @pytest.mark.parametrize("host", ["a/webhook?", "x/livez#", "127.0.0.1\\@a/readyz?"])
    def test_no_host_header_opens_a_door(self, protected: Server, host: str) -> None:
        request = f"GET /status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", protected.port), timeout=5) as connection:
            connection.sendall(request)
            status = connection.makefile("rb").readline()

        assert status.split()[1] in (b"400", b"401")

    def test_the_password_is_in_no_log(self, protected: Server) -> None:
        protected.ask("GET", "/status", headers=RIGHT)

        assert PASSWORD not in protected.log()
        assert RIGHT["Authorization"].split()[1] not in protected.log()


def padded(size: int) -> bytes:
    body = b'{"tasks": [], "padding": "'
    return body + b"x" * (size - len(body) - 2) + b'"}'


class TestOtherSites:
    def test_a_page_that_is_named_may_ask(self, protected: Server) -> None:
        asking = {"Origin": TOOLS, "Access-Control-Request-Method": "POST"}
        preflight = protected.ask("OPTIONS", "/predict", headers=asking)
        answer = protected.ask("POST", "/predict", {"tasks": []}, headers={**RIGHT, "Origin": TOOLS})

        assert (preflight.status, answer.status) == (204, 200)
        assert preflight.headers["Access-Control-Allow-Origin"] == TOOLS
        assert answer.headers["Access-Control-Allow-Origin"] == TOOLS

    @pytest.mark.promise("other-sites-refused")
    def test_others_may_not(self, protected: Server) -> None:
        headers = {**RIGHT, "Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
        answer = protected.ask("POST", "/predict", {"tasks": []}, headers=headers)

        assert_error(answer, HTTPStatus.FORBIDDEN)
        assert answer.headers["Access-Control-Allow-Origin"] is None

    def test_nor_where_browsers_do_not_say_whose_page_it_is(self, protected: Server) -> None:
        headers = {**RIGHT, "Origin": "http://elsewhere.example", "Content-Type": ""}
        answer = protected.ask("POST", "/predict", {"tasks": []}, headers=headers)

        assert_error(answer, HTTPStatus.FORBIDDEN)

    @pytest.mark.promise("known-hosts-only")
    def test_a_page_whose_name_leads_here_may_not(self, server: Server) -> None:
        """Without a password; with one, such a page does not have it."""
        host = f"rebound.example:{server.port}"
        page = {"Host": host, "Origin": f"http://{host}"}

        assert "BACKEND_HOSTS" in assert_error(
            server.ask("POST", "/predict", {"tasks": []}, headers=page), HTTPStatus.FORBIDDEN
        )
        opened = {"Host": host, "Accept-Language": "de"}
        assert_error(server.ask("GET", "/status", headers=opened), HTTPStatus.FORBIDDEN)
        assert server.ask("GET", "/health", headers=opened).status == 200
        assert server.ask("POST", "/predict", {"tasks": []}, headers={"Host": host}).status == 200


class TestSecurityHeaders:
    @pytest.mark.promise("security-headers")
    @pytest.mark.parametrize(
        "route",
        ["/", "/playground", "/docs.json", "/health", "/livez", "/readyz", "/status", "/metrics", "/schema.json",
         "/static_content/swagger-ui.css", "/nothing", "/predict"],
    )  # fmt: skip
    @pytest.mark.parametrize("headers", [RIGHT, {}])
    def test_every_answer_has_them(self, protected: Server, route: str, headers: dict[str, str]) -> None:
        got = protected.ask("GET", route, headers=headers).headers

        assert got["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in got["Content-Security-Policy"]
        assert "default-src 'none'" in got["Content-Security-Policy"]
        assert got["Referrer-Policy"] == "no-referrer"
        assert got["Cache-Control"] in ("no-store", "no-cache")
        assert "script-src 'unsafe-inline'" not in got["Content-Security-Policy"]
        assert got["Server"] is None


class TestSizeOfBodies:
    @pytest.mark.parametrize("size", [LIMIT - 128, LIMIT])
    def test_up_to_the_limit_they_are_read(self, protected: Server, size: int) -> None:
        assert protected.ask("POST", "/predict", padded(size), headers=RIGHT).status == 200
        assert chunked(protected, padded(size)).status == 200

    @pytest.mark.promise("body-size-limit")
    @pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 128])
    def test_above_it_they_are_refused(self, protected: Server, size: int) -> None:
        for answer in (
            protected.ask("POST", "/predict", padded(size), headers=RIGHT),
            chunked(protected, padded(size)),
        ):
            detail = assert_error(answer, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            assert f"{LIMIT} bytes" in detail
        assert "Traceback" not in protected.log()

    def test_a_body_that_never_ends_is_refused_while_it_comes(self, protected: Server) -> None:
        with socket.create_connection(("127.0.0.1", protected.port), timeout=10) as connection:
            connection.sendall(
                b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\n"
                + f"Authorization: {RIGHT['Authorization']}\r\n\r\n".encode()
                + b"10000\r\n"
                + b" " * 0x10000
                + b"\r\n"
                + b"10000\r\n"
                + b" " * 0x10000
                + b"\r\n"
            )
            status = connection.makefile("rb").readline()

        assert status.split()[1] == b"413"


def chunked(server: Server, body: bytes) -> Answer:
    """Send a body without its length, in pieces."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    pieces = (body[start : start + 10_000] for start in range(0, len(body), 10_000))
    headers = {"Content-Type": "application/json", **RIGHT}
    try:
        connection.request("POST", "/predict", pieces, headers, encode_chunked=True)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()
