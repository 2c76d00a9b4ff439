"""Start, crash and stop."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from runners.bento.supervision import YOUNG_S
from runners.models.store import ModelStore
from tests.conftest import Within
from tests.service.conftest import StartServer
from tests.service.picture_server import PictureServer
from tests.service.server import STOP_LIMIT_S, Server, command, environment, free_port

CALLERS = 4
ABSENT_DEVICE = "cuda" if sys.platform == "darwin" else "mps"


def grown_up(worker: psutil.Process) -> None:
    """Wait until a worker is so old that its end is an accident: one that ends at once is given more time."""
    time.sleep(max(0, worker.create_time() + YOUNG_S + 0.5 - time.time()))


def is_open(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def mortal(start_server: StartServer) -> Server:
    """A server whose workers are killed."""
    return start_server(ALLOWED_IMAGE_HOSTS="127.0.0.1")


def under_load(
    server: Server, new_figure: Callable[[], str], what: Callable[[], None], then_s: float
) -> list[Any]:
    """Do something while four callers predict, and let them go on for a while; returns their slots."""
    stop = threading.Event()

    def caller() -> list[Any]:
        slots: list[Any] = []
        while not stop.is_set():
            slots += server.predict(new_figure())  # fails the test unless the status is 200
        return slots

    with ThreadPoolExecutor(CALLERS) as callers:
        running = [callers.submit(caller) for _ in range(CALLERS)]
        try:
            time.sleep(0.5)
            what()
            time.sleep(then_s)
        finally:
            stop.set()
        return [slot for one in running for slot in one.result(60)]


@pytest.mark.promise("killed-runner-replaced")
@pytest.mark.parametrize("runner", ["detector_runner", "pose_runner"])
def test_a_killed_runner_is_back_within_10_s_and_costs_no_more_than_the_requests_it_had(
    mortal: Server, new_figure: Callable[[], str], runner: str, within: Within
) -> None:
    mortal.predict(new_figure())
    grown_up(mortal.worker(runner))

    # Most of it is what a worker needs to load its networks, as the first start does.
    with within(max(10, 2 * mortal.start_s)):
        slots = under_load(mortal, new_figure, mortal.worker(runner).kill, then_s=0.5)
        (slot,) = mortal.predict(new_figure())

    assert slot["result"], "the next request succeeds"
    assert len(slots) >= CALLERS
    assert [slot for slot in slots if slot == [] or not slot["result"]] == [], (
        "what the runner had is asked again"
    )
    assert mortal.is_ready()


@pytest.mark.promise("hanging-runner-replaced")
def test_a_runner_that_hangs_is_replaced_and_the_requests_it_had_are_answered(
    mortal: Server, new_figure: Callable[[], str], within: Within
) -> None:
    mortal.predict(new_figure())
    stopped = mortal.worker("pose_runner")
    grown_up(stopped)  # the supervisor has seen that it lives

    # Two rounds of the supervisor's probes, and the start of a worker.
    with within(max(30, 12 + 2 * mortal.start_s)):
        slots = under_load(mortal, new_figure, stopped.suspend, then_s=0.5)

    assert not stopped.is_running() or stopped.status() == psutil.STATUS_ZOMBIE
    assert len(slots) >= CALLERS
    assert [slot for slot in slots if slot == [] or not slot["result"]] == [], (
        "what the runner had is asked again"
    )
    assert "hangs and is killed" in mortal.log()
    (slot,) = mortal.predict(new_figure())
    assert slot["result"]


@pytest.mark.promise("killed-service-replaced")
def test_the_service_itself_is_back_within_10_s_when_it_is_killed(
    mortal: Server, new_figure: Callable[[], str], within: Within
) -> None:
    grown_up(mortal.worker("--backlog"))
    mortal.worker("--backlog").kill()
    with within(max(10, 2 * mortal.start_s)):
        while not mortal.is_ready():
            time.sleep(0.1)
    (slot,) = mortal.predict(new_figure())
    assert slot["result"]


@pytest.mark.promise("sigterm-ends-idle")
def test_sigterm_does_not_wait_for_callers_that_hung_up(
    mortal: Server, new_figure: Callable[[], str]
) -> None:
    for _ in range(5):
        with contextlib.suppress(TimeoutError):
            task = {"id": 1, "data": {"image": new_figure()}}
            mortal.ask("POST", "/predict", {"tasks": [task]}, timeout=0.02)

    assert mortal.stop() == []
    mortal.start()


@pytest.mark.promise("sigterm-ends-idle")
def test_sigterm_ends_every_process_within_seconds(mortal: Server, figure: str, within: Within) -> None:
    mortal.predict(figure)
    processes = mortal.processes()

    with within(10):
        assert mortal.stop() == []

    assert len(processes) >= 4, "the supervisor and three workers"
    assert not any(process.is_running() for process in processes)
    with pytest.raises(ConnectionRefusedError):
        mortal.ask("GET", "/health")


@pytest.mark.promise("sigterm-drains")
def test_at_sigterm_what_is_in_hand_is_finished_and_nothing_new_is_begun(
    start_server: StartServer, pictures: PictureServer, new_figure: Callable[[], str]
) -> None:
    server = start_server(ALLOWED_IMAGE_HOSTS="127.0.0.1")
    server.predict(new_figure())
    figures = [new_figure() for _ in range(2 * CALLERS)]
    for figure in figures:  # whose pictures come, and whose networks are needed, well after the signal
        pictures.delays[figure.removeprefix(pictures.url)] = 4
    with ThreadPoolExecutor(len(figures)) as callers:
        running = [callers.submit(server.predict, figure) for figure in figures]
        time.sleep(1)
        processes = server.processes()
        server.terminate()
        time.sleep(1.5)
        with pytest.raises(ConnectionError):  # refused or closed, and not left waiting
            server.ask("GET", "/health", timeout=30)
        server.terminate()  # again, as impatient operators do
        answers = [one.result(30) for one in running]

    assert all(slot["result"] for (slot,) in answers)
    assert server.exit_code(15) == 0
    assert psutil.wait_procs(processes, timeout=5)[1] == []


@pytest.mark.promise("sigterm-during-start")
@pytest.mark.parametrize(
    "workers", [0, 1, 3], ids=["before the workers", "with the first", "while they load"]
)
def test_sigterm_during_the_start_leaves_no_process(
    model_store: ModelStore, tmp_path: Path, workers: int
) -> None:
    server = Server(tmp_path, {"MODEL_CACHE_DIR": str(model_store.root)})
    server.launch()
    deadline = time.monotonic() + 60
    while len(server.processes()) < 1 + workers:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    processes = server.processes()
    server.terminate()
    # Before BentoML listens to signals, SIGTERM ends the process as it ends any other.
    assert server.exit_code(20 + STOP_LIMIT_S) in ((0, -signal.SIGTERM) if workers == 0 else (0,))
    assert psutil.wait_procs(processes, timeout=5)[1] == []


@pytest.mark.promise("killed-supervisor-leaves-nothing")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells processes that their parent has ended")
def test_a_killed_supervisor_leaves_no_process_and_its_port_to_the_next(
    start_server: StartServer, new_figure: Callable[[], str], within: Within
) -> None:
    server = start_server(ALLOWED_IMAGE_HOSTS="127.0.0.1")
    # Of the workers that it starts later on as well.
    server.worker("pose_runner").kill()
    server.predict(new_figure())
    processes = server.processes()
    assert len(processes) >= 4, "the supervisor and three workers"

    processes[0].kill()
    with within(10):
        while [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]:
            time.sleep(0.05)
        while is_open(server.port):  # threads may end a moment after their process
            time.sleep(0.05)

    assert server.exit_code(5) == -signal.SIGKILL
    server.start()
    assert server.predict(new_figure())[0]["result"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"MODE": "nonsense"}, "MODE: input should be 'embedded'"),
        ({"BACKEND_PORT": "abc"}, "BACKEND_PORT: input should be a valid integer"),
        ({"LABEL_STUDIO_URL": "nowhere"}, "LABEL_STUDIO_URL is not a web address"),
        ({"ALLOWED_IMAGE_HOSTS": "a/b"}, "ALLOWED_IMAGE_HOSTS: 'a/b' is invalid"),
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
