"""The code of the fork server and of the processes that it forks.

The server has one thread and has imported the libraries, so a fork takes milliseconds and is safe. Its environment has
no secrets, and it has no sockets but those that it was given.

For each job it receives one end of a socket pair. It keeps a copy of that end, and kills the job when the caller closes
the other. So a caller ends a job by closing its own end. When the caller dies, all its jobs end.
"""

import contextlib
import gc
import importlib
import math
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FrameType
from typing import NoReturn

from adapters.isolation.blocking_channel import BlockingChannel

READY = b"r"
NICENESS = 5
"""Below the service, equal to its runners."""
LONG_NICENESS = 10
"""Of a long job: below the runners, so other pictures do not wait for it."""
LATE_NICENESS = 15
"""Of a short job that takes longer than `SHORT_S`."""
SHORT_S = 1.0

SHORT, LONG = b"s", b"l"
"""Orders: a job that gets the lowest priority after `SHORT_S`, and a job that may take longer."""


@dataclass(frozen=True)
class _Job:
    pid: int
    connection: socket.socket
    late_at: float
    """When it gets the lowest priority, by `time.monotonic`."""


def main() -> NoReturn:
    """Serve until the caller closes the control socket. Arguments: this socket, and the modules to import."""
    # Only the caller ends it, not a signal to the process group: running jobs finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in sys.argv[2:]:
        importlib.import_module(module)
    os.nice(NICENESS)
    gc.collect()
    gc.freeze()  # or the first collection in each process would copy every page of objects
    with contextlib.suppress(OSError):  # the caller has ended meanwhile
        control.send(READY)
        _serve(control)
    os._exit(0)


def _serve(control: socket.socket) -> None:
    ended, signalled = socket.socketpair()
    signalled.setblocking(False)
    signal.signal(signal.SIGCHLD, _wake_up)
    signal.set_wakeup_fd(signalled.fileno())
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(ended, select.POLLIN)
    jobs: dict[int, _Job] = {}
    while True:
        for fd, _ in poll.poll(_lower_late(jobs)):
            if fd == control.fileno():
                message, fds, _, _ = socket.recv_fds(control, 1, 1)
                if message not in {SHORT, LONG} or len(fds) != 1:
                    for job in jobs.values():
                        os.kill(job.pid, signal.SIGKILL)
                    return
                connection = socket.socket(fileno=fds[0])
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    for unrelated in (control, ended, signalled, *(job.connection for job in jobs.values())):
                        unrelated.close()
                    _run(connection)
                if message == LONG:
                    os.setpriority(os.PRIO_PROCESS, pid, LONG_NICENESS)
                late_at = time.monotonic() + SHORT_S if message == SHORT else math.inf
                jobs[connection.fileno()] = _Job(pid, connection, late_at)
                poll.register(connection, 0)  # hang-ups are reported in any case
            elif fd == ended.fileno():
                ended.recv(1024)
                _reap(jobs, poll)
            elif fd in jobs:
                os.kill(jobs[fd].pid, signal.SIGKILL)
                poll.unregister(fd)
                # Its end is reported by the signal.


def _lower_late(jobs: dict[int, _Job]) -> float | None:
    """Lower the priority of late jobs, and return the milliseconds until the next is late."""
    now = time.monotonic()
    for fd, job in jobs.items():
        if job.late_at <= now:
            with contextlib.suppress(OSError):  # it has ended
                os.setpriority(os.PRIO_PROCESS, job.pid, LATE_NICENESS)
            jobs[fd] = replace(job, late_at=math.inf)
    next_at = min((job.late_at for job in jobs.values()), default=math.inf)
    return None if next_at == math.inf else 1000 * (next_at - now) + 1


def _wake_up(signal_number: int, frame: FrameType | None) -> None:
    """Do nothing: the signal is also written to the wake-up socket."""


def _reap(jobs: dict[int, _Job], poll: select.poll) -> None:
    while jobs:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        fd = next(fd for fd, job in jobs.items() if job.pid == pid)
        job = jobs.pop(fd)
        with contextlib.suppress(KeyError):  # it was killed
            poll.unregister(fd)
        job.connection.close()


def _run(connection: socket.socket) -> NoReturn:
    """Do one job in a forked process."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # A hostile file can make libraries print without limit.
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        channel = BlockingChannel(connection)
        order, data = channel.receive()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (order["cpu_seconds"], order["cpu_seconds"]))
        limit_memory(order["memory_bytes"])
        module, _, name = order["function"].partition(":")
        work: Callable[..., None] = getattr(sys.modules[module], name)
        work(channel, data, **order["arguments"])
        status = 0
    finally:
        os._exit(status)


def limit_memory(more_bytes: int) -> None:
    """Limit the additional memory of this process. Only Linux enforces it."""
    if sys.platform != "linux":
        return
    with open("/proc/self/statm", encoding="ascii") as sizes:
        data_bytes = int(sizes.read().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes + more_bytes, resource.RLIM_INFINITY))
