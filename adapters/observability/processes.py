"""The processes of a running server, their memory and its limit."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import psutil
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.concurrency.container_limits import memory_limit_bytes

PROCESS_NAME = "RTMLIB_PROCESS"
"""Environment variable with a worker's name, set by the supervisor: `entry`, or the runner's."""

_FORK_SERVER = "adapters.isolation.fork_server"


@dataclass(frozen=True)
class ServerProcess:
    """A process of the server.

    Attributes:
        name: `supervisor`, `entry`, `detector`, `pose`, or `isolated`, which reads hostile files.
        started: Start time in seconds since the epoch; constant, also when the clock is set.
        resident_bytes: Resident memory; shared memory counts for each process.
    """

    name: str
    started: float
    resident_bytes: int


@cache
def own_name() -> str:
    """Return the name of this process, as in `ServerProcess`; `main` outside a server."""
    if name := os.environ.get(PROCESS_NAME):
        return name
    command = psutil.Process().cmdline()
    names = [
        Path(word).name for word in command[:3]
    ]  # python -m bentoml serve, or python .../bin/bentoml serve
    return "supervisor" if "bentoml" in names and "serve" in command else "main"


def server_processes() -> list[ServerProcess]:
    """Return this server's processes: supervisor and workers, or this one alone. Blocking: reads /proc."""
    if PROCESS_NAME not in os.environ:
        alone = psutil.Process()
        return [*_observed("entry", alone), *_isolated(alone)]
    supervisor = psutil.Process(os.getppid())
    found = list(_observed("supervisor", supervisor))
    for pid in children_of(supervisor):
        try:
            worker = psutil.Process(pid)
            name = _name_of(worker)
        except psutil.Error:  # it has just ended
            continue
        if name:
            found += _observed(name, worker)
        if name == "entry":
            found += _isolated(worker)
    return found


def _isolated(entry: psutil.Process) -> Iterator[ServerProcess]:
    """Yield the fork server of an entry process, with the memory that its processes do not share with it."""
    for pid in children_of(entry):
        try:
            server = psutil.Process(pid)
            if not any(_FORK_SERVER in word for word in server.cmdline()):
                continue
            (observed,) = _observed("isolated", server)
        except (psutil.Error, ValueError):  # it has just ended
            continue
        own = 0
        for forked in children_of(server):
            with suppress(psutil.Error):
                own += max(0, psutil.Process(forked).memory_info().rss - observed.resident_bytes)
        yield replace(observed, resident_bytes=observed.resident_bytes + own)


def children_of(process: psutil.Process) -> list[int]:
    """Return the ids of a process's running children."""
    # psutil would scan every process of the machine. Linux lists the children of each thread.
    try:
        threads = list(Path(f"/proc/{process.pid}/task").iterdir())
        return [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]
    except OSError:  # another system, a kernel without that list, or a thread that has just ended
        return [child.pid for child in process.children()]


@lru_cache(maxsize=64)
def _name_of(worker: psutil.Process) -> str | None:  # equal if the process is the same, not just its number
    return worker.environ().get(PROCESS_NAME)


def memory_in_use() -> dict[str, Any]:
    """Return the processes and their memory as plain JSON values. Blocking, as `server_processes` is."""
    return {
        "limit_bytes": memory_limit_bytes(),
        "processes": [
            {
                "process": process.name,
                "started": datetime.fromtimestamp(process.started, UTC).isoformat(timespec="seconds"),
                "resident_bytes": process.resident_bytes,
            }
            for process in server_processes()
        ],
    }


def _observed(name: str, process: psutil.Process) -> Iterator[ServerProcess]:
    try:
        yield ServerProcess(name, _started(process), process.memory_info().rss)
    except psutil.Error:  # it has just ended
        return


@lru_cache(maxsize=64)
def _started(process: psutil.Process) -> float:
    # Cached: it is computed from the clock; when that is set, all processes would seem restarted.
    return process.create_time()


class ServerProcesses(Collector):
    """The processes as metrics, read at each scrape, because an ended process cannot report its own end.

    Args:
        processes: Returns the processes.
    """

    def __init__(self, processes: Callable[[], Iterable[ServerProcess]] = server_processes) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of one scrape."""
        resident = GaugeMetricFamily(
            "rtmlib_resident_memory_bytes", "Resident memory of the server's processes", labels=["process"]
        )
        started = GaugeMetricFamily(
            "rtmlib_process_start_time_seconds",
            "When the server's processes were started, the latest of each kind, in seconds since the epoch",
            labels=["process"],
        )
        limit = GaugeMetricFamily(
            "rtmlib_memory_limit_bytes", "Memory that all processes may take together", memory_limit_bytes()
        )
        found = list(self._processes())
        for name in dict.fromkeys(process.name for process in found):
            of_name = [process for process in found if process.name == name]
            resident.add_metric([name], sum(process.resident_bytes for process in of_name))
            started.add_metric([name], max(process.started for process in of_name))
        yield from (resident, started, limit)
