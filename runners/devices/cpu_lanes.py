"""CPU lanes: shares of the CPUs for the networks of all processes of a server.

A batch that runs alone gets all CPUs, for the lowest latency. Concurrent batches get one lane each: the threads of a
network wait for each other after each layer, but lanes do not, so that throughput is higher.
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
"""More lanes would leave CPUs idle when there are fewer batches than lanes. With more CPUs, lanes are wider."""

POLL_INTERVAL_S = 0.05
"""Poll interval for lanes whose owner was killed, seconds."""


def lanes_of(config: RunnerConfig) -> int:
    """Return the number of lanes; 1 for other devices and for OpenCV.

    OpenCV's thread count is per process, and only one thread may run its networks.
    """
    if config.device != "cpu" or config.engine == "opencv":
        return 1
    return min(config.threads, MOST_LANES)


class CpuLanes:
    """Lanes shared by all threads and processes with the same folder, first come, first served.

    They are file locks, which the kernel releases when a process ends for any reason.

    Args:
        folder: Folder shared by the processes of one server.
        lanes: Number of lanes.
    """

    def __init__(self, folder: Path, lanes: int) -> None:
        self._lanes = [folder / f"lane-{number}.lock" for number in range(lanes)]
        self._first, self._second = folder / "first-in-line.lock", folder / "second-in-line.lock"
        pipe = folder / "lane-is-free"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(pipe, 0o600)
        self._freed = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def __del__(self) -> None:
        """Close the pipe that announces free lanes."""
        if hasattr(self, "_freed"):
            os.close(self._freed)

    @contextmanager
    def taken(self) -> Generator[bool]:
        """Wait for a lane and hold it; hold all lanes if no one else holds or awaits one.

        Yields:
            Whether all lanes are held.
        """
        try:
            with ExitStack() as held:
                with self._first_in_line():
                    self._wait_for_one(held)
                    has_all = len(self._lanes) == 1 or (self._nobody_waits() and self._take_the_others(held))
                yield has_all
        finally:
            with contextlib.suppress(BlockingIOError):  # full of unread announcements
                os.write(self._freed, b".")

    @contextmanager
    def _first_in_line(self) -> Generator[None]:
        # The first waiter holds the first lock, the next one the second, so that the first sees the next.
        with ExitStack() as place:
            with _locked(self._second):
                place.enter_context(_locked(self._first))
            yield

    def _nobody_waits(self) -> bool:
        return _is_free(self._second)

    def _wait_for_one(self, held: ExitStack) -> None:
        while not any(_taken_if_free(lane, held) for lane in self._lanes):
            select.select([self._freed], [], [], POLL_INTERVAL_S)
            with contextlib.suppress(BlockingIOError):
                os.read(self._freed, 4096)

    def _take_the_others(self, held: ExitStack) -> bool:
        """Take the other lanes if all of them are free, else none."""
        with ExitStack() as others:
            # One lane is already held by this caller.
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
    # A new file description for each lock: threads would share the lock of a common one.
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, how)
        yield
    finally:
        os.close(file)
