"""Timing hooks for the stages from a picture to its keypoints.

The pipeline names its stages, and the caller's clock is started and stopped around each.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Literal

Stage = Literal["detect", "crop", "pose", "hands_and_face"]
"""The stages in order. With one network for all keypoints, there is no `hands_and_face`."""

Clock = Callable[[Stage], AbstractContextManager[object]]
"""Returns the context manager of a stage."""


def _no_clock(_: Stage) -> AbstractContextManager[object]:
    return nullcontext()


_clock: ContextVar[Clock] = ContextVar("clock", default=_no_clock)


def stage(name: Stage) -> AbstractContextManager[object]:
    """Return the context manager in which a stage runs."""
    return _clock.get()(name)


@contextmanager
def timed_by(clock: Clock) -> Generator[None]:
    """Time the stages within the block by a clock: those of this task only, not of concurrent ones."""
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)
