"""The metrics of several processes added up: what Prometheus' own client says, in a fraction of its time."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from adapters.observability.metric_files import MetricFiles

WORKER = """
import os, sys
from prometheus_client import Counter, Gauge, Histogram
done = Counter("done_total", 'What was "done"\\nso far', ["what"])
seconds = Histogram("work_seconds", "Time of work", ["kind"], buckets=(0.1, 1, 10))
plain = Histogram("plain_seconds", "Time of all else", buckets=(0.5,))
gauges = {
    mode: Gauge(f"gauge_{mode}", f"Merged by {mode}", ["of"], multiprocess_mode=mode)
    for mode in ("all", "liveall", "sum", "livesum", "max", "livemax", "min", "livemin")
}
factor = int(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    for what in eval(line):
        done.labels(what).inc(factor)
        for value in (0.05, 0.5, 5, 50):
            seconds.labels(what).observe(value * factor)
        plain.observe(0.25 * factor)
        for gauge in gauges.values():
            gauge.labels(what).set(factor * len(what) - 3)
    print("done", flush=True)
"""

Work = Callable[[int, list[str]], None]


@pytest.fixture
def work(tmp_path: Path) -> "Callable[[int, list[str]], None]":
    """Has one of two living processes count something; they are ended with the test."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(factor)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for factor in (1, 3)
    ]

    def hear(worker: "subprocess.Popen[str]") -> None:
        assert worker.stdout is not None
        assert worker.stdout.readline()

    for worker in workers:
        hear(worker)

    def do(which: int, what: list[str]) -> None:
        pipe = workers[which].stdin
        assert pipe is not None
        pipe.write(repr(what) + "\n")
        pipe.flush()
        hear(workers[which])

    yield do
    for worker in workers:
        worker.communicate(timeout=10)


def lines(text: bytes) -> list[str]:
    return sorted(text.decode().split("\n"))


def as_the_client_says(folder: Path) -> list[str]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    return lines(generate_latest(registry))


def test_it_says_what_the_client_says_also_when_values_series_and_files_are_added(
    work: Work, tmp_path: Path
) -> None:
    files = MetricFiles(tmp_path)
    for which, what in ((0, ["a"]), (1, ["a", "b"]), (0, ["b", "b"]), (0, ["c"]), (1, ["c", "d"])):
        work(which, what)

        assert lines(files.exposition()) == as_the_client_says(tmp_path)
    assert 'done_total{what="b"} 5.0' in files.exposition().decode()


def test_whatever_characters_a_label_has(work: Work, tmp_path: Path) -> None:
    work(0, ['"', "\\", "line\nbreak", "a\u2028b\x85c", "# HELP", " ", "", "1.0 2.0", "ä"])

    assert lines(MetricFiles(tmp_path).exposition()) == as_the_client_says(tmp_path)


def test_a_file_that_outgrows_its_first_size_is_read_on(work: Work, tmp_path: Path) -> None:
    files = MetricFiles(tmp_path)
    work(0, ["first"])
    files.exposition()
    before = max(file.stat().st_size for file in tmp_path.glob("histogram_*.db"))

    work(0, [f"kind {number}" for number in range(300)])

    assert max(file.stat().st_size for file in tmp_path.glob("histogram_*.db")) > before
    assert lines(files.exposition()) == as_the_client_says(tmp_path)
    work(0, ["kind 299"])
    assert lines(files.exposition()) == as_the_client_says(tmp_path)


def test_metrics_of_one_name_stand_together(work: Work, tmp_path: Path) -> None:
    work(0, ["a", "b"])
    work(1, ["b", "c"])

    types = [line for line in MetricFiles(tmp_path).exposition().decode().split("\n") if "# TYPE" in line]
    assert len(types) == len(set(types)) == 11


def test_without_a_file_or_with_an_empty_one_there_is_nothing_to_say(tmp_path: Path) -> None:
    files = MetricFiles(tmp_path)

    assert files.exposition() == b""
    (tmp_path / f"counter_{os.getpid()}.db").touch()  # a process that is about to write
    assert files.exposition() == b""
    written = MmapedDict(str(tmp_path / f"counter_{os.getpid()}.db"))
    written.write_value('["n", "n_total", {}, "What is counted"]', 2.0, 0.0)
    assert b"n_total 2.0\n" in files.exposition()
    written.close()


def test_it_takes_a_fraction_of_the_time(work: Work, tmp_path: Path) -> None:
    for which in (0, 1):
        work(which, [f"kind {number}" for number in range(50)])
    files = MetricFiles(tmp_path)
    files.exposition()

    def seconds(what: Callable[[], object]) -> float:
        took: list[float] = []
        for _ in range(5):
            started = time.thread_time()
            what()
            took.append(time.thread_time() - started)
        return min(took)

    assert seconds(files.exposition) < seconds(lambda: as_the_client_says(tmp_path)) / 5
