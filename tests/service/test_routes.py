"""What Label Studio, Kubernetes and people at a browser ask for."""

import json
import re
import socket
from typing import Any

import pytest

from adapters.http.example import EXAMPLE_LABEL_CONFIG
from tests.conftest import Within
from tests.service.server import Server

GET_ROUTES = ["/", "/docs.json", "/health", "/versions", "/status", "/metrics", "/livez", "/readyz"]
POST_ROUTES = ["/predict", "/setup", "/webhook", "/train"]


def test_health_is_json_and_comes_at_once(server: Server, within: Within) -> None:
    with within(1):  # Label Studio waits one second
        answer = server.ask("GET", "/health")

    assert answer.status == 200
    assert answer.json["status"] == "UP"


def test_the_model_version_is_the_same_wherever_it_is_named(server: Server, figure: str) -> None:
    setup = server.ask("POST", "/setup", {"project": "1.17", "schema": EXAMPLE_LABEL_CONFIG}).json
    (slot,) = server.predict(figure)

    version = setup["model_version"]
    assert re.fullmatch(r"rtmlib-embedded-[0-9a-f]{8}", version)
    assert server.ask("GET", "/versions").json == {"versions": [version]}
    assert slot["model_version"] == version
    assert server.ask("GET", "/health").json["model_version"] == version
    assert server.ask("GET", "/status").json["model_version"] == version


@pytest.mark.parametrize(
    "body",
    [
        {
            "project": "4.1795417339",
            "schema": EXAMPLE_LABEL_CONFIG,
            "hostname": "http://localhost:8080",
            "access_token": "secret",
            "extra_params": None,
        },
        {},
        {"schema": "this is no XML"},
        {"schema": "<View/>"},
        {"schema": '<!DOCTYPE x [<!ENTITY a "a">]><View>&a;</View>'},
    ],
)
def test_setup_answers_whatever_the_project_is(server: Server, body: dict[str, Any]) -> None:
    answer = server.ask("POST", "/setup", body)

    assert answer.status == 200
    assert answer.json.keys() == {"model_version"}


def test_what_a_label_config_lacks_is_logged_and_shown(server: Server) -> None:
    server.ask("POST", "/setup", {"project": "7.1", "schema": "<View/>"}, headers={"X-Request-ID": "setup-7"})

    (problem, *_) = server.ask("GET", "/status").json["label_config_problems"]["7.1"]
    assert "Image tag" in problem
    assert any("project=7.1" in line and "Image tag" in line for line in server.logged("setup-7"))


@pytest.mark.parametrize("route", ["/webhook", "/train"])
@pytest.mark.parametrize(
    "body",
    [
        {"action": "START_TRAINING", "project": {"id": 1}},
        {"action": "ANNOTATION_CREATED", "project": {"id": 1}, "annotation": {"id": 2}, "task": {"id": 3}},
        {},
    ],
)
def test_events_are_taken_note_of_and_nothing_is_trained(
    server: Server, route: str, body: dict[str, Any]
) -> None:
    answer = server.ask("POST", route, body)

    assert answer.status == 200
    assert "does not train its model" in answer.json["message"]


@pytest.mark.parametrize("route", ["/livez", "/readyz"])
def test_probes_say_yes(server: Server, route: str) -> None:
    assert server.ask("GET", route).status == 200


def test_the_answer_says_why_a_task_failed(server: Server, figure: str) -> None:
    tasks = [
        {"id": number, "data": {"image": at}} for number, at in ((7, figure), ("a", ""), (7, "nonsense"))
    ]
    answer = server.ask("POST", "/predict", {"tasks": tasks}).json

    assert [slot == [] for slot in answer["results"]] == [False, True, True]
    told = [(failure["task"], failure["reason"]) for failure in answer["failures"]]
    assert told == [("a", "no_picture"), (7, "bad_address")]
    shown = server.ask("GET", "/status").json["last_failures"][-2:]
    assert {one["detail"] for one in shown} == {failure["detail"] for failure in answer["failures"]}


def test_status_shows_the_work(server: Server, figure: str) -> None:
    before = server.ask("GET", "/status").json
    server.predict(figure, "")
    after = server.ask("GET", "/status").json

    assert (after["mode"], after["device"]) == ("embedded", "cpu")
    assert after["tasks"]["succeeded"] == before["tasks"]["succeeded"] + 1
    assert after["tasks"]["failed"] == before["tasks"]["failed"] + 1
    assert (after["tasks"]["waiting"], after["tasks"]["in_hand"]) == (0, 0)
    assert after["last_failures"][-1]["reason"] == "no_picture"


def test_metrics_are_in_prometheus_format(server: Server, figure: str) -> None:
    server.predict(figure)
    answer = server.ask("GET", "/metrics")

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    samples = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"\w+({.*})? [-+.\deInfNa]+", line) for line in samples)
    assert server.metric("rtmlib_tasks_total", outcome="succeeded") >= 1
    for stage in ("fetch", "decode", "detect", "crop", "pose", "hands_and_face", "format"):
        assert server.metric("rtmlib_stage_seconds_count", stage=stage) >= 1
    for network in ("person", "body", "hand", "face", "face_mesh"):
        assert server.metric("rtmlib_network_seconds_count", network=network) >= 1


def test_the_api_page_shows_the_routes_and_needs_nobody_else(server: Server) -> None:
    page = server.ask("GET", "/")

    assert page.headers["Content-Type"].startswith("text/html")
    addresses = re.findall(r'(?:src|href|url)[=:] ?"([^"]+)"', page.text)
    assert addresses
    for number, address in enumerate(addresses):
        assert address.startswith("./"), f"{address} is not of this server"
        headers = {"X-Request-ID": f"page-{number}"}
        assert server.ask("GET", address.removeprefix("."), headers=headers).status == 200
        (line,) = server.logged(headers["X-Request-ID"])
        assert " status=200 " in line


@pytest.mark.parametrize("route", GET_ROUTES)
def test_head_is_get_without_the_body(server: Server, route: str) -> None:
    answer = server.ask("HEAD", route)

    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("route", POST_ROUTES)
def test_every_example_on_the_api_page_works_as_it_is(server: Server, route: str) -> None:
    document = server.ask("GET", "/docs.json").json
    content = document["paths"][route]["post"]["requestBody"]["content"]["application/json"]

    answer = server.ask("POST", route, content["example"])

    assert answer.status == 200
    if route == "/predict":
        (slot,) = answer.json["results"]
        assert len(slot["result"]) == 18, "a box and 17 keypoints"


def test_one_connection_serves_many_requests(server: Server) -> None:
    request = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        stream = connection.makefile("rb")
        for _ in range(3):
            connection.sendall(request)
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
            length = 0
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert json.loads(stream.read(length))["status"] == "UP"
        stream.close()
