"""Compares the service, a peer, rtmlib and the networks alone, in one run on the same pictures.

    make bench PHOTOS=folder STAND_INS=folder

Lanes, for the embedded networks and for stand-ins of the balanced ones (`stand_ins.py`):

- `peer`: Flask around rtmlib with its defaults (`peer.py`), 1, 8 and 32 callers;
- `loop`: rtmlib in a loop in one process;
- `engine`: the networks alone, on the crops of these pictures, in the service's batch sizes, in all CPU lanes at once;
- `service`: as users start it, 1, 8 and 32 callers, for each engine and precision.

Lanes take turns over several rounds, because a machine's speed varies by the minute; compare ratios within a round.
Also measured: latency of a single caller outside the networks, batches, start-up time, memory of all processes, cost by
number of people, and use of an NVIDIA GPU. Writes `comparison.json`, a page with tables, and a plot.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from benchmarks import stand_ins
from benchmarks.comparison_page import Found, PictureCost, page, picture_cost, plot
from benchmarks.lanes import Lane, Seen, engine_lane, loop_lane, recorded_crops, served_lane, watched_lane
from benchmarks.loads import (
    Running,
    backend,
    end_orderly,
    free_port,
    percentile_ms,
    picture_names,
    picture_server,
    running,
    until_ready,
)
from benchmarks.network_work import outside_ms
from runners.errors import ProviderUnavailableError

CALLERS = (1, 8, 32)
COMPARED_WITH = "peer, 8 callers"
ENGINES: dict[str, dict[str, str]] = {
    "onnxruntime, exact": {"BACKEND_TYPE": "onnxruntime", "PRECISION": "exact"},
    "openvino, exact": {"BACKEND_TYPE": "openvino", "PRECISION": "exact"},
    "auto": {"BACKEND_TYPE": "auto", "PRECISION": "auto"},
    "fast": {"BACKEND_TYPE": "auto", "PRECISION": "fast"},
    "tensorrt, auto": {"BACKEND_TYPE": "tensorrt", "PRECISION": "auto"},
    "tensorrt, fast": {"BACKEND_TYPE": "tensorrt", "PRECISION": "fast"},
}
ENGINES_OF = {
    "cpu": ("onnxruntime, exact", "openvino, exact", "auto", "fast"),
    "cuda": ("onnxruntime, exact", "auto", "fast", "tensorrt, auto", "tensorrt, fast"),
}
NETWORKS = ("embedded", "stand-ins")
PEOPLE = (1, 2, 5, 10, 20)
WARM_UP_S = 3


@dataclass(frozen=True)
class Setting:
    """One set of networks and its pictures.

    Attributes:
        title: Title in tables.
        environment: Settings of the service and of the peer.
        photos: Folder of pictures.
    """

    title: str
    environment: Mapping[str, str]
    photos: Path


async def measure(setting: Setting, engines: Sequence[str], rounds: int, seconds: float) -> Found:
    """Run all lanes in turns."""
    found = Found()
    names = picture_names(setting.photos)
    files = [setting.photos / name for name in names]
    seen: dict[str, Seen] = {}
    lanes: dict[str, Lane] = {"loop": loop_lane(setting.environment, files)}
    crops = await recorded_crops(setting.environment, files)
    with ExitStack() as processes:
        for engine in engines:
            environment = {**setting.environment, **ENGINES[engine]}
            try:
                lane = processes.enter_context(engine_lane(environment, crops, len(files)))
            except ProviderUnavailableError as error:
                found.lacking[engine] = str(error)
                print(f"{setting.title}: {engine} is left out: {error}", flush=True)
            else:
                lanes[f"engine ({engine})"] = lane
        pictures = processes.enter_context(picture_server(setting.photos))
        addresses = [f"{pictures}/{name}" for name in names]
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(300)) as session:
            servers: dict[str, Running] = {}

            async def serve(title: str, server: Running, path: str) -> None:
                found.start_s[title] = round(await until_ready(session, server, path), 1)
                servers[title] = server
                for callers in CALLERS:
                    name = f"{title}, {callers} callers"
                    seen[name] = Seen()
                    lane = served_lane(session, server.address, addresses, callers, seen[name])
                    if title != "peer":
                        lane = watched_lane(session, server.address, lane, seen[name])
                    lanes[name] = lane

            port = free_port()
            command = [sys.executable, "-m", "benchmarks.peer", "--port", str(port)]
            peer = processes.enter_context(running(command, port, setting.environment))
            await serve("peer", peer, "/health")
            for engine in engines:
                if engine not in found.lacking:
                    server = processes.enter_context(backend({**setting.environment, **ENGINES[engine]}))
                    await serve(f"service ({engine})", server, "/readyz")
            for lane in lanes.values():  # warm-up: the first pictures allocate buffers
                await lane(min(seconds, WARM_UP_S))
            for one in seen.values():
                one.forget()
            for _ in range(rounds):
                for title, lane in lanes.items():
                    found.rates.setdefault(title, []).append(round(await lane(seconds), 3))
                    print(f"{setting.title}: {title}: {found.rates[title][-1]} pictures/s", flush=True)
            for title, server in servers.items():
                found.memory_mib[title] = round(server.memory_mib())
    for lane, one in seen.items():
        note(found, lane, one)
    return found


def note(found: Found, lane: str, seen: Seen) -> None:
    """Record the figures of a served lane."""
    latencies, work = seen.latencies, seen.work
    found.latency_ms[lane] = {"p50": percentile_ms(latencies, 0.5), "p99": percentile_ms(latencies, 0.99)}
    used = [gpu.percent for gpu in seen.gpus if gpu.percent is not None]
    if used:
        found.gpu_percent[lane] = round(sum(used) / len(used), 1)
    if not work.seconds:  # the peer has no metrics
        return
    found.networks_busy[lane] = round(work.total_seconds / seen.seconds, 3)
    found.mean_batch[lane], found.batches[lane] = work.mean_batches, work.batch_counts
    if lane.endswith(", 1 callers"):
        found.outside_ms[lane] = round(outside_ms(latencies, work), 1)
        found.outside_share[lane] = round(1 - work.total_seconds / sum(latencies), 3)


async def people_cost(arguments: argparse.Namespace, engine: str, people: int) -> PictureCost:
    """Return the cost of a picture by number of people: served (8 callers), and of the networks alone."""
    photos, rounds, seconds = arguments.photos, arguments.rounds, arguments.seconds
    names = picture_names(photos)
    files = [photos / name for name in names]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
        environment = {
            "MODE": "balanced",
            "DEVICE": arguments.device,
            **stand_ins.install(arguments.stand_ins, Path(folder), people),
            **ENGINES[engine],
        }
        crops = await recorded_crops(environment, files)
        alone = processes.enter_context(engine_lane(environment, crops, len(files)))
        pictures = processes.enter_context(picture_server(photos))
        server = processes.enter_context(backend(environment))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(300)) as session:
            await until_ready(session, server)
            addresses = [f"{pictures}/{name}" for name in names]
            served = served_lane(session, server.address, addresses, 8, Seen())
            await served(min(seconds, WARM_UP_S))
            await alone(min(seconds, WARM_UP_S))
            cost = picture_cost([(await served(seconds), await alone(seconds)) for _ in range(rounds)])
    print(f"{people} people: {cost}", flush=True)
    return cost


async def compare(arguments: argparse.Namespace) -> None:
    """Measure and write."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    engines: Sequence[str] = arguments.engines or ENGINES_OF[arguments.device.partition(":")[0]]
    results: dict[str, Found] = {}
    people: dict[str, dict[int, PictureCost]] = {}
    device = {"DEVICE": arguments.device}
    with tempfile.TemporaryDirectory() as folder:
        settings: list[Setting] = []
        if "embedded" in arguments.networks:
            settings.append(Setting("embedded networks", {"MODE": "embedded", **device}, arguments.photos))
        if "stand-ins" in arguments.networks and arguments.stand_ins is not None:
            environment = {
                "MODE": "balanced",
                **device,
                **stand_ins.install(arguments.stand_ins, Path(folder) / "zoo"),
            }
            settings.append(Setting("balanced, stand-ins, two people", environment, arguments.photos))
        for setting in settings:
            results[setting.title] = await measure(setting, engines, arguments.rounds, arguments.seconds)
            write(arguments.out, results, people)
        if "stand-ins" in arguments.networks and arguments.stand_ins is not None:
            costs = people[engines[0]] = {}
            for number in PEOPLE:
                costs[number] = await people_cost(arguments, engines[0], number)
                write(arguments.out, results, people)
    print("\n" + write(arguments.out, results, people))


def write(out: Path, results: Mapping[str, Found], people: Mapping[str, Mapping[int, PictureCost]]) -> str:
    """Write the results so far, because a run may be interrupted; returns the page."""
    costs = {engine: {n: asdict(cost) for n, cost in by.items()} for engine, by in people.items()}
    written = {title: asdict(found) for title, found in results.items()} | {"people": costs}
    (out / "comparison.json").write_text(json.dumps(written, indent=2) + "\n")
    tables = page(results, people, COMPARED_WITH)
    (out / "comparison.md").write_text(tables)
    plot(results, out / "comparison.svg")
    return tables


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="Folder of .jpg and .png files.")
    parser.add_argument("--stand-ins", type=Path, help="Folder of the networks that `stand_ins.py` names.")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--device", default="cpu", help="As the service's DEVICE: cpu, cuda or cuda:N.")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, help="By default all that know the device.")
    arguments = parser.parse_args()
    if arguments.device.partition(":")[0] not in ENGINES_OF:
        parser.error("--device must be cpu, cuda or cuda:N")
    if not picture_names(arguments.photos):
        parser.error(f"there is no .jpg or .png in {arguments.photos}")
    end_orderly()
    asyncio.run(compare(arguments))


if __name__ == "__main__":
    main()
