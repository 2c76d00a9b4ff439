"""The metrics of all processes of a server, added up from the files in which they keep them.

Prometheus' client has a collector for that, which reads and interprets every file at every scrape: 10 ms of the
interpreter, during which nothing else is answered. What it interprets, names and labels, seldom changes; here it is
interpreted when it does, and a scrape only adds up the values, which are read where the processes write them.
"""

import json
import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, generate_latest, mmap_dict, utils
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

_read_values: Callable[[str], Iterator[tuple[str, float, float, int]]] = cast(
    Any, mmap_dict
).MmapedDict.read_all_values_from_file
_as_text: Callable[[float], str] = cast(Any, utils).floatToGoString

Labels = tuple[tuple[str, str], ...]

_BYTES_OF_A_VALUE = 8
_REDUCTIONS: dict[str, np.ufunc] = {"sum": np.add, "all": np.add, "max": np.maximum, "min": np.minimum}
"""By a gauge's mode, `live` or not; with `all`, each process has a series of its own and there is nothing to add."""


@dataclass(frozen=True)
class _Series:
    """A line of the answer: one reduction of some of the values in the files."""

    name: str
    labels: Labels
    reduce: np.ufunc
    values: list[int]


class _File:
    """The file of one process for one type of metric: `counter_PID.db`, `gauge_MODE_PID.db`, `histogram_PID.db`.

    Attributes:
        type: Of its metrics.
        mode: What is done with the values of several processes.
        pid: The process.
        keys: Its series, as the client writes them, each at the place of its value in the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.type, *mode, self.pid = path.stem.split("_")
        self.mode = mode[0].removeprefix("live") if mode else "sum"
        self.keys: list[str] = []
        self._places = np.empty(0, np.intp)
        self._used = 0
        self._map()

    def _map(self) -> None:
        with self._path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._values = np.frombuffer(mapped, np.float64)
        self._header = np.frombuffer(mapped, np.int32, 1)

    def refresh(self) -> bool:
        """Look for series that have been added, and tell whether there are any; none ever goes or moves."""
        used = int(self._header[0])
        if used == self._used:
            return False
        if used > self._values.nbytes:
            self._map()
        found = [(key, place) for key, _, _, place in _read_values(str(self._path)) if place < used]
        self.keys = [key for key, _ in found]
        self._places = np.array([place for _, place in found], np.intp) // _BYTES_OF_A_VALUE
        self._used = used
        return True

    def values(self) -> NDArray[np.float64]:
        """Return the values of the series, in the order of `keys`."""
        return self._values[self._places]


def _pid(path: Path) -> str:
    return path.stem.rpartition("_")[2]


class MetricFiles:
    """The files of one server.

    Args:
        folder: Where its processes keep them (PROMETHEUS_MULTIPROC_DIR).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _File] = {}
        self._texts: list[str] = []
        self._sums: list[tuple[np.ufunc, NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]] = []

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text format; for one thread at a time."""
        changed = self._find_files()
        for file in self._files.values():
            changed |= file.refresh()
        if changed:
            self._arrange()
        if not self._texts:
            return b""
        given = np.concatenate([file.values() for file in self._files.values()])
        shown = np.empty(len(self._texts))
        for reduce, values, starts, series in self._sums:
            shown[series] = reduce.reduceat(given[values], starts)
        lines = [
            f"{text}{_as_text(value)}\n" for text, value in zip(self._texts, shown.tolist(), strict=True)
        ]
        return "".join(lines).encode()

    def _find_files(self) -> bool:
        """Note which files there are, and tell whether these are others than before."""
        there = {path.name: path for path in sorted(self._folder.glob("*.db"))}
        gauges = [path for path in there.values() if path.name.startswith("gauge_")]
        dead = {pid for pid in {_pid(path) for path in gauges} if not psutil.pid_exists(int(pid))}
        for path in gauges:
            if _pid(path) in dead:
                # What a killed process had in hand: nobody else forgets it, and it would be added up for ever. Its
                # counters stay: what was done was done.
                there.pop(path.name).unlink(missing_ok=True)
        if there.keys() == self._files.keys():
            return False
        before, self._files = self._files, {}
        for name, path in there.items():
            if file := before.get(name):
                self._files[name] = file
            elif path.stat().st_size > 0:  # else it is just being made
                self._files[name] = _File(path)
        return True

    def _arrange(self) -> None:
        """Lay out the answer: all of it but the values, and which of these are added up where."""
        families = list(_families(self._files.values()))
        self._texts = list(_texts(families))
        series = [one for _, of_family in families for one in of_family]
        self._sums = []
        for reduce in {one.reduce for one in series}:
            chosen = [(number, one.values) for number, one in enumerate(series) if one.reduce is reduce]
            lengths = [len(values) for _, values in chosen]
            self._sums.append(
                (
                    reduce,
                    np.array([value for _, values in chosen for value in values], np.intp),
                    np.cumsum([0, *lengths[:-1]], dtype=np.intp),
                    np.array([number for number, _ in chosen], np.intp),
                )
            )


def _families(files: Iterable[_File]) -> Iterator[tuple[Metric, list[_Series]]]:
    """Yield the metrics without samples, each with its series; their values are counted through all files."""
    metrics: dict[str, Metric] = {}
    modes: dict[str, str] = {}
    found: dict[str, dict[tuple[str, Labels], list[int]]] = {}
    value = 0
    for file in files:
        for key in file.keys:
            metric, name, labels, text = json.loads(key)
            metrics.setdefault(metric, Metric(metric, text, file.type))
            modes[metric] = file.mode
            own: Labels = (("pid", file.pid),) if file.mode == "all" else ()
            of_metric = found.setdefault(metric, {})
            of_metric.setdefault((name, tuple(sorted(labels.items())) + own), []).append(value)
            value += 1
    for name, metric in metrics.items():
        reduce = _REDUCTIONS[modes[name]]
        if metric.type == "histogram":
            yield metric, list(_histogram(name, found[name]))
        else:
            yield metric, [_Series(*which, reduce, values) for which, values in found[name].items()]


def _histogram(metric: str, found: dict[tuple[str, Labels], list[int]]) -> Iterator[_Series]:
    """Yield the series of a histogram. In the files, each bucket has what is in no smaller one."""
    bounds: dict[Labels, dict[float, list[int]]] = {}
    for (name, labels), values in found.items():
        bound = dict(labels).get("le")
        if bound is None:  # the sum
            yield _Series(name, labels, np.add, values)
        else:
            without = tuple(label for label in labels if label[0] != "le")
            bounds.setdefault(without, {}).setdefault(float(bound), []).extend(values)
    for labels, by_bound in bounds.items():
        counted: list[int] = []
        for bound in sorted(by_bound):
            counted = counted + by_bound[bound]
            yield _Series(f"{metric}_bucket", (*labels, ("le", _as_text(bound))), np.add, counted)
        yield _Series(f"{metric}_count", labels, np.add, counted)


class _Empty(Collector):
    """Metrics whose values are all 0."""

    def __init__(self, families: list[tuple[Metric, list[_Series]]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Prometheus' client asks for this."""
        for metric, series in self._families:
            for one in series:
                metric.add_sample(one.name, dict(one.labels), 0.0)
            yield metric


def _texts(families: list[tuple[Metric, list[_Series]]]) -> Iterator[str]:
    """Yield what stands before the value of each series: its name and labels, and of the first, what its metric is."""
    registry = CollectorRegistry()
    registry.register(_Empty(families))
    before = ""
    for line in generate_latest(registry).decode().split("\n")[:-1]:
        if line.startswith("#"):
            before += line + "\n"
        else:
            yield before + line.rpartition(" ")[0] + " "
            before = ""
