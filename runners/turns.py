"""Turns on the CPUs: networks, each of which uses all threads that there are, run one after the other.

Two that ran at once would have twice as many threads as there are CPUs, and each of their layers would wait for threads
that the other has pushed aside.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path


class CpuTurns:
    """The turns of all threads of all processes that name the same folder.

    The kernel gives a turn back when its process ends, however it ends.

    Args:
        folder: A folder that the processes of one server share.
    """

    def __init__(self, folder: Path) -> None:
        self._turn, self._next = folder / "turn.lock", folder / "next-turn.lock"

    @contextmanager
    def taken(self) -> Generator[None]:
        """Wait for a turn, and give it back at the end."""
        with ExitStack() as turn:
            # Whoever waits longest holds this: else one who has many batches would take turn after turn.
            with _locked(self._next):
                turn.enter_context(_locked(self._turn))
            yield


@contextmanager
def _locked(path: Path) -> Generator[None]:
    # Opened anew, since what is opened once is locked for all threads alike.
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
