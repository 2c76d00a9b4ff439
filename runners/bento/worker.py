"""What the supervisor tells its workers in their environment, and what they do with it."""

import ctypes
import os
import signal
import sys
import tempfile
from functools import cache
from pathlib import Path

_FOLDER = "RTMLIB_SERVER_FOLDER"
_SUPERVISOR = "RTMLIB_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def worker_environment(folder: str) -> dict[str, str]:
    """Return the environment variables that this process, the supervisor, gives its workers.

    Args:
        folder: Shared by the processes of this server, and by no other server.
    """
    return {
        _SUPERVISOR: str(os.getpid()),
        _FOLDER: folder,
        # Not BentoML's folder, which all servers of a user share, and which each empties when it starts.
        "PROMETHEUS_MULTIPROC_DIR": folder,
    }


def server_folder() -> Path:
    """Return the folder that the processes of this server share; in any other process, one of its own."""
    folder = os.environ.get(_FOLDER)
    return Path(folder) if folder else _own_folder()


@cache
def _own_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="rtmlib-server-"))


def end_with_supervisor() -> None:
    """Have the kernel kill this worker when its supervisor ends, however it ends; on Linux only.

    Left behind, workers would keep the port and the memory. Any other signal would let them finish their requests
    first, for up to 105 s with the port taken.
    """
    supervisor = os.environ.get(_SUPERVISOR)
    if supervisor is None or sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != int(supervisor):  # it ended before that
        os.kill(os.getpid(), signal.SIGKILL)
