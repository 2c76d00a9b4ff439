"""The service itself, started as a user starts it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.e2e.processes import Server, free_port
from tests.e2e.wire import Wire, wire

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 120


class Backend:
    """`rtmlib-backend serve` at a port that stays the same when it is restarted.

    Attributes:
        url: Its own address.
        wire: What came from Label Studio, which is told `wire.url`.
    """

    def __init__(self, program: Path, port: int, settings: dict[str, str], log: Path, proxy: Wire) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.wire = proxy
        self._log = log
        self._program = program
        self._environment = {
            **os.environ,
            "BACKEND_PORT": str(port),
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "text",
            **settings,
        }
        self._server: Server | None = None

    def start(self) -> None:
        assert self._server is None
        self._server = Server(
            [str(self._program), "serve"],
            environment=self._environment,
            log=self._log,
            health=f"{self.url}/readyz",
            limit_s=START_LIMIT_S,
        )

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def status(self, **options: Any) -> dict[str, Any]:
        """What an operator sees at /status."""
        response = requests.get(f"{self.url}/status", timeout=5, **options)
        assert response.ok, response.text
        return response.json()

    def log(self) -> str:
        return self._log.read_text(errors="replace")


@contextmanager
def backend(program: Path, folder: Path, **settings: str) -> Iterator[Backend]:
    """Run the service with these settings, behind a proxy that keeps what is sent."""
    port = free_port()
    with wire(port) as proxy:
        service = Backend(program, port, settings, folder / "backend.log", proxy)
        service.start()
        try:
            yield service
        finally:
            service.stop()
