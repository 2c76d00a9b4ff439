"""Traces of a running server, sent to a receiver of OTLP over HTTP: one trace through all its processes."""

import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from adapters.label_studio.schemas import MAX_IDENTIFIER
from adapters.observability.tracing import MAX_VALUE
from tests.service.conftest import StartServer
from tests.service.server import Server
from tests.service.trace_receiver import Span, TraceReceiver, receiving

SERVER_KIND = 2
STAGES = ["fetch", "decode", "detect", "crop", "pose", "hands_and_face", "format"]
RUNNER_CALLS = {"POST /person", "POST /body"}
WHOLE = {"POST /predict", "task", *STAGES, *RUNNER_CALLS}


@pytest.fixture(scope="module")
def receiver() -> Iterator[TraceReceiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def traced(start_server: StartServer, receiver: TraceReceiver) -> Iterator[Server]:
    server = start_server(
        ALLOWED_IMAGE_HOSTS="127.0.0.1",
        LOG_FORMAT="json",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_SERVICE_NAME="keypoints",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
        OTEL_TRACES_SAMPLER="parentbased_always_on",
        OTEL_BSP_SCHEDULE_DELAY="200",
    )
    yield server
    assert server.stop() == []


def traceparent(trace_id: str, *, sampled: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-0{int(sampled)}"}


def only(spans: list[Span], name: str) -> Span:
    (span,) = (span for span in spans if span.name == name)
    return span


@pytest.fixture(scope="module")
def spans(traced: Server, receiver: TraceReceiver, new_figure: Callable[[], str]) -> list[Span]:
    """One prediction of one picture that was never seen."""
    traced.predict(new_figure(), headers=traceparent("a" * 32))
    return receiver.of_trace("a" * 32, WHOLE)


def test_a_prediction_is_one_trace_from_the_caller_to_the_runners(spans: list[Span]) -> None:
    assert {span.name for span in spans} >= WHOLE
    request = only(spans, "POST /predict")
    assert request.parent_id == "00f067aa0ba902b7"
    assert request.kind == SERVER_KIND
    assert request.resource["service.name"] == "keypoints"
    assert request.resource["deployment.environment.name"] == "test"


def test_the_stages_of_a_task_follow_each_other(spans: list[Span]) -> None:
    task = only(spans, "task")
    stages = [only(spans, name) for name in STAGES]

    assert task.parent_id == only(spans, "POST /predict").span_id
    assert {stage.parent_id for stage in stages} == {task.span_id}
    assert [stage.name for stage in sorted(stages, key=lambda stage: stage.start_ns)] == STAGES
    assert all(before.end_ns <= after.start_ns for before, after in pairwise(stages))
    assert task.start_ns <= stages[0].start_ns
    assert stages[-1].end_ns <= task.end_ns


def test_a_task_is_named_as_label_studio_names_it(spans: list[Span]) -> None:
    assert only(spans, "task").attributes == {"rtmlib.task": 1, "rtmlib.project": "1.1795417339"}


def test_runners_continue_the_trace_in_their_own_processes(spans: list[Span]) -> None:
    detector, body = only(spans, "POST /person"), only(spans, "POST /body")

    assert detector.parent_id == only(spans, "detect").span_id
    assert body.parent_id == only(spans, "pose").span_id
    assert detector.resource["rtmlib.process"] == "detector"
    assert body.resource["rtmlib.process"] == "pose"
    assert only(spans, "task").resource["rtmlib.process"] == "entry"
    pids = {span.resource["process.pid"] for span in (detector, body, only(spans, "task"))}
    assert len(pids) == 3
    hands_and_face = only(spans, "hands_and_face").span_id
    others = [span for span in spans if span.name in {"POST /hand", "POST /face", "POST /face_mesh"}]
    assert others
    assert {span.parent_id for span in others} == {hands_and_face}


def test_the_messages_of_a_request_are_no_spans(spans: list[Span]) -> None:
    assert not [span.name for span in spans if " http " in span.name]


def test_a_failed_task_is_a_failed_span_with_its_reason(traced: Server, receiver: TraceReceiver) -> None:
    traced.predict("http://127.0.0.1:1/a.png", headers=traceparent("b" * 32))
    found = receiver.of_trace("b" * 32, {"POST /predict", "task", "fetch"})

    assert only(found, "task").failed
    assert only(found, "task").attributes["error.type"] == "unreachable"
    assert only(found, "fetch").failed
    assert not only(found, "POST /predict").failed, "the request itself was answered"


@pytest.mark.parametrize("written", ["x" * MAX_IDENTIFIER, "a\nb", "\x00", "写真"])
def test_no_id_of_a_task_costs_spans(traced: Server, receiver: TraceReceiver, written: str) -> None:
    trace_id = f"{ord(written[0]) + 1:032x}"
    body = {"tasks": [{"id": written, "data": {"image": "nonsense"}}], "project": written}
    traced.ask(
        "POST",
        "/predict",
        json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **traceparent(trace_id)},
    )

    shown = only(receiver.of_trace(trace_id, {"POST /predict", "task"}), "task").attributes["rtmlib.task"]
    assert shown == written[:MAX_VALUE]


def test_log_lines_name_the_trace(traced: Server) -> None:
    traced.predict("http://127.0.0.1:1/b.png", headers={**traceparent("c" * 32), "X-Request-ID": "traced-1"})

    deadline = time.monotonic() + 5  # the last line is written after the answer
    of_request: list[dict[str, Any]] = []
    while len(of_request) < 2 and time.monotonic() < deadline:
        lines = [json.loads(line) for line in traced.log().split("\n")[:-1]]
        of_request = [line for line in lines if line.get("request") == "traced-1"]
    assert [line["message"] for line in of_request] == ["task failed", "answered"]
    assert {line["trace_id"] for line in of_request} == {"c" * 32}


def test_a_caller_who_keeps_no_trace_costs_none(traced: Server, receiver: TraceReceiver, figure: str) -> None:
    traced.predict(figure, headers=traceparent("d" * 32, sampled=False))
    traced.predict(figure, headers=traceparent("e" * 32))

    assert receiver.of_trace("e" * 32, {"POST /predict"})
    assert not receiver.of_trace("d" * 32, {"POST /predict"}, limit_s=0.5)


def test_probes_leave_no_traces(traced: Server, receiver: TraceReceiver, figure: str) -> None:
    for path in ("/health", "/livez", "/readyz", "/metrics"):
        traced.ask("GET", path)
    traced.predict(figure, headers=traceparent("f" * 32))
    receiver.of_trace("f" * 32, {"POST /predict"})

    assert not [span.name for span in receiver.spans if span.name.startswith("GET")]


def test_without_a_receiver_predictions_go_on_and_the_server_ends_in_time(
    start_server: StartServer, figure: str
) -> None:
    server = start_server(
        ALLOWED_IMAGE_HOSTS="127.0.0.1",
        LOG_FORMAT="json",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        OTEL_BSP_SCHEDULE_DELAY="100",
    )
    assert server.predict(figure)[0]["result"]
    assert server.stop() == []
    for line in server.log().splitlines():
        json.loads(line)
