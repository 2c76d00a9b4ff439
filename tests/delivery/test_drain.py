"""k8s/base/drain.py with real connections: the pod goes when its last request is answered."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Within


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def drain(root: Path, server: socket.socket, pause_s: float, limit_s: float) -> subprocess.Popen[bytes]:
    port = server.getsockname()[1]
    return subprocess.Popen(
        [sys.executable, str(root / "k8s/base/drain.py"), str(port), str(pause_s), str(limit_s)]
    )


def test_waits_for_the_pause_when_nothing_is_under_way(
    root: Path, server: socket.socket, within: Within
) -> None:
    started = time.monotonic()
    with within(5):
        assert drain(root, server, pause_s=1, limit_s=20).wait(timeout=15) == 0
    assert time.monotonic() - started >= 1


def test_waits_for_a_connection_that_is_open(root: Path, server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        hook = drain(root, server, pause_s=0.1, limit_s=60)
        time.sleep(3)
        assert hook.poll() is None, "it went while a request was under way"
        accepted.close()
        client.close()
        assert hook.wait(timeout=10) == 0


def test_gives_up_at_the_limit(root: Path, server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()):
        accepted, _ = server.accept()
        with accepted:
            assert drain(root, server, pause_s=0.1, limit_s=1).wait(timeout=10) == 1


def test_connections_of_other_ports_do_not_count(root: Path, server: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_connection(other.getsockname()):
        assert drain(root, server, pause_s=0.1, limit_s=20).wait(timeout=10) == 0
