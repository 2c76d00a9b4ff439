"""A small OTLP/HTTP receiver: takes spans as a collector does, and shows them."""

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.http_server import Handler, serving


@dataclass(frozen=True)
class Span:
    """A span as it came."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start_ns: int
    end_ns: int
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class TraceReceiver:
    """Attributes: url: where to send spans; spans: what came; requests: how often."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    requests: int = 0

    def of_trace(self, trace_id: str, names: set[str], limit_s: float = 15) -> list[Span]:
        """The spans of a trace, as soon as all of these names are among them."""
        deadline = time.monotonic() + limit_s
        while True:
            found = [span for span in list(self.spans) if span.trace_id == trace_id]
            if names <= {span.name for span in found} or time.monotonic() > deadline:
                return found
            time.sleep(0.1)


def _spans(request: Any) -> Iterator[Span]:
    for of_resource in request.resource_spans:
        resource = _values(of_resource.resource.attributes)
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    kind=span.kind,
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    attributes=_values(span.attributes),
                    resource=resource,
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def receiving() -> Iterator[TraceReceiver]:
    """Receive on a free port of 127.0.0.1."""
    receiver = TraceReceiver()

    class Collector(Handler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces", self.path
            assert self.headers["Content-Type"] == "application/x-protobuf"
            receiver.spans += _spans(ExportTraceServiceRequest.FromString(body))
            receiver.requests += 1
            answer = ExportTraceServiceResponse().SerializeToString()
            self.answer(200, answer, Content_Type="application/x-protobuf")

    with serving(Collector) as receiver.url:
        yield receiver
