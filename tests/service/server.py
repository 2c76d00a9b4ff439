"""A real server process, started as users start it and driven over a socket."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from adapters.settings import Settings

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 240
STOP_LIMIT_S = 30
"""A busy machine takes so long. How long it should take is bounded in test_life.py."""


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def command(service: str = "service:Backend") -> list[str]:
    return [sys.executable, "-m", "bentoml", "serve", "--working-dir", str(ROOT), service]


def environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a server: none of the tester's own settings, and a BentoML folder of its own.

    Two servers with one BentoML folder would add up, and at each start remove, each other's metrics.
    """
    ours = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return (
        inherited
        | {"BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "true", "LOG_FORMAT": "text"}
        | dict(settings)
    )


@dataclass
class Server:
    """A server process with its workers.

    Attributes:
        folder: For its log and for BentoML.
        settings: Environment variables.
        service: What is served.
        start_s: How long the last start took.
    """

    folder: Path
    settings: Mapping[str, str]
    port: int = field(default_factory=free_port)
    service: str = "service:Backend"
    start_s: float = 0.0

    def launch(self) -> None:
        """Start it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command(self.service),
                env=environment(self.folder, {**self.settings, "BACKEND_PORT": str(self.port)}),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Start it and wait until it can predict."""
        started = time.monotonic()
        self.launch()
        deadline = time.monotonic() + START_LIMIT_S
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"The server did not start:\n{self.log()}")
            time.sleep(0.1)
        self.start_s = time.monotonic() - started

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz", timeout=5).status == 200
        except OSError:
            return False

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def logged(self, request_id: str, limit_s: float = 5) -> list[str]:
        """The lines of one request, as soon as the last of them, the one of the gateway, is there."""
        deadline = time.monotonic() + limit_s
        while True:
            lines = [line for line in self.log().splitlines() if f"request={request_id} " in line]
            if any(" method=" in line for line in lines) or time.monotonic() > deadline:
                return lines
            time.sleep(0.05)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Answer:
        """Send one request. A body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, data, given | dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def predict(
        self,
        *pictures: str,
        label_config: str | None = None,
        context: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[Any]:
        """Ask for predictions as Label Studio does: one task for each picture; returns the slots."""
        answer = self.ask(
            "POST",
            "/predict",
            {
                "tasks": [{"id": number, "data": {"image": at}} for number, at in enumerate(pictures, 1)],
                "project": "1.1795417339",
                "label_config": label_config,
                "params": {"login": None, "password": None, "context": context},
            },
            headers=headers,
        )
        assert answer.status == 200, answer.text
        return answer.json["results"]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        total = 0.0
        for sample in self.ask("GET", "/metrics").text.splitlines():
            found = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", sample)
            if found and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', found[1] or "")).items():
                total += float(found[2])
        return total

    def processes(self) -> list[psutil.Process]:
        """The server and all that it started."""
        try:
            server = psutil.Process(self._process.pid)
            return [server, *server.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def worker(self, service: str) -> psutil.Process:
        """The worker process of one of the services."""
        (found,) = (one for one in self.processes() if service in one.cmdline())
        return found

    def terminate(self) -> None:
        """Send SIGTERM, as Kubernetes does, and do not wait."""
        self._process.send_signal(signal.SIGTERM)

    def exit_code(self, limit_s: float) -> int:
        """Wait for its end."""
        return self._process.wait(limit_s)

    def stop(self) -> list[psutil.Process]:
        """End it as Kubernetes does, with SIGTERM.

        Returns:
            Those of its processes that were left, before they were killed.
        """
        processes = self.processes()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_LIMIT_S)
        _, left = psutil.wait_procs(processes, timeout=1)
        for process in left:
            process.kill()
        self._process.wait(STOP_LIMIT_S)
        return left


def keypoints(result: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The keypoints of a prediction's result with one person, by label."""
    return {
        region["value"]["keypointlabels"][0]: region
        for region in result
        if region["type"] == "keypointlabels"
    }


def boxes(result: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [region for region in result if region["type"] == "rectanglelabels"]
