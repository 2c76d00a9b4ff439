"""A small web server for pictures, and for what is found on the web in place of them."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

SLOW_S = 30
"""How long `/slow` is silent, unless the server is closed: longer than anybody should wait."""


@dataclass
class PictureServer:
    """Serves files on the loopback network.

    Attributes:
        url: Its address.
        files: What it serves, by path; may be added to.
        statuses: What it answers in place of 200, by path.
        delays: Seconds of silence before an answer, by path.
        asked: The paths that were asked for, in their order.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, path: str, content: bytes) -> str:
        """Serve a file from now on; returns its address."""
        self.files[path] = content
        return self.url + path


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    pictures: PictureServer
    closing: threading.Event


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = cast(_Server, self.server)
        pictures = server.pictures
        pictures.asked.append(self.path)
        if self.path == "/slow":
            server.closing.wait(SLOW_S)
            return
        server.closing.wait(pictures.delays.get(self.path, 0))
        content = pictures.files.get(self.path)
        self.send_response(pictures.statuses.get(self.path, 200 if content is not None else 404))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content or b"")))
        with contextlib.suppress(ConnectionError):  # some callers do not wait
            self.end_headers()
            self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[PictureServer]:
    """Serve on a free port of 127.0.0.1."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.pictures = PictureServer(f"http://127.0.0.1:{server.server_port}")
        server.closing = threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.pictures
        finally:
            server.closing.set()
            server.shutdown()
            thread.join(5)
