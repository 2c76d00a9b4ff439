"""What callers get wrong: one shape of error, a sentence that says what to do, no traceback anywhere."""

import gzip
import http.client
import json
import socket
from http import HTTPStatus
from typing import Any

import pytest

from adapters.http.example import EXAMPLE_LABEL_CONFIG
from adapters.label_studio.schemas import MAX_TASKS
from tests.conftest import Within
from tests.service.server import Answer, Server

SECRET = "correct-horse-battery-staple"


def assert_error(answer: Answer, status: HTTPStatus) -> str:
    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json.keys() == {"error", "detail", "request_id"}
    assert answer.json["error"] == status.phrase
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    return answer.json["detail"]


@pytest.mark.parametrize("route", ["/predict", "/setup", "/webhook", "/train"])
class TestBodiesOfEveryRoute:
    @pytest.mark.promise("json-limits")
    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b'{"tasks": [', "invalid JSON"),
            (b"{'tasks': []}", "invalid JSON"),
            (b"\xff\xfe{}", "invalid JSON"),
            (b"tasks=[]", "invalid JSON"),
            (b'{"tasks": NaN, "schema": NaN, "action": NaN}', "should be"),
            (b"[]", "should be an object"),
            (b'"text"', "should be an object"),
            (b"7", "should be an object"),
            (b"null", "should be an object"),
            (b"[" * 100_000, "nested too deeply"),
            (b'{"tasks": ' + b'[{"data":' * 40_000, "nested too deeply"),
            (b'{"tasks": [], "project": "\\ud800"}', "invalid JSON"),
            (b'{"tasks": [], "project": "\xff"}', "invalid JSON"),
            (b'{"tasks": [], "project": ' + b"9" * 5000 + b"}", "invalid JSON"),
            (b'{"tasks": []} {}', "invalid JSON"),
            (b'{"tasks": []}\0', "invalid JSON"),
            ('{"tasks": []}'.encode("utf-16"), "invalid JSON"),
        ],
    )
    def test_what_is_no_json_object_is_explained(
        self, server: Server, route: str, body: bytes, said: str
    ) -> None:
        assert said in assert_error(server.ask("POST", route, body), HTTPStatus.BAD_REQUEST)

    def test_a_form_is_refused(self, server: Server, route: str) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = server.ask("POST", route, b"tasks=[]", headers=headers)

        assert "Content-Type must be application/json" in assert_error(
            answer, HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )

    @pytest.mark.promise("no-unpacking-no-pickles")
    def test_a_pickle_is_never_loaded(self, server: Server, route: str) -> None:
        headers = {"Content-Type": "application/vnd.bentoml+pickle"}
        answer = server.ask("POST", route, b"cos\nabort\n(tR.", headers=headers)

        assert_error(answer, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        assert server.is_ready()

    @pytest.mark.promise("no-unpacking-no-pickles")
    def test_a_packed_body_is_never_unpacked(self, server: Server, route: str) -> None:
        bomb = gzip.compress(b" " * 50_000_000)
        answer = server.ask("POST", route, bomb, headers={"Content-Encoding": "gzip"})

        assert "Content-Encoding is not supported" in assert_error(answer, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
    def test_other_methods_are_refused(self, server: Server, route: str, method: str) -> None:
        answer = server.ask(method, route)

        assert_error(answer, HTTPStatus.METHOD_NOT_ALLOWED)
        assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("route", "body", "said"),
    [
        ("/predict", {}, "tasks: field required"),
        ("/predict", {"tasks": None}, "tasks: "),
        ("/predict", {"tasks": {}}, "tasks: "),
        ("/predict", {"tasks": [{"data": "a.jpg"}]}, "tasks[0].data: "),
        ("/predict", {"tasks": [{}, 7]}, "tasks[1]: "),
        ("/predict", {"tasks": [{"id": "x" * 10_000}]}, "200 characters"),
        ("/predict", {"tasks": [], "project": "x" * 10_000}, "200 characters"),
        ("/setup", {"project": "x" * 10_000}, "200 characters"),
        ("/predict", {"tasks": [{}], "label_config": 7}, "label_config: "),
        ("/predict", {"tasks": [{}], "params": {"context": []}}, "params.context: "),
        ("/predict", {"tasks": [{}] * (MAX_TASKS + 1)}, "10000 items"),
        ("/setup", {"schema": []}, "schema: "),
        ("/predict", {"tasks": [{"id": 10**30}]}, "tasks[0].id"),
        ("/predict", {"tasks": [{"id": "9" * 300}]}, "200 characters"),
        ("/webhook", {"action": {}}, "action: "),
    ],
)
def test_a_wrong_type_is_named_with_its_place(server: Server, route: str, body: Any, said: str) -> None:
    assert said in assert_error(server.ask("POST", route, body), HTTPStatus.BAD_REQUEST)


def test_an_empty_body_has_no_tasks(server: Server) -> None:
    assert_error(server.ask("POST", "/predict", b""), HTTPStatus.BAD_REQUEST)


def test_no_tasks_are_no_slots(server: Server) -> None:
    answer = server.ask("POST", "/predict", {"tasks": []})

    assert (answer.status, answer.json) == (200, {"results": [], "failures": []})


class TestLabelConfigs:
    @pytest.mark.promise("label-config-parsed-safely")
    @pytest.mark.parametrize(
        "label_config",
        [
            "this is no XML",
            "<View>",
            '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><View>&a;</View>',
        ],
    )
    def test_one_that_cannot_be_read_is_the_callers_mistake(
        self, server: Server, figure: str, label_config: str
    ) -> None:
        body = {"tasks": [{"data": {"image": figure}}], "label_config": label_config}

        detail = assert_error(server.ask("POST", "/predict", body), HTTPStatus.BAD_REQUEST)

        assert "label config" in detail
        assert "root:" not in detail

    @pytest.mark.parametrize(
        "label_config",
        [
            "<View/>",
            '<View><Text name="t" value="$text"/></View>',
            '<View><Image name="image" value="$image"/></View>',
            '<View><Image name="image" value="$image"/><KeyPointLabels name="kp" toName="image">'
            '<Label value="left antenna"/></KeyPointLabels></View>',
        ],
    )
    def test_one_without_anything_of_ours_fails_its_tasks_and_says_why(
        self, server: Server, figure: str, label_config: str
    ) -> None:
        headers = {"X-Request-ID": f"nothing-of-ours-{len(label_config)}"}
        slots = server.predict(figure, figure, label_config=label_config, headers=headers)

        assert slots == [[], []]
        failed = [line for line in server.logged(headers["X-Request-ID"]) if "reason=label_config" in line]
        assert len(failed) == 2


def test_of_a_key_that_comes_twice_the_last_counts(server: Server) -> None:
    answer = server.ask("POST", "/predict", b'{"tasks": 7, "tasks": []}')

    assert (answer.status, answer.json) == (200, {"results": [], "failures": []})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 400])
def test_odd_numbers_in_what_was_drawn_fail_their_task(server: Server, figure: str, number: str) -> None:
    region = (
        f'{{"origin": "manual", "type": "rectanglelabels", "to_name": "image", "value": {{"x": {number}}}}}'
    )
    context = f'"label_config": {json.dumps(EXAMPLE_LABEL_CONFIG)}, "params": {{"context": {{"result": [{region}]}}}}'
    body = f'{{"tasks": [{{"data": {{"image": "{figure}"}}}}], {context}}}'

    answer = server.ask("POST", "/predict", body.encode())

    assert (answer.status, answer.json["results"]) == (200, [[]])
    (failure,) = answer.json["failures"]
    assert (failure["task"], failure["reason"]) == (None, "prompt")


@pytest.mark.promise("json-limits")
def test_a_body_of_millions_of_small_objects_is_refused_at_once_and_costs_no_memory(
    server: Server, within: Within
) -> None:
    """Read, 64 MiB of them take several GB."""
    (entry,) = (process for process in server.processes() if "rtmlib-ml-backend" in process.cmdline())
    before = entry.memory_info().rss
    body = b'{"tasks": [{"data": {"x": [' + b'{"a":1},' * 7_000_000 + b"1]}}]}"

    with within(5):
        detail = assert_error(server.ask("POST", "/predict", body), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    assert "objects and lists" in detail
    assert entry.memory_info().rss - before < 100 * 2**20


@pytest.mark.promise("known-routes-only")
@pytest.mark.parametrize("path", ["/predict/", "/healthz", "/static_content/index.css", "/%2e%2e/service.py"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_else_bentoml_would_answer_is_no_route(server: Server, path: str, method: str) -> None:
    answer = server.ask(method, path, {} if method == "POST" else None, headers={"Host": "elsewhere.example"})

    assert_error(answer, HTTPStatus.NOT_FOUND)
    assert "elsewhere" not in str(answer.headers)


def test_bentomls_own_client_finds_its_description(server: Server) -> None:
    assert server.ask("GET", "/schema.json").json["routes"]


@pytest.mark.promise("ambiguous-requests-refused")
@pytest.mark.promise("one-error-shape")
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (
            b"POST /setup HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            HTTPStatus.BAD_REQUEST,
        ),
        (
            b"POST /setup HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            HTTPStatus.BAD_REQUEST,
        ),
    ],
)
def test_what_is_not_http_is_told_so_in_the_one_shape(
    server: Server, request_: bytes, status: HTTPStatus
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request_)
        response = http.client.HTTPResponse(connection)
        response.begin()
        answer = Answer(response.status, response.headers, response.read())

    assert_error(answer, status)


@pytest.mark.promise("slow-requests-dropped")
def test_a_body_that_stops_coming_is_given_up_long_before_bentoml_would(
    server: Server, within: Within
) -> None:
    with within(20), socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"POST /setup HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        response = http.client.HTTPResponse(connection)
        response.begin()
        answer = Answer(response.status, response.headers, response.read())

    assert "Send it without pauses" in assert_error(answer, HTTPStatus.REQUEST_TIMEOUT)


@pytest.mark.parametrize("path", ["/nothing", "/health/", "//health", "/../health", "/%00"])
def test_an_unknown_route_is_a_404_that_leads_to_the_api_page(server: Server, path: str) -> None:
    detail = assert_error(server.ask("GET", path), HTTPStatus.NOT_FOUND)

    assert "See / for the API" in detail


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("route", ["/health", "/versions", "/status", "/docs.json", "/livez", "/metrics"])
def test_get_routes_answer_no_other_method(server: Server, route: str, method: str) -> None:
    answer = server.ask(method, route)

    assert_error(answer, HTTPStatus.METHOD_NOT_ALLOWED)
    assert answer.headers["Allow"] in ("GET, HEAD", "HEAD, GET")


def test_a_mistake_leaves_one_line_in_the_log_and_no_traceback(server: Server) -> None:
    before = len(server.log())
    server.ask("POST", "/predict", b"{", headers={"X-Request-ID": "mistake-1"})

    (line,) = server.logged("mistake-1")
    assert "status=400" in line
    assert "invalid JSON" in line
    assert "Traceback" not in server.log()[before:]
    assert "Exception on" not in server.log()[before:]


def test_a_caller_who_goes_away_leaves_no_traceback(server: Server) -> None:
    before = len(server.log())
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "1000")
    connection.putheader("X-Request-ID", "gone-1")
    connection.endheaders(b'{"tasks": ')
    connection.close()

    assert server.logged("gone-1")
    assert "Traceback" not in server.log()[before:]


def test_no_secret_of_a_refused_body_is_answered_or_logged(server: Server) -> None:
    for body in (
        {"access_token": [SECRET], "schema": {"x": SECRET}, "extra_params": {"a": SECRET}},
        {"tasks": 7, "params": {"login": SECRET, "password": SECRET}},
        {"tasks": [], "params": {"password": [SECRET]}},
    ):
        for route in ("/setup", "/predict"):
            assert SECRET not in server.ask("POST", route, body).text
    server.ask("POST", "/setup", json.dumps({"access_token": SECRET}).encode()[:-1])

    assert SECRET not in server.log()


def test_a_forged_request_id_is_replaced(server: Server) -> None:
    answer = server.ask("GET", "/nothing", headers={"X-Request-ID": "a b;c"})

    assert answer.headers["X-Request-ID"].isalnum()
