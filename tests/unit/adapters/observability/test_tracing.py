"""When traces are on, by the standard environment variables, and that they cost next to nothing while they are not."""

import time
from typing import Any

import pytest

from adapters.observability import tracing
from adapters.observability.progress import timed_stage
from adapters.observability.tracing import TracingError, wanted

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "keypoints", "OTEL_TRACES_SAMPLER": "always_on"}, False),
        (COLLECTOR, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({**COLLECTOR, "OTEL_SDK_DISABLED": "true"}, False),
        ({**COLLECTOR, "OTEL_SDK_DISABLED": "false"}, True),
        ({**COLLECTOR, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**COLLECTOR, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_the_standard_variables_turn_traces_on_and_off(environment: dict[str, str], expected: bool) -> None:
    assert wanted(environment) == expected


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER: must be otlp or none; 'zipkin' is not available.",
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "must be http/protobuf (usually port 4318); 'grpc' is not available.",
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "'http/json' is not available."),
    ],
)
def test_what_cannot_be_had_is_said_at_the_start(more: dict[str, str], said: str) -> None:
    with pytest.raises(TracingError) as caught:
        wanted({**COLLECTOR, **more})
    assert said in str(caught.value)


def test_without_them_nothing_is_recorded_and_no_line_names_a_trace() -> None:
    with tracing.span("task", **{"rtmlib.task": "x" * 10**6}):
        tracing.failed("inference", "why")
        assert tracing.current_ids() == {}


def test_without_them_no_middleware_is_added() -> None:
    class Service:
        def add_asgi_middleware(self, *_: Any, **__: Any) -> None:
            raise AssertionError("nobody asked for traces")

    tracing.trace_requests(Service())


@pytest.mark.timing
def test_measuring_a_stage_takes_microseconds() -> None:
    started = time.perf_counter()
    for _ in range(1000):
        with timed_stage("fetch"):
            pass

    assert (time.perf_counter() - started) / 1000 < 0.0005
