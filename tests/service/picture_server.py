"""A small web server for pictures, and for what is found on the web in place of them."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support import http_server
from tests.support.http_server import Handler

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

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, path: str, content: bytes) -> str:
        """Serve a file from now on; returns its address."""
        self.files[path] = content
        return self.url + path


@contextmanager
def serving() -> Iterator[PictureServer]:
    """Serve on a free port of 127.0.0.1."""
    pictures, closing = PictureServer(), threading.Event()

    class Pictures(Handler):
        def do_GET(self) -> None:
            pictures.asked.append(self.path)
            if self.path == "/slow":
                closing.wait(SLOW_S)
                return
            closing.wait(pictures.delays.get(self.path, 0))
            content = pictures.files.get(self.path)
            status = pictures.statuses.get(self.path, 200 if content is not None else 404)
            with contextlib.suppress(ConnectionError):  # some callers do not wait
                self.answer(status, content or b"", Content_Type="application/octet-stream")

    with http_server.serving(Pictures) as pictures.url:
        try:
            yield pictures
        finally:
            closing.set()
