"""Compares the service under load with the same pipeline in one process.

    uv run python -m benchmarks.serving --photos FOLDER [--requests 1000] [--callers 16]

Both get the same pictures, threads and concurrency. They take turns, because a machine's speed varies by the minute.
Prints pictures per second, their ratio, failures, the latency of /predict, that of /health under load, and the mean
batch of each network.
"""

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path

import aiohttp

from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.regions.predictions import PeopleInImage, Thresholds, prediction
from adapters.pictures.decoding.decode import decode
from adapters.settings import load_settings
from adapters.wiring import runner_config
from benchmarks.loads import (
    LABEL_CONFIG,
    backend,
    percentile_ms,
    picture_names,
    picture_server,
    spread,
    until_ready,
)
from benchmarks.network_work import read_network_work
from runners.pipeline import assemble_in_process
from runners.plan import fetch
from wholebody.pipeline import find_people

TURNS = 4


async def watch_health(session: aiohttp.ClientSession, address: str, latencies: list[float]) -> None:
    """Request /health twenty times a second until cancelled."""
    while True:
        started = time.perf_counter()
        async with session.get(f"{address}/health") as answer:
            await answer.read()
        latencies.append(time.perf_counter() - started)
        await asyncio.sleep(0.05)


async def measure(photos: Path, names: list[str], requests: int, callers: int) -> dict[str, object]:
    """Run the comparison."""
    settings = load_settings()
    detector, estimator = assemble_in_process(fetch(runner_config(settings)))
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
    with picture_server(photos) as pictures, backend() as server:
        address = server.address
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            start_s = await until_ready(session, server)

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
            work = await read_network_work(session, address)
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
        "predict_ms": {"p50": percentile_ms(latencies, 0.5), "p99": percentile_ms(latencies, 0.99)},
        "health_ms": {
            "p50": percentile_ms(health, 0.5),
            "p99": percentile_ms(health, 0.99),
            "asked": len(health),
        },
        "mean_batch": work.mean_batches,
    }


def main() -> None:
    """Run the comparison and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="Folder of .jpg and .png files.")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--callers", type=int, default=16)
    arguments = parser.parse_args()
    found = asyncio.run(
        measure(arguments.photos, picture_names(arguments.photos), arguments.requests, arguments.callers)
    )
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
