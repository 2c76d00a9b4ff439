"""What Label Studio really sends: a proxy in front of the backend that keeps every request and its answer."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.http_server import Handler, serving

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


@dataclass(frozen=True)
class Exchange:
    """A request and its answer; bodies as JSON, None where they are none."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: Any
    status: int
    answer: Any


class Wire:
    """The proxy: `url` is what Label Studio is told, `exchanges` what came by."""

    def __init__(self, backend_port: int) -> None:
        self.exchanges: list[Exchange] = []
        self._backend_port = backend_port
        self.url = ""
        wire = self

        class Proxy(Handler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                wire.forward(self)

            def do_POST(self) -> None:
                wire.forward(self)

        self.handler = Proxy

    def requests(self, path: str) -> list[Exchange]:
        """The exchanges on one path, in order."""
        return [exchange for exchange in self.exchanges if exchange.path == path]

    def forward(self, handler: Handler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in handler.headers.items() if name.lower() != "connection"}
        connection = http.client.HTTPConnection("127.0.0.1", self._backend_port, timeout=110)
        try:
            connection.request(handler.command, handler.path, body or None, headers)
            response = connection.getresponse()
            status, answer, given = response.status, response.read(), response.getheaders()
        except OSError:  # nobody listens: what a gateway says then
            status, answer, given = 502, b"{}", []
        finally:
            connection.close()
        self.exchanges.append(
            Exchange(handler.command, handler.path, headers, _json(body), status, _json(answer))
        )
        handler.send_response_only(status)
        for name, value in given:
            if name.lower() not in _HOP_BY_HOP:
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)


@contextmanager
def wire(backend_port: int) -> Iterator[Wire]:
    """Run a proxy in front of the backend at a port of this machine."""
    proxy = Wire(backend_port)
    with serving(proxy.handler) as proxy.url:
        yield proxy


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
