"""The numbers that `/metrics` shows: ours, and BentoML's about the runners, added up over all processes."""

import os
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format. Blocking: reads a file of each process."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:  # set by BentoML's server
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)


@cache
def requests_total() -> Counter:
    """Requests by route (`other` for what is none of ours) and status."""
    return Counter("rtmlib_requests_total", "Requests by route and status", ["route", "status"])


@cache
def request_seconds() -> Histogram:
    """Time from a request to its answer, by route."""
    return Histogram(
        "rtmlib_request_seconds",
        "Time from a request to its answer",
        ["route"],
        buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 100),
    )


@cache
def tasks_total() -> Counter:
    """Tasks by outcome (`succeeded`, `failed`) and, for the failed, by reason."""
    return Counter("rtmlib_tasks_total", "Tasks by outcome", ["outcome", "reason"])


@cache
def stage_seconds() -> Histogram:
    """Time of a task's stages: `fetch`, `decode`, `people`."""
    return Histogram(
        "rtmlib_stage_seconds",
        "Time of one stage of a task",
        ["stage"],
        buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 90),
    )
