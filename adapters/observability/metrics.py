"""The metrics at `/metrics`: this service's, and BentoML's for the runners, summed over all processes.

Label values come from fixed sets, never from a caller, so the number of series is bounded. The runners define the
metrics of their networks, and the prediction cache its own; docs/operation.md lists all.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import psutil
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import (
    MultiProcessCollector,
    mark_process_dead,  # pyright: ignore[reportUnknownVariableType] - it has no types
)
from prometheus_client.registry import Collector

from adapters.observability.processes import ServerProcesses
from adapters.pictures.errors import Reason
from wholebody.person import Person
from wholebody.schema import PART_RANGES

MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder for metrics of several processes; set by the supervisor."""


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format. Blocking: 10 ms of the interpreter."""
    if MULTIPROCESS_FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    folder = Path(os.environ[MULTIPROCESS_FOLDER])
    _forget_killed(folder)
    registry = CollectorRegistry()
    registry.register(_ProcessFiles(folder))
    registry.register(ServerProcesses())
    return generate_latest(registry)


class _ProcessFiles(Collector):
    """The metrics that the processes keep in files.

    `MultiProcessCollector.collect` cannot read a file without content, which every file is for an instant.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        untyped: Any = MultiProcessCollector
        return untyped.merge([str(file) for file in self._folder.glob("*.db") if _has_content(file)])


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:  # forgotten by another scrape
        return False


def _forget_killed(folder: Path) -> None:
    """Remove the live gauges of killed processes, which would stay in the sum. Their counters stay."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*.db")}:
        if not psutil.pid_exists(pid):
            with suppress(FileNotFoundError):  # another scrape was faster
                mark_process_dead(pid)


@cache
def requests_total() -> Counter:
    """Requests by route (`other` for unknown routes) and status."""
    return Counter("rtmlib_requests_total", "Requests by route and status", ["route", "status"])


@cache
def request_seconds() -> Histogram:
    """Response time by route."""
    return Histogram(
        "rtmlib_request_seconds",
        "Time from a request to its response in seconds",
        ["route"],
        buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 100),
    )


@cache
def tasks_total() -> Counter:
    """Tasks by outcome (`succeeded`, `failed`) and, for the failed, by reason."""
    return Counter("rtmlib_tasks_total", "Tasks by outcome", ["outcome", "reason"])


@cache
def stage_seconds() -> Histogram:
    """Time of a task's successive stages.

    `fetch`, `decode`, `detect`, `crop` (of people), `pose`, `hands_and_face` (with their crops), `format`. A stage
    includes the wait for its runner.
    """
    return Histogram(
        "rtmlib_stage_seconds",
        "Time of one stage of a task in seconds",
        ["stage"],
        # From formatting one person to fetching from a slow server.
        buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 90),
    )


def begin_at_zero() -> None:
    """Create the series that alerts watch: Prometheus sees no increase from absent to 1."""
    for reason in (*get_args(Reason), "inference", "internal", "time_budget"):
        tasks_total().labels(outcome="failed", reason=reason)
    tasks_total().labels(outcome="succeeded", reason="")


@cache
def tasks_waiting() -> Gauge:
    """Queued tasks."""
    return Gauge("rtmlib_tasks_waiting", "Tasks that wait for a slot", multiprocess_mode="livesum")


@cache
def tasks_in_hand() -> Gauge:
    """Tasks in progress."""
    return Gauge("rtmlib_tasks_in_hand", "Tasks in progress", multiprocess_mode="livesum")


@cache
def picture_people() -> Histogram:
    """People found in a picture; pictures with a drawn box are not counted."""
    return Histogram(
        "rtmlib_picture_people", "People found in a picture", buckets=(0, 1, 2, 3, 5, 10, 20, 50, 100)
    )


@cache
def keypoint_confidence() -> Histogram:
    """Mean score of the keypoints of one part of one person; 0 where the part was not found."""
    return Histogram(
        "rtmlib_keypoint_confidence",
        "Mean keypoint score of one part of one person",
        ["part"],
        buckets=(0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1),
    )


@cache
def model_info() -> Gauge:
    """Always 1; its labels describe the running model."""
    return Gauge(
        "rtmlib_model_info",
        "The running model, as labels; the value is 1",
        ["mode", "device", "engine", "precision", "model_version"],
        multiprocess_mode="livemax",
    )


@cache
def event_loop_lag_seconds() -> Histogram:
    """Event loop lag of the entry process."""
    return Histogram(
        "rtmlib_event_loop_lag_seconds",
        "Event loop lag of the entry process in seconds",
        buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
    )


def people_found(people: Sequence[Person], *, in_whole_picture: bool) -> None:
    """Record the number of people in a picture, and the confidence of their parts.

    Args:
        people: The people found.
        in_whole_picture: Whether the whole picture was searched, not just a drawn box.
    """
    if in_whole_picture:
        picture_people().observe(len(people))
    if people:
        scores = np.stack([person.scores for person in people])
        for part, where in PART_RANGES.items():
            of_part = keypoint_confidence().labels(part=part.value)
            for mean in scores[:, where.start : where.stop].mean(axis=1).tolist():
                of_part.observe(mean)
