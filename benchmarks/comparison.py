"""Everything beside everything, in one run, on the same pictures.

    make bench PHOTOS=folder STAND_INS=folder

Lanes, for the embedded networks and for stand-ins of the balanced ones (`stand_ins.py`):

- `peer`: Flask around rtmlib with its defaults (`peer.py`), 1 and 8 callers;
- `loop`: rtmlib in a bare loop in one process, nothing else;
- `engine`: the networks alone, on the crops that these pictures lead to, in batches, with all CPUs;
- `service`: as users start it, 1, 8 and 32 callers, for each engine and precision.

They take turns, several rounds each, since a machine may be faster in one minute than in the next: what counts are the
ratios within a round. Besides: start until ready, memory of all processes, cost as the number of people grows.
Written are `comparison.json`, a page with tables, and a plot.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
from numpy.typing import NDArray

from adapters.composition import runner_config
from adapters.label_studio.label_config_template import Selection, label_config_template
from adapters.pictures.decoding import decode
from adapters.settings import load_settings
from benchmarks import stand_ins
from benchmarks.loads import (
    Running,
    backend,
    during,
    free_port,
    percentile_ms,
    picture_names,
    picture_server,
    running,
    until_ready,
)
from benchmarks.peer import rtmlib_solution
from runners.assembly import assemble, load
from runners.batching import MAX_CROPS
from runners.choice import networks_of
from wholebody.pipeline import find_people

LABEL_CONFIG = label_config_template([Selection.WHOLE])
CALLERS = (1, 8, 32)
PEER_CALLERS = (1, 8)
ENGINES: dict[str, dict[str, str]] = {
    "onnxruntime, exact": {"BACKEND_TYPE": "onnxruntime", "PRECISION": "exact"},
    "openvino, exact": {"BACKEND_TYPE": "openvino", "PRECISION": "exact"},
    "auto": {"BACKEND_TYPE": "auto", "PRECISION": "auto"},
    "fast": {"BACKEND_TYPE": "auto", "PRECISION": "fast"},
}
PEOPLE = (1, 2, 5, 10, 20)

Crops = NDArray[np.uint8]
Lane = Callable[[float], Awaitable[float]]
"""Works for so many seconds; returns pictures per second."""


@dataclass(frozen=True)
class Setting:
    """One set of networks and the pictures it is measured on.

    Attributes:
        title: What it is called in tables.
        environment: Settings of the service and of the peer.
        photos: Folder of pictures.
    """

    title: str
    environment: dict[str, str]
    photos: Path


@dataclass
class Found:
    """What was measured with one setting.

    Attributes:
        rates: Pictures per second of each lane, one number for each round.
        latency_ms: Latency of a request of each lane: median and 99th percentile.
        start_s: Seconds until each server was ready.
        memory_mib: Memory of each server after the rounds.
    """

    rates: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    start_s: dict[str, float] = field(default_factory=dict[str, float])
    memory_mib: dict[str, float] = field(default_factory=dict[str, float])


@contextmanager
def settings_of(environment: Mapping[str, str]):
    """Let this process see other settings for a while."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def recorded_crops(
    mode: str, environment: Mapping[str, str], files: Sequence[Path]
) -> dict[str, Crops]:
    """Return the crops that each network gets to see on these pictures."""
    seen: dict[str, list[Crops]] = {}
    with settings_of({**environment, **ENGINES["onnxruntime, exact"]}):
        config = runner_config(load_settings())

    def recording(name: Any) -> Any:
        network = load(name, config)

        async def run(crops: Crops) -> Any:
            seen.setdefault(name, []).append(crops)
            return network(crops)

        return run

    detector, estimator = assemble(networks_of(config), recording)
    for file in files:
        await find_people(decode(file.read_bytes()), detector, estimator)
    return {name: np.concatenate(crops) for name, crops in seen.items()}


def engine_lane(environment: Mapping[str, str], crops: Mapping[str, Crops], pictures: int) -> Lane:
    """The networks alone, one after the other, in full batches."""
    with settings_of(environment):
        config = runner_config(load_settings())
    networks = {name: load(name, config) for name in crops}  # pyright: ignore[reportArgumentType]

    def once() -> None:
        for name, network in networks.items():
            for start in range(0, len(crops[name]), MAX_CROPS):
                network(crops[name][start : start + MAX_CROPS])

    async def lane(seconds: float) -> float:
        started, rounds = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            await asyncio.to_thread(once)
            rounds += 1
        return rounds * pictures / (time.perf_counter() - started)

    return lane


def loop_lane(environment: Mapping[str, str], files: Sequence[Path]) -> Lane:
    """Rtmlib on one picture after the other."""
    with settings_of(environment):
        solution = rtmlib_solution()

    async def lane(seconds: float) -> float:
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            data = np.frombuffer(files[done % len(files)].read_bytes(), np.uint8)
            await asyncio.to_thread(solution, cv2.imdecode(data, cv2.IMREAD_COLOR))
            done += 1
        return done / (time.perf_counter() - started)

    return lane


def served_lane(
    session: aiohttp.ClientSession,
    address: str,
    addresses: Sequence[str],
    callers: int,
    latencies: list[float],
) -> Lane:
    """Callers who send a picture each, again and again."""
    turn = 0

    async def one() -> None:
        nonlocal turn
        picture = addresses[turn % len(addresses)]
        turn += 1
        body = {"tasks": [{"id": 1, "data": {"image": picture}}], "label_config": LABEL_CONFIG}
        started = time.perf_counter()
        async with session.post(f"{address}/predict", json=body) as answer:
            said = await answer.json()
            if answer.status != 200 or said["results"][0] == []:
                raise RuntimeError(f"{address} answered {answer.status}: {str(said)[:300]}")
        latencies.append(time.perf_counter() - started)

    async def lane(seconds: float) -> float:
        return await during(seconds, callers, one)

    return lane


async def measure(setting: Setting, engines: Sequence[str], rounds: int, seconds: float) -> Found:
    """Let all lanes take turns."""
    found = Found()
    names = picture_names(setting.photos)
    files = [setting.photos / name for name in names]
    latencies: dict[str, list[float]] = {}
    lanes: dict[str, Lane] = {"loop": loop_lane(setting.environment, files)}
    crops = await recorded_crops(setting.environment["MODE"], setting.environment, files)
    for engine in engines:
        lanes[f"engine ({engine})"] = engine_lane(setting.environment | ENGINES[engine], crops, len(files))
    with ExitStack() as servers:
        pictures = servers.enter_context(picture_server(setting.photos))
        addresses = [f"{pictures}/{name}" for name in names]
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(300)) as session:
            started: dict[str, Running] = {}

            async def serve(title: str, server: Running, path: str, callers: Sequence[int]) -> None:
                found.start_s[title] = round(await until_ready(session, server.address, path), 1)
                started[title] = server
                for number in callers:
                    lane = f"{title}, {number} callers"
                    latencies[lane] = []
                    lanes[lane] = served_lane(session, server.address, addresses, number, latencies[lane])

            port = free_port()
            peer = [sys.executable, "-m", "benchmarks.peer", "--port", str(port)]
            await serve(
                "peer",
                servers.enter_context(running(peer, port, setting.environment)),
                "/health",
                PEER_CALLERS,
            )
            for engine in engines:
                server = servers.enter_context(backend(setting.environment | ENGINES[engine]))
                await serve(f"service ({engine})", server, "/readyz", CALLERS)
            for lane in lanes.values():  # the first pictures set up buffers
                await lane(min(seconds, 3))
            for values in latencies.values():
                values.clear()
            for _ in range(rounds):
                for title, lane in lanes.items():
                    found.rates.setdefault(title, []).append(round(await lane(seconds), 3))
                    print(f"{setting.title}: {title}: {found.rates[title][-1]} pictures/s", flush=True)
            for title, server in started.items():
                found.memory_mib[title] = round(server.memory_mib())
    for lane, values in latencies.items():
        found.latency_ms[lane] = {"p50": percentile_ms(values, 0.5), "p99": percentile_ms(values, 0.99)}
    return found


async def people_cost(arguments: argparse.Namespace, mode: str) -> dict[str, dict[str, float]]:
    """Cost of a picture as the number of people in it grows: served (8 callers), and of the networks alone."""
    costs: dict[str, dict[str, float]] = {}
    photos, engine = arguments.photos, arguments.engines[0]
    rounds, seconds = arguments.rounds, arguments.seconds
    names = picture_names(photos)
    for people in PEOPLE:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
            environment = {"MODE": mode} | stand_ins.install(arguments.stand_ins, Path(folder), people)
            files = [photos / name for name in names]
            crops = await recorded_crops(mode, environment, files)
            alone = engine_lane(environment | ENGINES[engine], crops, len(files))
            pictures = servers.enter_context(picture_server(photos))
            server = servers.enter_context(backend(environment | ENGINES[engine]))
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(300)) as session:
                await until_ready(session, server.address)
                addresses = [f"{pictures}/{name}" for name in names]
                served = served_lane(session, server.address, addresses, 8, [])
                await served(min(seconds, 3))
                rates = [(await served(seconds), await alone(seconds)) for _ in range(rounds)]
            costs[str(people)] = {
                "served_ms": round(1000 / statistics.median(rate for rate, _ in rates), 1),
                "engine_ms": round(1000 / statistics.median(rate for _, rate in rates), 1),
                "ratio": round(statistics.median(engine / served for served, engine in rates), 3),
            }
            print(f"{people} people: {costs[str(people)]}", flush=True)
    return costs


def ratio(found: Found, lane: str, to: str) -> float:
    """Median over the rounds of one lane's pictures per second to another's in the same round."""
    return statistics.median(a / b for a, b in zip(found.rates[lane], found.rates[to], strict=True))


def table(found: Found, engines: Sequence[str]) -> str:
    """Write the lanes as a Markdown table."""
    peer = f"peer, {PEER_CALLERS[-1]} callers"
    rows = [
        "| lane | pictures/s | to the peer | to the engine | p50 ms | p99 ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for lane, rates in found.rates.items():
        engine = next((f"engine ({one})" for one in engines if lane.startswith(f"service ({one})")), None)
        latency = found.latency_ms.get(lane, {})
        rows.append(
            f"| {lane} | {statistics.median(rates):.2f} | {ratio(found, lane, peer):.2f} | "
            f"{f'{ratio(found, lane, engine):.2f}' if engine else ''} | "
            f"{latency.get('p50', '')} | {latency.get('p99', '')} |"
        )
    return "\n".join(rows)


def servers_table(found: Found) -> str:
    """Write start and memory of the servers as a Markdown table."""
    rows = ["| server | ready after s | memory MiB |", "| --- | --- | --- |"]
    rows += [
        f"| {title} | {found.start_s[title]} | {found.memory_mib[title]:.0f} |" for title in found.start_s
    ]
    return "\n".join(rows)


def plot(results: Mapping[str, Found], file: Path) -> None:
    """Draw pictures per second of the peer, the loop and the service."""
    import matplotlib as mpl  # noqa: PLC0415 - of the bench group only

    mpl.use("svg")
    from matplotlib import pyplot  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "comparison"
    figure, axes = pyplot.subplots(
        1, len(results), figsize=(6 * len(results), 4), layout="constrained", squeeze=False
    )
    for axis, (title, found) in zip(axes[0], results.items(), strict=True):
        shown = [lane for lane in found.rates if not lane.startswith("engine")]
        values = [statistics.median(found.rates[lane]) for lane in shown]
        colours = ["#5b2be0" if lane.startswith("service") else "#8c8c8c" for lane in shown]
        axis.barh(shown, values, color=colours)
        axis.invert_yaxis()
        axis.bar_label(axis.containers[0], fmt="%.1f", padding=3)
        axis.set(title=title, xlabel="pictures per second")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})


async def compare(arguments: argparse.Namespace) -> None:
    """Measure and write."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Found] = {}
    people: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = [Setting("embedded networks", {"MODE": "embedded"}, arguments.photos)]
        if arguments.stand_ins is not None:
            environment = {"MODE": "balanced"} | stand_ins.install(arguments.stand_ins, Path(folder) / "zoo")
            settings.append(Setting("balanced, stand-ins, two people", environment, arguments.photos))
        for setting in settings:
            results[setting.title] = await measure(
                setting, arguments.engines, arguments.rounds, arguments.seconds
            )
        if arguments.stand_ins is not None:
            people = await people_cost(arguments, "balanced")
    written = {title: vars(found) for title, found in results.items()} | {"people": people}
    (arguments.out / "comparison.json").write_text(json.dumps(written, indent=2) + "\n")
    page = [
        f"## {title}\n\n{table(found, arguments.engines)}\n\n{servers_table(found)}\n"
        for title, found in results.items()
    ]
    if people:
        rows = [f"| {n} | {c['served_ms']} | {c['engine_ms']} | {c['ratio']} |" for n, c in people.items()]
        page.append(
            "## Cost of a picture as people grow\n\n| people | served, ms | networks alone, ms | ratio |\n"
            "| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"
        )
    (arguments.out / "comparison.md").write_text("\n".join(page))
    plot(results, arguments.out / "comparison.svg")
    print("\n".join(page))


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="Folder of .jpg and .png files.")
    parser.add_argument("--stand-ins", type=Path, help="Folder of the networks that `stand_ins.py` names.")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    asyncio.run(compare(parser.parse_args()))


if __name__ == "__main__":
    main()
