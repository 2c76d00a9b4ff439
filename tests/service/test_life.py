"""Start, crash and stop."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from runners.store import ModelStore
from tests.service.conftest import StartServer
from tests.service.server import Server, command, environment, free_port

CALLERS = 4
ABSENT_DEVICE = "cuda" if sys.platform == "darwin" else "mps"


@pytest.fixture(scope="module")
def mortal(start_server: StartServer) -> Iterator[Server]:
    """A server whose workers are killed."""
    server = start_server(ALLOWED_IMAGE_HOSTS="127.0.0.1")
    yield server
    server.stop()


@pytest.mark.parametrize("runner", ["detector_runner", "pose_runner"])
def test_a_killed_runner_costs_no_more_than_the_requests_it_had(
    mortal: Server, new_figure: Callable[[], str], runner: str
) -> None:
    mortal.predict(new_figure())
    stop = threading.Event()

    def caller() -> list[object]:
        slots = []
        while not stop.is_set():
            slots += mortal.predict(new_figure())  # fails the test unless the status is 200
        return slots

    with ThreadPoolExecutor(CALLERS) as callers:
        running = [callers.submit(caller) for _ in range(CALLERS)]
        time.sleep(0.5)
        mortal.worker(runner).kill()
        killed = time.monotonic()
        time.sleep(0.5)
        stop.set()
        slots = [slot for one in running for slot in one.result(60)]
    back = time.monotonic() - killed
    (slot,) = mortal.predict(new_figure())

    assert slot["result"], "the next request succeeds"
    # BentoML looks every 10 s for workers that ended, and a worker needs some seconds to load its networks.
    assert time.monotonic() - killed < 30, f"the callers had their answers after {back:.1f} s"
    assert slots
    assert all(slot == [] or slot["result"] for slot in slots), "an answer or a failed slot, nothing between"
    assert mortal.is_ready()


def test_sigterm_ends_every_process_within_seconds(mortal: Server, figure: str) -> None:
    mortal.predict(figure)
    processes = mortal.processes()
    started = time.monotonic()

    assert mortal.stop() == []

    assert time.monotonic() - started < 10
    assert len(processes) >= 4, "the supervisor and three workers"
    assert not any(process.is_running() for process in processes)
    with pytest.raises(ConnectionRefusedError):
        mortal.ask("GET", "/health")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"MODE": "nonsense"}, "MODE: input should be 'embedded'"),
        ({"BACKEND_PORT": "abc"}, "BACKEND_PORT: input should be a valid integer"),
        ({"LABEL_STUDIO_URL": "nowhere"}, "LABEL_STUDIO_URL is not a web address"),
        ({"ALLOWED_IMAGE_HOSTS": "a/b"}, "ALLOWED_IMAGE_HOSTS: 'a/b' is not understood"),
        ({"DEVICE": ABSENT_DEVICE}, f"DEVICE={ABSENT_DEVICE} needs"),
        ({"MODEL_CACHE_DIR": "/proc/nowhere"}, "The model store lacks"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_sentence(
    model_store: ModelStore, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    given = {"BACKEND_PORT": str(free_port()), "MODEL_CACHE_DIR": str(model_store.root), **settings}
    with subprocess.Popen(
        command(),
        env=environment(tmp_path, given),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            output, _ = server.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            for process in psutil.Process(server.pid).children(recursive=True):
                process.kill()
            server.kill()
            raise

    assert server.returncode not in (0, None)
    (line,) = output.strip().splitlines()
    assert said in line
    assert "Traceback" not in output
