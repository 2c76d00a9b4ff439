"""The service under load beside the same pipeline in one process.

    uv run python -m benchmarks.serving --photos FOLDER [--requests 1000] [--callers 16]

Both get the same pictures, the same number of threads and the same concurrency; they take turns, since a machine may
be faster in one minute than in the next. Printed are pictures per second, their ratio, failures, the latency of
/predict, that of /health meanwhile, and the mean batch of each network.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp

from adapters.composition import runner_config
from adapters.label_studio.label_config import parse_label_config
from adapters.label_studio.label_config_template import Selection, label_config_template
from adapters.label_studio.predictions import PeopleInImage, Thresholds, prediction
from adapters.pictures.decoding import decode
from adapters.settings import load_settings
from runners.assembly import assemble_in_process
from wholebody.pipeline import find_people

LABEL_CONFIG = label_config_template([Selection.WHOLE])
SUFFIXES = {".jpg", ".jpeg", ".png"}
TURNS = 4


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class _NeverTheSame(BaseHTTPRequestHandler):
    """Serves pictures with a few other bytes behind each, so that nothing can be answered from the cache."""

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
    """Serve the pictures of a folder; gives the address."""
    handler = type("Handler", (_NeverTheSame,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@contextmanager
def backend(log: Path) -> Generator[str]:
    """Start the service as users start it; gives the address."""
    port = free_port()
    environment = os.environ | {
        "BACKEND_PORT": str(port),
        "ALLOWED_IMAGE_HOSTS": "127.0.0.1",
        "LOG_LEVEL": "WARNING",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("rtmlib-backend"), "serve"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def until_ready(session: aiohttp.ClientSession, address: str, limit_s: float = 300) -> float:
    """Wait until the service can predict; returns the seconds that it took."""
    started = time.perf_counter()
    while time.perf_counter() - started < limit_s:
        try:
            async with session.get(f"{address}/readyz") as answer:
                if answer.status == 200:
                    return time.perf_counter() - started
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError(f"{address} is not ready after {limit_s} s")


async def spread(work: list[str], callers: int, one: Callable[[str], Awaitable[None]]) -> float:
    """Do the work with that many callers at once; returns the seconds that it took."""
    queue = iter(work)

    async def caller() -> None:
        for item in queue:
            await one(item)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - started


async def watch_health(session: aiohttp.ClientSession, address: str, latencies: list[float]) -> None:
    """Ask for /health twenty times a second until cancelled."""
    while True:
        started = time.perf_counter()
        async with session.get(f"{address}/health") as answer:
            await answer.read()
        latencies.append(time.perf_counter() - started)
        await asyncio.sleep(0.05)


async def mean_batches(session: aiohttp.ClientSession, address: str) -> dict[str, float]:
    """Read the mean batch of each network from /metrics."""
    async with session.get(f"{address}/metrics") as answer:
        text = await answer.text()
    found = {
        kind: dict(re.findall(rf'rtmlib_network_batch_size_{kind}{{network="(\w+)"}} (\S+)', text))
        for kind in ("sum", "count")
    }
    return {
        network: round(float(found["sum"][network]) / float(count), 2)
        for network, count in found["count"].items()
        if float(count)
    }


def percentile(values: list[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return round(sorted(values)[min(int(len(values) * share), len(values) - 1)] * 1000, 1)


async def measure(photos: Path, names: list[str], requests: int, callers: int) -> dict[str, object]:
    """Run the comparison."""
    settings = load_settings()
    detector, estimator = assemble_in_process(runner_config(settings))
    image = parse_label_config(LABEL_CONFIG).images[0]
    thresholds = Thresholds(0.0, settings.confidence_threshold)

    async def directly(name: str) -> None:
        data = await asyncio.to_thread((photos / name).read_bytes)
        picture = await asyncio.to_thread(decode, data)
        people = await find_people(picture, detector, estimator)
        size = picture.shape[1], picture.shape[0]
        json.dumps(prediction([PeopleInImage(image, people, size)], model_version="v", thresholds=thresholds))

    failures = 0
    latencies: list[float] = []
    health: list[float] = []
    log = Path(tempfile.mkstemp(suffix=".log")[1])
    with picture_server(photos) as pictures, backend(log) as address:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            start_s = await until_ready(session, address)

            async def served(name: str) -> None:
                nonlocal failures
                body = {
                    "tasks": [{"id": 1, "data": {"image": f"{pictures}/{name}"}}],
                    "label_config": LABEL_CONFIG,
                }
                started = time.perf_counter()
                async with session.post(f"{address}/predict", json=body) as answer:
                    good = answer.status == 200 and (await answer.json())["results"][0] != []
                failures += not good
                latencies.append(time.perf_counter() - started)

            per_turn = [names[i % len(names)] for i in range(requests // TURNS)]
            few = per_turn[: 4 * callers // TURNS]
            await spread(few, callers, served)
            await spread(few, callers, directly)
            failures = 0
            latencies.clear()
            rates: dict[str, list[float]] = {"served": [], "direct": []}
            for _ in range(TURNS):
                watching = asyncio.create_task(watch_health(session, address, health))
                rates["served"].append(len(per_turn) / await spread(per_turn, callers, served))
                watching.cancel()
                rates["direct"].append(len(per_turn) / await spread(per_turn, callers, directly))
            batches = await mean_batches(session, address)
    return {
        "pictures": len(names),
        "requests": len(latencies),
        "callers": callers,
        "failures": failures,
        "ready_after_s": round(start_s, 1),
        "served_per_s": round(statistics.median(rates["served"]), 2),
        "direct_per_s": round(statistics.median(rates["direct"]), 2),
        "ratio": round(
            statistics.median(s / d for s, d in zip(rates["served"], rates["direct"], strict=True)), 3
        ),
        "ratios": [round(s / d, 3) for s, d in zip(rates["served"], rates["direct"], strict=True)],
        "predict_ms": {"p50": percentile(latencies, 0.5), "p99": percentile(latencies, 0.99)},
        "health_ms": {"p50": percentile(health, 0.5), "p99": percentile(health, 0.99), "asked": len(health)},
        "mean_batch": batches,
    }


def main() -> None:
    """Run the comparison and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="Folder of .jpg and .png files.")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--callers", type=int, default=16)
    arguments = parser.parse_args()
    names = sorted(path.name for path in arguments.photos.iterdir() if path.suffix.lower() in SUFFIXES)
    found = asyncio.run(measure(arguments.photos, names, arguments.requests, arguments.callers))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
