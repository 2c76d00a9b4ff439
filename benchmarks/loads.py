"""Shared parts of the benchmarks: picture server, server processes, callers, percentiles."""

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import psutil

from adapters.label_studio.label_config.template import Selection, label_config_template

LABEL_CONFIG = label_config_template([Selection.WHOLE])
SUFFIXES = {".jpg", ".jpeg", ".png"}
START_LIMIT_S = 300
"""Without compilation, which `engine_process.py` has done before."""


def end_orderly() -> None:
    """Let this process stop its servers also when it is terminated, as by a timeout."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def picture_names(folder: Path) -> list[str]:
    """Return the names of the pictures in a folder."""
    return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


class _NeverTheSame(BaseHTTPRequestHandler):
    """Serves pictures with different bytes appended each time, so that none is in the cache."""

    folder: Path
    served = itertools.count()

    def do_GET(self) -> None:
        content = (self.folder / Path(self.path).name).read_bytes() + next(self.served).to_bytes(8, "big")
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def picture_server(folder: Path) -> Generator[str]:
    """Serve the pictures of a folder; yields the address."""
    handler = type("Handler", (_NeverTheSame,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@dataclass(frozen=True)
class Running:
    """A server process, its address and its log."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def memory_mib(self) -> float:
        """Return the memory of the process and its descendants, MiB; shared memory counts once (PSS)."""
        root = psutil.Process(self.process.pid)
        return sum(_memory(one) for one in [root, *root.children(recursive=True)]) / 2**20


def _memory(process: psutil.Process) -> int:
    try:
        found = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0
    return getattr(found, "pss", found.rss)


@contextmanager
def running(command: Sequence[str | Path], port: int, settings: Mapping[str, str]) -> Generator[Running]:
    """Run a server; its output goes to a file, which is named if the server does not stop in time."""
    log = Path(tempfile.mkstemp(suffix=".log")[1])
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=os.environ | dict(settings), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield Running(f"http://127.0.0.1:{port}", process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            print(f"{command[0]} did not stop; see {log}", file=sys.stderr)


@contextmanager
def backend(settings: Mapping[str, str] | None = None) -> Generator[Running]:
    """Run the service as users start it."""
    port = free_port()
    ours = {"BACKEND_PORT": str(port), "ALLOWED_IMAGE_HOSTS": "127.0.0.1", "LOG_LEVEL": "WARNING"}
    command = [sys.executable, "-m", "adapters.cli", "serve"]
    with running(command, port, ours | dict(settings or {})) as server:
        yield server


async def ask_for_people(session: aiohttp.ClientSession, address: str, picture: str) -> float:
    """Request the prediction of one picture; returns its latency in seconds.

    Raises:
        RuntimeError: The response is not a prediction.
    """
    body = {"tasks": [{"id": 1, "data": {"image": picture}}], "label_config": LABEL_CONFIG}
    started = time.perf_counter()
    async with session.post(f"{address}/predict", json=body) as answer:
        said = await answer.text()
        took_s = time.perf_counter() - started
        if answer.status != 200 or json.loads(said)["results"][0] == []:
            raise RuntimeError(f"{address} answered {answer.status}: {said[:300]}")
    return took_s


async def until_ready(session: aiohttp.ClientSession, server: Running, path: str = "/readyz") -> float:
    """Wait until a server is ready; returns the seconds that it took.

    Raises:
        RuntimeError: The server ended.
        TimeoutError: It was not ready in time.
    """
    started = time.perf_counter()
    while time.perf_counter() - started < START_LIMIT_S:
        if (code := server.process.poll()) is not None:
            raise RuntimeError(f"A server ended with {code} before it was ready; {server.log} says why")
        try:
            async with session.get(f"{server.address}{path}") as answer:
                if answer.status == 200:
                    return time.perf_counter() - started
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError(f"A server is not ready after {START_LIMIT_S} s; {server.log} may say why")


async def spread(work: Sequence[str], callers: int, one: Callable[[str], Awaitable[None]]) -> float:
    """Do the work with concurrent callers; returns the seconds that it took."""
    queue = iter(work)

    async def caller() -> None:
        for item in queue:
            await one(item)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - started


async def during(seconds: float, callers: int, one: Callable[[], Awaitable[None]]) -> float:
    """Let concurrent callers work for some time; returns the calls per second.

    Calls that have started are finished, and their time counts.
    """
    done = 0
    started = time.perf_counter()

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() - started < seconds:
            await one()
            done += 1

    await asyncio.gather(*(caller() for _ in range(callers)))
    return done / (time.perf_counter() - started)


def percentile_ms(seconds: Sequence[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return round(sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)] * 1000, 1)
