"""Which worker processes the supervisor ends; what it does to a running server is in tests/service/test_life.py."""

import socket
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from runners.bento import supervision
from runners.bento.supervision import LOADING_LIMIT_S, PROBES_MISSED, WatchfulArbiter


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.fixture
def arbiter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A supervisor whose runner listens and never answers."""
    monkeypatch.setattr(supervision, "PROBE_LIMIT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        arbiter: Any = WatchfulArbiter.__new__(WatchfulArbiter)
        arbiter.missed, arbiter.sockets = {}, {"pose": silent}
        yield arbiter


def runner(worker: subprocess.Popen[bytes], age_s: float) -> Any:
    process = SimpleNamespace(age=lambda: age_s)
    return SimpleNamespace(
        name="service_pose", processes={worker.pid: process}, get_active_pids=lambda: [worker.pid]
    )


async def test_one_that_is_loading_its_networks_is_left_alone(
    arbiter: Any, worker: subprocess.Popen[bytes]
) -> None:
    for _ in range(PROBES_MISSED + 1):
        await arbiter.probe(runner(worker, LOADING_LIMIT_S - 1))

    assert worker.poll() is None


async def test_one_that_has_been_loading_for_too_long_is_ended(
    arbiter: Any, worker: subprocess.Popen[bytes]
) -> None:
    for _ in range(PROBES_MISSED):
        await arbiter.probe(runner(worker, LOADING_LIMIT_S + 1))

    assert worker.wait(5) == -9


async def test_processes_that_are_gone_are_forgotten(arbiter: Any, worker: subprocess.Popen[bytes]) -> None:
    ended, others = runner(worker, 1), SimpleNamespace(get_active_pids=lambda: [2])
    arbiter.missed = {worker.pid: 1, 2: 0, 3: 1}

    arbiter.forget_ended([ended, others])
    assert arbiter.missed == {worker.pid: 1, 2: 0}
    ended.get_active_pids = list
    arbiter.forget_ended([ended, others])
    assert arbiter.missed == {2: 0}


class TestNames:
    def test_those_of_bentoml_are_accepted(self) -> None:
        supervision.check_names(["service_pose", "service"], {"pose", "_bento_api_server"})

    @pytest.mark.parametrize(
        ("watchers", "sockets"),
        [
            (["service_pose", "entry"], {"pose", "_bento_api_server"}),
            (["pose", "service"], {"pose", "_bento_api_server"}),
            (["service_pose", "service"], {"runner_pose", "_bento_api_server"}),
            (["service_pose", "service"], {"pose", "api_server"}),
        ],
    )
    def test_others_end_the_start(self, watchers: list[str], sockets: set[str]) -> None:
        with pytest.raises(RuntimeError, match="names its workers differently"):
            supervision.check_names(watchers, sockets)
