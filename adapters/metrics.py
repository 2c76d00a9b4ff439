"""The numbers that `/metrics` shows beside BentoML's own. BentoML adds them up over all processes."""

from functools import cache

from prometheus_client import Counter, Histogram


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
