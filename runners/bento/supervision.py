"""The supervisor of the worker processes, derived from BentoML's.

`bentoml serve` is a supervisor (circus) with a worker process for each service. By default it

- checks for ended workers only every 10 s, and in a container stops all workers when one ends,
- never detects a hanging worker,
- on SIGTERM stops the runners together with the service, so that running requests fail; and ignores a SIGTERM while it
  is starting a worker,
- keeps the port open until the last worker has ended, so that new clients wait in vain,
- accepts commands, such as starting any program, from any client of a TCP port on this machine. If BentoML detects WSL
  or BENTOML_NO_UDS is set, its runners accept pickles the same way.

There is no setting for any of that, so a subclass replaces the supervisor of the pinned BentoML version.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Container
from functools import partial
from typing import Any

import _bentoml_impl.server.serving as bentoml_serving
from bentoml._internal.utils import circus as bentoml_circus
from circus.exc import ConflictError
from circus.process import DEAD_OR_ZOMBIE

from runners.bento.worker import worker_environment

logger = logging.getLogger(__name__)

PROBE_INTERVAL_S = 2.0
LOADING_INTERVAL_S = 0.5
"""Probe interval while a worker loads its networks, so that a hang right afterwards is detected."""
PROBE_LIMIT_S = 4.0
"""Probe timeout. A worker answers from memory during inference, so this allows for an overloaded machine."""
PROBES_MISSED = 2
"""Failed probes in a row that mean a hang; one may be due to a suspended machine."""
LOADING_LIMIT_S = 600.0
"""Timeout for the first successful probe; networks are compiled before any worker starts."""
YOUNG_S = 10.0
"""A worker that ends sooner after its start is replaced by circus' next check (every 10 s), not at once."""
REFUSE_AFTER_S = 0.5
"""Time after SIGTERM by which the service's worker has stopped listening; uvicorn checks every 0.1 s."""

_ENTRY, _ENTRY_SOCKET = "service", "_bento_api_server"  # as BentoML names them
_RUNNER_PREFIX = "service_"


def supervise(name_variable: str) -> None:
    """Replace BentoML's supervisor in this process by `WatchfulArbiter`, and let the server listen on one port only.

    Args:
        name_variable: Environment variable for a worker's name: `entry`, or the runner's.
    """
    supervisor: Any = bentoml_circus
    supervisor.Arbiter = partial(WatchfulArbiter, name_variable=name_variable)
    serving: Any = bentoml_serving
    serving.IS_WSL = False  # current WSL supports Unix sockets
    os.environ.pop("BENTOML_NO_UDS", None)


_Arbiter: Any = bentoml_circus.Arbiter  # its types are wrong: `stop` returns an awaitable


class WatchfulArbiter(_Arbiter):
    """BentoML's supervisor, which also replaces hanging workers and stops workers in order.

    Args:
        args: BentoML's arguments.
        name_variable: See `supervise`.
        kwargs: BentoML's arguments.

    Raises:
        RuntimeError: BentoML names its workers and sockets differently.
    """

    loop: Any
    sockets: dict[str, socket.socket]
    watchers: list[Any]
    _stopping: bool

    def __init__(self, *args: Any, name_variable: str, **kwargs: Any) -> None:
        # Its mode is 0700. The supervisor's own plugins need these sockets.
        self._folder = tempfile.TemporaryDirectory(prefix="rtmlib-server-", ignore_cleanup_errors=True)
        endpoints = {
            "endpoint": f"ipc://{self._folder.name}/commands",
            "pubsub_endpoint": f"ipc://{self._folder.name}/events",
        }
        super().__init__(*args, **{**kwargs, **endpoints})
        check_names([watcher.name for watcher in self.watchers], self.sockets)
        for watcher in self.watchers:
            watcher.env.update(worker_environment(self._folder.name))
            watcher.env[name_variable] = _name_of(watcher)
        self._ending: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self.missed: dict[int, int] = {}  # by process id; a missing one is still loading its networks

    def initialize(self) -> None:
        """Start watching the workers."""
        super().initialize()
        for watcher in self.watchers:
            watcher.respawn = True  # also in containers: a new worker starts faster than a new container
        loop: asyncio.AbstractEventLoop = self.loop.asyncio_loop
        loop.add_signal_handler(signal.SIGCHLD, lambda: self.loop.spawn_callback(self._replace_ended))
        self._probing = loop.create_task(self._probe_runners())

    async def _replace_ended(self) -> None:
        ended = [
            process
            for watcher in self.watchers
            for process in watcher.processes.values()
            if process.status == DEAD_OR_ZOMBIE
        ]
        if self._stopping or not ended or any(process.age() < YOUNG_S for process in ended):
            return
        logger.warning(
            "A worker process ended (%s): starting another", ", ".join(str(one.pid) for one in ended)
        )
        with contextlib.suppress(
            ConflictError
        ):  # a worker is being started or stopped; circus' next check replaces it
            await self.manage_watchers()

    async def _probe_runners(self) -> None:
        runners = [watcher for watcher in self.watchers if watcher.name.startswith(_RUNNER_PREFIX)]
        while True:
            pids = {pid for runner in runners for pid in runner.get_active_pids()}
            await asyncio.sleep(PROBE_INTERVAL_S if pids <= self.missed.keys() else LOADING_INTERVAL_S)
            await asyncio.gather(*(self.probe(runner) for runner in runners))
            self.forget_ended(runners)

    def forget_ended(self, runners: list[Any]) -> None:
        """Forget ended processes: a new one may get the same id, and needs time to load its networks."""
        running = {pid for runner in runners for pid in runner.get_active_pids()}
        self.missed = {pid: missed for pid, missed in self.missed.items() if pid in running}

    async def probe(self, runner: Any) -> None:
        """Probe the workers of a runner, and kill one that hangs."""
        for pid in runner.get_active_pids():
            if await _answers(self.sockets[runner.name.removeprefix(_RUNNER_PREFIX)]):
                self.missed[pid] = 0
            elif pid in self.missed or runner.processes[pid].age() > LOADING_LIMIT_S:
                self.missed[pid] = self.missed.get(pid, 0) + 1
                if self.missed[pid] >= PROBES_MISSED:
                    logger.error("The worker process %s of %s hangs and is killed", pid, runner.name)
                    del self.missed[pid]
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def stop(self) -> Any:
        """Stop the service after its running requests, then the runners; repeated calls return the same task."""
        if self._ending is None:
            self._ending = self.loop.asyncio_loop.create_task(self._stop_in_order())
        return self._ending

    async def _stop_in_order(self) -> None:
        self._stopping = True
        entry_ended: Any = self.get_watcher(_ENTRY)._stop(close_output_streams=True)
        await asyncio.sleep(REFUSE_AFTER_S)
        with contextlib.suppress(OSError):  # already closed, or unsupported
            # Every worker has inherited the socket, which would keep new clients waiting.
            self.sockets[_ENTRY_SOCKET].shutdown(socket.SHUT_RDWR)
        await entry_ended
        while True:
            try:
                await super().stop()
            except ConflictError:  # workers are being started
                await asyncio.sleep(0.1)
            else:
                break
        if self._probing is not None:
            self._probing.cancel()
        self._folder.cleanup()


def check_names(watchers: list[str], sockets: Container[str]) -> None:
    """Check the names of workers and sockets, on which probes and the stop order rely.

    Raises:
        RuntimeError: They differ. It would otherwise show only at a hang or SIGTERM.
    """
    runners = [name for name in watchers if name != _ENTRY]
    of_runners = [name.removeprefix(_RUNNER_PREFIX) for name in runners if name.startswith(_RUNNER_PREFIX)]
    expected = {_ENTRY_SOCKET, *of_runners}
    if (
        _ENTRY not in watchers
        or len(of_runners) < len(runners)
        or any(one not in sockets for one in expected)
    ):
        raise RuntimeError(
            f"BentoML names its workers differently ({', '.join(watchers)}): see runners/bento."
        )


def _name_of(watcher: Any) -> str:
    return (
        "entry"
        if watcher.name == _ENTRY
        else watcher.name.removeprefix(_RUNNER_PREFIX).removesuffix("_runner")
    )


async def _answers(listening: socket.socket) -> bool:
    """Tell whether the worker behind a socket answers a liveness probe."""
    try:
        async with asyncio.timeout(PROBE_LIMIT_S):
            if listening.family == socket.AF_UNIX:
                reader, writer = await asyncio.open_unix_connection(listening.getsockname())
            else:
                reader, writer = await asyncio.open_connection(*listening.getsockname()[:2])
            try:
                writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
