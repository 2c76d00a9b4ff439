"""Server processes on ports of this machine: started, waited for, ended with all that they started."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import requests

STOP_LIMIT_S = 30


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """A program that answers HTTP.

    Args:
        command: What to run.
        environment: Its whole environment.
        log: File that its output is appended to.
        health: Address that answers 200 when it is ready.
        limit_s: Seconds that it may take to start.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        health: str,
        limit_s: float,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            # A process group of its own, so that nothing that it starts is left behind.
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            wait_until(lambda: self._answers(health), limit_s, f"{command[0]} answers at {health}; see {log}")
        except BaseException:
            self.stop()
            raise

    def _answers(self, health: str) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"the server ended: {self.log.read_text(errors='replace')[-3000:]}")
        try:
            return requests.get(health, timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def stop(self) -> None:
        """End it; forcibly when it takes too long."""
        for by in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, by)
            except ProcessLookupError:
                return
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                continue


def wait_until(true: Callable[[], bool], limit_s: float, what: str) -> None:
    """Ask again and again until it is true."""
    deadline = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s:g} s: {what}")
        time.sleep(0.2)
