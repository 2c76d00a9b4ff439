"""Lanes on the CPUs: how the networks of all processes of a server share them.

A network that is alone gets all CPUs, and so its answer soonest. Where several have work, each gets a lane, a share of
the CPUs: threads of one network that compute together wait for each other after each layer, and all of them wait when
one is held up by another program; lanes do not wait for each other, so that together they do more.
"""

import contextlib
import fcntl
import os
import select
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from runners.config import RunnerConfig

MOST_LANES = 2
"""On more CPUs a lane has several. More lanes would leave CPUs idle where there are fewer batches than lanes."""

UNTOLD_S = 0.05
"""A process that is killed in its lane tells nobody that the lane is free: it is looked for after so many seconds."""


def lanes_of(config: RunnerConfig) -> int:
    """Return how many networks compute at once on the CPUs; 1 where they compute elsewhere.

    OpenCV has one number of threads for a whole process, and networks that only one thread may run.
    """
    if config.device != "cpu" or config.engine == "opencv":
        return 1
    return min(config.threads, MOST_LANES)


class CpuLanes:
    """The lanes of all threads of all processes that name the same folder, given away first come first served.

    Locks of files, which the kernel gives back when a process ends, however it ends.

    Args:
        folder: A folder that the processes of one server share.
        lanes: How many there are.
    """

    def __init__(self, folder: Path, lanes: int) -> None:
        self._lanes = [folder / f"lane-{number}.lock" for number in range(lanes)]
        self._first, self._second = folder / "first-in-line.lock", folder / "second-in-line.lock"
        told = folder / "lane-is-free"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(told, 0o600)
        self._told = os.open(told, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def __del__(self) -> None:
        """Close what tells of free lanes."""
        if hasattr(self, "_told"):
            os.close(self._told)

    @contextmanager
    def taken(self) -> Generator[bool]:
        """Wait for a lane and hold it; for all of them, when nobody else has or wants one.

        Yields:
            Whether it is all of them.
        """
        try:
            with ExitStack() as held:
                with self._first_in_line():
                    self._wait_for_one(held)
                    has_all = len(self._lanes) == 1 or (self._nobody_waits() and self._take_the_others(held))
                yield has_all
        finally:
            with contextlib.suppress(BlockingIOError):  # it is full of what nobody had to be told
                os.write(self._told, b".")

    @contextmanager
    def _first_in_line(self) -> Generator[None]:
        # Who waits longest holds the first lock, who waits next the second: by that the first sees that there is one.
        with ExitStack() as place:
            with _locked(self._second):
                place.enter_context(_locked(self._first))
            yield

    def _nobody_waits(self) -> bool:
        return _is_free(self._second)

    def _wait_for_one(self, held: ExitStack) -> None:
        while not any(_taken_if_free(lane, held) for lane in self._lanes):
            select.select([self._told], [], [], UNTOLD_S)
            with contextlib.suppress(BlockingIOError):
                os.read(self._told, 4096)

    def _take_the_others(self, held: ExitStack) -> bool:
        """Take the lanes that are left if all of them are free, else none."""
        with ExitStack() as others:
            # One of them is the one that is held: who holds it is no other.
            free = sum(_taken_if_free(lane, others) for lane in self._lanes)
            if free < len(self._lanes) - 1:
                return False
            held.push(others.pop_all())
            return True


def _is_free(path: Path) -> bool:
    with ExitStack() as tried:
        return _taken_if_free(path, tried)


def _taken_if_free(path: Path, held: ExitStack) -> bool:
    try:
        held.enter_context(_locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(path: Path, how: int = fcntl.LOCK_EX) -> Generator[None]:
    # Opened anew, since what is opened once is locked for all threads alike.
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, how)
        yield
    finally:
        os.close(file)
