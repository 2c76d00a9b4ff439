"""The steps from a picture to its keypoints, for whoever wants to measure them.

Nothing here measures: the steps name themselves, and a clock of the caller's is started and stopped around each.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Literal

Stage = Literal["detect", "crop", "pose", "hands_and_face"]
"""The steps, one after the other. Where one network finds all keypoints, there is no `hands_and_face`."""

Clock = Callable[[Stage], AbstractContextManager[object]]
"""Gives what is to be entered at the beginning of a stage and left at its end."""


def _no_clock(_: Stage) -> AbstractContextManager[object]:
    return nullcontext()


_clock: ContextVar[Clock] = ContextVar("clock", default=_no_clock)


def stage(name: Stage) -> AbstractContextManager[object]:
    """Return what a stage runs in."""
    return _clock.get()(name)


@contextmanager
def timed_by(clock: Clock) -> Generator[None]:
    """Run the stages within by a clock: those of this task, not of others that run at the same time."""
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)
