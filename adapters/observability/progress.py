"""How far a task has come: its stages are timed, and the one that it was in is named when it fails."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from adapters.observability import metrics, tracing


@dataclass
class TaskProgress:
    """A task's way.

    Attributes:
        stage: Where it is, or was when it ended: `queue`, then the stages of `metrics.stage_seconds`.
        started: When it came, by `time.perf_counter`.
    """

    stage: str = "queue"
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Time since it came."""
        return time.perf_counter() - self.started


_current: ContextVar[TaskProgress | None] = ContextVar("task_progress", default=None)


@contextmanager
def following(progress: TaskProgress) -> Generator[None]:
    """Note the stages within in a task's progress."""
    token = _current.set(progress)
    try:
        yield
    finally:
        _current.reset(token)


def entered(stage: str) -> None:
    """Note that the current task is in a stage from now on."""
    progress = _current.get()
    if progress is not None:
        progress.stage = stage


@contextmanager
def timed_stage(stage: str) -> Generator[None]:
    """Time a stage of the current task, in the metrics and as a span."""
    entered(stage)
    with tracing.span(stage), metrics.stage_seconds().labels(stage=stage).time():
        yield
