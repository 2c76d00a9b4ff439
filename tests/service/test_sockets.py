"""What a running server listens on: its port, and Unix sockets that nobody else on the machine can reach."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.service.conftest import StartServer
from tests.service.server import Server


@pytest.fixture(
    scope="module", params=[{}, {"BENTOML_NO_UDS": "1"}], ids=["as_it_is", "without_unix_sockets"]
)
def listening(request: pytest.FixtureRequest, start_server: StartServer) -> Iterator[Server]:
    server = start_server(**request.param)
    folders = {Path(socket_file).parent for socket_file in unix_sockets(server)}
    yield server
    assert server.stop() == []
    assert not any(folder.exists() for folder in folders), "nothing is left of it"


def unix_sockets(server: Server) -> set[str]:
    """The addresses of all Unix sockets of all processes that have one."""
    return {
        str(connection.laddr)
        for process in server.processes()
        for connection in process.net_connections("unix")
        if connection.laddr
    }


@pytest.mark.promise("only-the-service-port")
def test_no_process_listens_on_another_port(listening: Server) -> None:
    ports = {
        connection.laddr.port
        for process in listening.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    }

    assert ports == {listening.port}


@pytest.mark.promise("only-the-service-port")
def test_unix_sockets_are_in_folders_of_its_user_alone(listening: Server) -> None:
    paths = unix_sockets(listening)

    # Of the supervisor: its commands and events. Of the runners: one each.
    assert len(paths) == 4
    for path in paths:
        assert Path(path).is_absolute(), "a name without a file is open to everybody"
        folder = Path(path).parent.stat()
        assert (stat.S_IMODE(folder.st_mode), folder.st_uid) == (0o700, os.getuid())
