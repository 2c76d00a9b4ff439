"""The processes of a running server, and how much memory they take of what they may."""

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
"""Environment variable in which the supervisor tells a worker its name: `entry`, or the runner's."""

_FORK_SERVER = "adapters.isolation.fork_server"


@dataclass(frozen=True)
class ServerProcess:
    """A process of the server.

    Attributes:
        name: `supervisor`, `entry`, the runner: `detector`, `pose`, or `isolated`: what reads hostile files.
        started: When, in seconds since the epoch; the same whenever it is asked, also when the clock has been set.
        resident_bytes: Its memory; what it shares with others counts for each.
    """

    name: str
    started: float
    resident_bytes: int


@cache
def own_name() -> str:
    """Return the name of this process: see `ServerProcess`; `main` if it is none of a server's."""
    if name := os.environ.get(PROCESS_NAME):
        return name
    command = psutil.Process().cmdline()
    names = [
        Path(word).name for word in command[:3]
    ]  # python -m bentoml serve, or python .../bin/bentoml serve
    return "supervisor" if "bentoml" in names and "serve" in command else "main"


def server_processes() -> list[ServerProcess]:
    """Return the processes of this server: the supervisor and its workers, or this one alone. Blocking: reads /proc."""
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
    """The fork server of an entry process, with what its processes take beyond what they share with it."""
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
    """Return the numbers of the processes that a process has started and that have not ended."""
    # psutil looks at every process of the machine to find them. Linux also has a list, by the thread that started them.
    try:
        threads = list(Path(f"/proc/{process.pid}/task").iterdir())
        return [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]
    except OSError:  # another system, a kernel without that list, or a thread that has just ended
        return [child.pid for child in process.children()]


@lru_cache(maxsize=64)
def _name_of(worker: psutil.Process) -> str | None:  # equal if the process is the same, not just its number
    return worker.environ().get(PROCESS_NAME)


def memory_in_use() -> dict[str, Any]:
    """Return the processes and the memory they take, as plain JSON values. Blocking, as `server_processes` is."""
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
    # Asked once: it is reckoned from the clock, and when that is set, all processes seem to have started anew.
    return process.create_time()


class ServerProcesses(Collector):
    """The processes as metrics: looked at when somebody asks, since no process can tell of itself that it is gone.

    Args:
        processes: Tells which there are.
    """

    def __init__(self, processes: Callable[[], Iterable[ServerProcess]] = server_processes) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        """Prometheus' client asks for this."""
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
