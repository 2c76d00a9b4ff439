"""`rtmlib-backend doctor` as tests call it, and the Label Studio that it asks."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from click.testing import Result

TOKEN = "0123456789abcdef0123456789abcdef01234567"

Doctor = Callable[..., Result]
"""Runs the command with these options, and these settings as keyword arguments."""


@contextmanager
def answering(answer: Callable[[str, bool], tuple[int, Any]]) -> Iterator[str]:
    """Run a Label Studio.

    Args:
        answer: A path, and whether the request has the token, to a status and a body.

    Yields:
        Its address.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = answer(self.path, self.headers.get("Authorization") == f"Token {TOKEN}")
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
