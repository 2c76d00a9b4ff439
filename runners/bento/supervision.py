"""What keeps the worker processes running, inside BentoML's supervisor.

`bentoml serve` is a supervisor (circus) with a worker process for each service. Left to itself, it

- looks only every 10 s for workers that ended, and in a container ends all of them with the first,
- never notices a worker that hangs,
- at SIGTERM ends the runners together with the service that needs them, so that requests in hand fail; and forgets a
  SIGTERM that comes while it is starting a worker,
- leaves the port open until the last worker is gone, so that new callers wait for nobody,
- takes commands, to start any program among others, from whoever connects to a TCP port of this machine; and where
  BentoML takes the system for WSL, or BENTOML_NO_UDS is set, so do its runners, as pickles.

There is no setting for any of that, so the supervisor's class is replaced by one that is derived from it. BentoML is
pinned to the version this was written for.
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
"""The same while a worker loads its networks, so that one that hangs right afterwards is known to have lived."""
PROBE_LIMIT_S = 4.0
"""A worker answers a probe from memory, whatever its networks do; this is for a machine that is far too busy."""
PROBES_MISSED = 2
"""Two in a row, so that a machine that was asleep for a while does not count as a worker that hangs."""
LOADING_LIMIT_S = 600.0
"""A worker that has not answered once by then will not: networks are compiled before any worker starts."""
YOUNG_S = 10.0
"""A worker that ends sooner after its start would probably do so again at once: the next round of 10 s sees to it."""
REFUSE_AFTER_S = 0.5
"""After SIGTERM, the service's worker has stopped listening by then; uvicorn looks every 0.1 s."""

_ENTRY, _ENTRY_SOCKET = "service", "_bento_api_server"  # as BentoML names them
_RUNNER_PREFIX = "service_"


def supervise(name_variable: str) -> None:
    """Make the server that BentoML is about to start in this process watch its workers, and listen on one port only.

    Args:
        name_variable: Environment variable in which a worker finds its name: `entry`, or the runner's.
    """
    supervisor: Any = bentoml_circus
    supervisor.Arbiter = partial(WatchfulArbiter, name_variable=name_variable)
    serving: Any = bentoml_serving
    serving.IS_WSL = False  # today's has Unix sockets
    os.environ.pop("BENTOML_NO_UDS", None)


_Arbiter: Any = bentoml_circus.Arbiter  # its types are not what it does: `stop` returns something to wait for


class WatchfulArbiter(_Arbiter):
    """BentoML's supervisor, which also sees to workers that hang, and stops its workers in order.

    Args:
        args: As BentoML gives them.
        name_variable: See `supervise`.
        kwargs: As BentoML gives them.

    Raises:
        RuntimeError: BentoML names its workers and sockets differently.
    """

    loop: Any
    sockets: dict[str, socket.socket]
    watchers: list[Any]
    _stopping: bool

    def __init__(self, *args: Any, name_variable: str, **kwargs: Any) -> None:
        # Its mode is 0700. The supervisor's own plugins need the sockets, or there would be none.
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
        self.missed: dict[int, int] = {}  # by process; who has never answered is still loading its networks

    def initialize(self) -> None:
        """Start watching, as soon as there is something to watch."""
        super().initialize()
        for watcher in self.watchers:
            watcher.respawn = True  # in containers as well: a new worker is back sooner than a new container
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
        ):  # something is being started or stopped: the next round sees to it
            await self.manage_watchers()

    async def _probe_runners(self) -> None:
        runners = [watcher for watcher in self.watchers if watcher.name.startswith(_RUNNER_PREFIX)]
        while True:
            pids = {pid for runner in runners for pid in runner.get_active_pids()}
            await asyncio.sleep(PROBE_INTERVAL_S if pids <= self.missed.keys() else LOADING_INTERVAL_S)
            await asyncio.gather(*(self.probe(runner) for runner in runners))
            self.forget_ended(runners)

    def forget_ended(self, runners: list[Any]) -> None:
        """Forget processes that are gone: another may get the number, and is given time to load its networks."""
        running = {pid for runner in runners for pid in runner.get_active_pids()}
        self.missed = {pid: missed for pid, missed in self.missed.items() if pid in running}

    async def probe(self, runner: Any) -> None:
        """Ask the workers of a runner whether they live, and end one that has not answered for too long."""
        for pid in runner.get_active_pids():
            if await _answers(self.sockets[runner.name.removeprefix(_RUNNER_PREFIX)]):
                self.missed[pid] = 0
            elif pid in self.missed or runner.processes[pid].age() > LOADING_LIMIT_S:
                self.missed[pid] = self.missed.get(pid, 0) + 1
                if self.missed[pid] >= PROBES_MISSED:
                    logger.error("The worker process %s of %s hangs: it is ended", pid, runner.name)
                    del self.missed[pid]
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def stop(self) -> Any:
        """Let the service answer what it has in hand, then end the runners; asked again, go on with it."""
        if self._ending is None:
            self._ending = self.loop.asyncio_loop.create_task(self._stop_in_order())
        return self._ending

    async def _stop_in_order(self) -> None:
        self._stopping = True
        entry_ended: Any = self.get_watcher(_ENTRY)._stop(close_output_streams=True)
        await asyncio.sleep(REFUSE_AFTER_S)
        with contextlib.suppress(OSError):  # already closed, or a system that cannot
            # Every worker has inherited the socket, and would keep new callers waiting.
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
    """Check that workers and sockets have the names that probes and the order of stopping rely on.

    Raises:
        RuntimeError: They have not. Nothing else would show it before a worker hangs, or before SIGTERM.
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
    """Whether the worker behind a socket is alive and says so."""
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
