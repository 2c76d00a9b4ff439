"""Runs functions in isolated processes, and talks with them."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from adapters.concurrency.threads import run_in_thread
from adapters.isolation.blocking_channel import SIZES, Payload, packed
from adapters.isolation.fork_server import LONG, SHORT

_CODE = str(Path(__file__).resolve().parents[2])
_MODULES = ("adapters.pictures.decoding.isolated", "adapters.video.isolated")
_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 5.0
_LONGEST_HEADER = 1_000_000
# What the interpreter and the libraries need to start; no setting, and so no secret, is among them.
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
    "TMPDIR",
)


class ProcessEndedError(Exception):
    """An isolated process ended or was killed before it answered."""


class IsolationUnavailableError(Exception):
    """No isolated process can be started."""


class Channel:
    """Messages to and from an isolated process.

    Args:
        connection: Connected, not blocking.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()

    async def send(self, header: dict[str, Any], payload: Payload = b"") -> None:
        """Send a message.

        Raises:
            ProcessEndedError: The process has ended.
        """
        try:
            await self._loop.sock_sendall(self._connection, packed(header, len(payload)))
            if payload:
                await self._loop.sock_sendall(self._connection, payload)
        except OSError as error:
            raise ProcessEndedError("The process has ended") from error

    async def receive(self, most_payload_bytes: int = 0) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """Wait for a message: its header and payload.

        Args:
            most_payload_bytes: A process that announces more is not listened to.

        Raises:
            ProcessEndedError: The process has ended, or sends what is no such message.
        """
        header_bytes, payload_bytes = SIZES.unpack((await self._exactly(SIZES.size)).tobytes())
        if header_bytes > _LONGEST_HEADER or payload_bytes > most_payload_bytes:
            raise ProcessEndedError("The process sends too much")
        header = json.loads((await self._exactly(header_bytes)).tobytes())
        return header, await self._exactly(payload_bytes)

    async def _exactly(self, count: int) -> NDArray[np.uint8]:
        data = np.empty(count, np.uint8)
        view = data.data
        while view:
            try:
                received = await self._loop.sock_recv_into(self._connection, view)
            except OSError as error:
                raise ProcessEndedError("The process has ended") from error
            if received == 0:
                raise ProcessEndedError("The process has ended")
            view = view[received:]
        return data


class IsolatedProcesses:
    """Runs functions in processes of their own, forked from a server that is started when it is first needed.

    An async context manager: at its end the server and all processes end.
    """

    def __init__(self) -> None:
        self._starting = asyncio.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await run_in_thread(self._stop)

    @asynccontextmanager
    async def run(
        self,
        function: Callable[..., None],
        data: bytes,
        *,
        memory_bytes: int,
        cpu_seconds: int,
        short: bool = True,
        **arguments: Any,
    ) -> AsyncGenerator[Channel]:
        """Run a function in a process, and talk with it; at the end of the block the process is killed.

        Args:
            function: Of one of the modules that the server imports. Gets its end of the channel, `data`, `arguments`.
            data: A file.
            memory_bytes: That the process may have beside the file, before the kernel refuses it more.
            cpu_seconds: Processor time, before the kernel kills it.
            short: After a second, it comes after all other work.
            arguments: Of the function, as JSON can say them.

        Raises:
            IsolationUnavailableError: No process can be started.
            ProcessEndedError: It ended before it had the file.
        """
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            with theirs:
                await self._fork(theirs, SHORT if short else LONG)
            channel = Channel(ours)
            order = {
                "function": f"{function.__module__}:{function.__qualname__}",
                "memory_bytes": memory_bytes,
                "cpu_seconds": cpu_seconds,
                "arguments": arguments,
            }
            await channel.send(order, data)
            del data  # the process has its own copy
            yield channel

    async def _fork(self, connection: socket.socket, order: bytes) -> None:
        for _ in range(2):  # a server that was killed is noticed when it is used
            async with self._starting:
                if self._control is None:
                    await run_in_thread(self._start)
                control = self._control
            assert control is not None, "it was started"
            try:
                socket.send_fds(control, [order], [connection.fileno()])
            except OSError:
                async with self._starting:
                    if self._control is control:
                        await run_in_thread(self._stop)
            else:
                return
        raise IsolationUnavailableError("The server of isolated processes ends again and again")

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(  # noqa: S603 - this interpreter, on a module of ours
                [
                    sys.executable,
                    "-c",
                    "from adapters.isolation.fork_server import main; main()",
                    str(theirs.fileno()),
                    *_MODULES,
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
                # BentoML takes the folder of a Bento's code out of the path once the service is loaded.
                | {"PYTHONPATH": os.pathsep.join([_CODE, *filter(None, sys.path)])}
                # Forked is only what has one thread; work on one file needs no more.
                | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            )
        ours.settimeout(_START_LIMIT_S)
        try:
            ready = ours.recv(1)
        except TimeoutError:
            ready = b""
        ours.settimeout(0)  # an order has one byte: there is room, unless the server hangs
        self._control = ours
        if not ready:
            self._stop()
            raise IsolationUnavailableError(
                "The server of isolated processes cannot be started; see the log above"
            )

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()  # by which it ends, and its processes
            self._control = None
        if self._server is not None:
            try:
                self._server.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None
