"""OpenTelemetry traces: a span per request, here and in the runners, per task and per stage.

Off, and nearly free, unless the standard environment variables turn them on: OTEL_EXPORTER_OTLP_ENDPOINT (or
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) is their destination. OTEL_TRACES_SAMPLER selects spans; OTEL_SERVICE_NAME and
OTEL_RESOURCE_ATTRIBUTES name them. See docs/operation.md.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from opentelemetry import context, trace
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.observability.processes import own_name

SERVICE_NAME = "rtmlib-ml-backend"
NOT_TRACED = "/health$,/livez$,/readyz$,/metrics$"
"""Requested every few seconds; their spans would bury the others."""
MAX_VALUE = 200
"""Limit for an attribute, in characters: a task's id may be as long as a request."""

_provider: trace.TracerProvider | None = None  # set once, before any request


class TracingError(Exception):
    """The environment configures an unsupported way of tracing; the message names the supported one."""


def wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether the environment turns tracing on.

    Raises:
        TracingError: The protocol or exporter is not supported.
    """
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    if exporter not in ("", "otlp"):
        raise TracingError(f"OTEL_TRACES_EXPORTER: must be otlp or none; {exporter!r} is not available.")
    if not (
        exporter
        or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    ):
        return False
    general = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or general or "http/protobuf"
    if protocol != "http/protobuf":
        raise TracingError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf (usually port 4318); {protocol!r} is not available."
        )
    return True


def configure_tracing() -> None:
    """Export this process's spans if the environment turns tracing on.

    Raises:
        TracingError: See `wanted`.
    """
    global _provider  # noqa: PLW0603 - one per process, as in the SDK
    if not wanted(os.environ):
        return
    # Imported here: they cost a third of a second.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    service_name = os.environ.get("OTEL_SERVICE_NAME") or SERVICE_NAME
    provider = TracerProvider(
        resource=Resource.create(
            {"service.name": service_name, "rtmlib.process": own_name(), "process.pid": os.getpid()}
        )
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _provider = provider


def trace_requests(service: Any) -> None:
    """Trace each request to a BentoML service, if tracing is on. Call it before adding other middleware."""
    if _provider is not None:
        service.add_asgi_middleware(_TracedRequests, provider=_provider)


class _TracedRequests:
    """ASGI middleware: a span per request, in the trace of the `traceparent` header."""

    def __init__(self, app: ASGIApp, provider: trace.TracerProvider) -> None:
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware  # noqa: PLC0415 - only if tracing is on

        self._traced: Any = OpenTelemetryMiddleware(
            app,
            excluded_urls=NOT_TRACED,
            tracer_provider=provider,
            exclude_spans=["receive", "send"],  # dozens: one per message
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        # Without a new context, the span of the connection's last request could become the parent.
        token = context.attach(context.Context())
        try:
            await self._traced(scope, receive, send)
        finally:
            context.detach(token)


def span(name: str, **attributes: str | float | None) -> AbstractContextManager[object]:
    """Return a context manager that records a span; it does nothing if tracing is off.

    Args:
        name: One of a fixed set.
        attributes: Values of the span; None is left out.
    """
    return nullcontext() if _provider is None else _recorded(_provider, name, attributes)


@contextmanager
def _recorded(
    provider: trace.TracerProvider, name: str, attributes: Mapping[str, str | float | None]
) -> Generator[None]:
    values = {key: _exportable(value) for key, value in attributes.items() if value is not None}
    with provider.get_tracer(SERVICE_NAME).start_as_current_span(name, attributes=values):
        yield


def failed(reason: str, detail: str) -> None:
    """Mark the current span as failed."""
    if _provider is not None:
        current = trace.get_current_span()
        current.set_attribute("error.type", reason)
        current.set_status(trace.StatusCode.ERROR, str(_exportable(detail)))


def current_ids() -> dict[str, str]:
    """Return the ids of the current trace and span for a log line; empty without a span."""
    if _provider is None:
        return {}
    current = trace.get_current_span().get_span_context()
    if not current.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(current.trace_id),
        "span_id": trace.format_span_id(current.span_id),
    }


def _exportable(value: str | float) -> str | float:
    """Return a value, shortened and with surrogates escaped: one surrogate would lose a whole batch of spans."""
    if isinstance(value, str):
        return value[:MAX_VALUE].encode("utf-8", "backslashreplace").decode()
    return value
