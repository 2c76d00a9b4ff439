"""The progress of a task: times its stages, and records the stage for failures."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from adapters.observability import metrics, tracing


@dataclass
class TaskProgress:
    """The progress of a task.

    Attributes:
        stage: Its current or last stage: `queue`, then the stages of `metrics.stage_seconds`.
        started: Its arrival, by `time.perf_counter`.
    """

    stage: str = "queue"
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Time since its arrival."""
        return time.perf_counter() - self.started


_current: ContextVar[TaskProgress | None] = ContextVar("task_progress", default=None)


@contextmanager
def following(progress: TaskProgress) -> Generator[None]:
    """Record the stages within the block in a task's progress."""
    token = _current.set(progress)
    try:
        yield
    finally:
        _current.reset(token)


def entered(stage: str) -> None:
    """Record that the current task enters a stage."""
    progress = _current.get()
    if progress is not None:
        progress.stage = stage


@contextmanager
def timed_stage(stage: str) -> Generator[None]:
    """Time a stage of the current task, in the metrics and as a span."""
    entered(stage)
    with tracing.span(stage), metrics.stage_seconds().labels(stage=stage).time():
        yield
