"""Runs functions in isolated processes and exchanges messages with them."""

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
# Variables that the interpreter and the libraries need to start. No setting is among them, so no secret is.
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
    """An isolated process ended or was killed before it responded."""


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
            raise ProcessEndedError("The process sends more than its limit")
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
    """Runs functions in processes forked from a server, which starts at the first use.

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
        """Run a function in a process with a channel to it; the process is killed at the end of the block.

        Args:
            function: From a module that the server imports. Gets its end of the channel, `data` and `arguments`.
            data: A file.
            memory_bytes: Memory in addition to the file, beyond which allocation fails.
            cpu_seconds: CPU time, after which the kernel kills the process.
            short: Whether the process gets the lowest priority after a second.
            arguments: Of the function, as JSON values.

        Raises:
            IsolationUnavailableError: No process can be started.
            ProcessEndedError: The process ended before it received the file.
        """
        local, remote = socket.socketpair()
        with local:
            local.setblocking(False)
            with remote:
                await self._fork(remote, SHORT if short else LONG)
            channel = Channel(local)
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
        for _ in range(2):  # a killed server is noticed at its next use
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
        raise IsolationUnavailableError("The fork server keeps ending. See the log above.")

    def _start(self) -> None:
        local, remote = socket.socketpair()
        with remote:
            self._server = subprocess.Popen(  # noqa: S603 - this interpreter, on our own module
                [
                    sys.executable,
                    "-c",
                    "from adapters.isolation.fork_server import main; main()",
                    str(remote.fileno()),
                    *_MODULES,
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[remote.fileno()],
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
                # BentoML removes the Bento's code folder from the path once the service is loaded.
                | {"PYTHONPATH": os.pathsep.join([_CODE, *filter(None, sys.path)])}
                # Only a process with one thread can be forked safely; work on one file needs no more.
                | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            )
        local.settimeout(_START_LIMIT_S)
        try:
            ready = local.recv(1)
        except TimeoutError:
            ready = b""
        local.settimeout(0)  # an order has one byte, so the buffer has room unless the server hangs
        self._control = local
        if not ready:
            self._stop()
            raise IsolationUnavailableError("The fork server did not start. See the log above.")

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()  # which ends it and its processes
            self._control = None
        if self._server is not None:
            try:
                self._server.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None
