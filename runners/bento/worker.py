"""Environment variables from the supervisor to its workers, and their use."""

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
    """Return the workers' environment variables; call it in the supervisor.

    Args:
        folder: Folder shared by the processes of this server only.
    """
    return {
        _SUPERVISOR: str(os.getpid()),
        _FOLDER: folder,
        # Not BentoML's folder, which all servers of a user share and each empties on start.
        "PROMETHEUS_MULTIPROC_DIR": folder,
    }


def server_folder() -> Path:
    """Return the folder shared by this server's processes; outside a server, a temporary one."""
    folder = os.environ.get(_FOLDER)
    return Path(folder) if folder else _own_folder()


@cache
def _own_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="rtmlib-server-"))


def end_with_supervisor() -> None:
    """Let the kernel kill this worker when its supervisor ends for any reason; Linux only.

    An orphaned worker would keep the port and its memory. Any signal but SIGKILL would let it finish its requests,
    and keep the port for up to 105 s.
    """
    supervisor = os.environ.get(_SUPERVISOR)
    if supervisor is None or sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != int(supervisor):  # it has already ended
        os.kill(os.getpid(), signal.SIGKILL)
