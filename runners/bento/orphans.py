"""Workers end with their supervisor, also when it is killed: left behind, they would keep the port and the memory."""

import ctypes
import os
import signal
import sys

_SUPERVISOR = "RTMLIB_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def announce_supervisor() -> None:
    """Tell the workers that this process is about to start who it is."""
    os.environ[_SUPERVISOR] = str(os.getpid())


def end_with_supervisor() -> None:
    """Have this worker killed when its supervisor ends. Only Linux can do that; elsewhere nothing happens.

    Killed, since the other signals would let it finish what it has in hand, for up to 105 s with the port taken.
    """
    supervisor = os.environ.get(_SUPERVISOR)
    if supervisor is None or sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != int(supervisor):  # it ended before that
        os.kill(os.getpid(), signal.SIGKILL)
