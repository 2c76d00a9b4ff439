"""A real Redis, of Debian's package redis-server, and what can happen to it on its way."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

START_LIMIT_S = 10


def required(program: str, package: str) -> str:
    """The path of a program. Without it the test is skipped; with CI=true it fails."""
    found = shutil.which(program)
    if found is None:
        missing = f"{program} is not installed (apt-get install {package})"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@dataclass
class RedisServer:
    """One redis-server process, in memory only.

    Attributes:
        folder: For its log and its socket.
        options: More of its command line.
        port: Kept over restarts.
    """

    folder: Path
    options: list[str] = field(default_factory=list)
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_path(self) -> Path:
        return self.folder / "redis.sock"

    def start(self) -> None:
        if not self.port:
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                self.port = listener.getsockname()[1]
        command = [required("redis-server", "redis-server"), "--bind", "127.0.0.1", "--port", str(self.port)]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        command += ["--unixsocket", str(self.socket_path), *self.options]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_LIMIT_S
        while not self.listens():
            assert self._process.poll() is None, (self.folder / "redis.log").read_text()
            assert time.monotonic() < deadline, "redis-server does not listen"
            time.sleep(0.02)

    def listens(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket_path))
            return True
        return False

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)
            self._process = None

    def ask(self, *words: str | bytes) -> str:
        """Send one command with redis-cli; returns what it prints."""
        command = [required("redis-cli", "redis-tools"), "-s", str(self.socket_path), *words]
        return subprocess.run(command, check=True, capture_output=True, timeout=10).stdout.decode(
            "utf-8", "replace"
        )

    def names(self) -> list[str]:
        return sorted(self.ask("KEYS", "*").split())


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Run one until the end of the block."""
    server = RedisServer(folder, list(options))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@dataclass
class Wire:
    """A TCP connection to somewhere else, which can be cut, led elsewhere, or go silent.

    Attributes:
        port: Where it begins.
        target: Port where new connections end; None where nothing ever answers.
        opened: How many connections were made.
    """

    port: int = 0
    target: int | None = None
    opened: int = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


@asynccontextmanager
async def wire(target: int | None) -> AsyncIterator[Wire]:
    """Lay one on a free port of 127.0.0.1."""
    laid = Wire(target=target)
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        laid.opened += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            if laid.target is None:
                await reader.read(-1)
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", laid.target)
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    laid.port = server.sockets[0].getsockname()[1]
    try:
        yield laid
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
