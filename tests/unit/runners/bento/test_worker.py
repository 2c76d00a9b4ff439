"""A worker whose supervisor has ended; one that is killed while its server runs is in tests/service/test_life.py."""

import os
import subprocess
import sys
import time

import pytest

WORKER = """
import time
from runners.bento.worker import end_with_supervisor
end_with_supervisor()
print("works", flush=True)
time.sleep(60)
"""
SUPERVISOR = f"""
import os, subprocess, sys
from runners.bento.worker import worker_environment
environment = {{**os.environ, **worker_environment("/tmp")}}
worker = subprocess.Popen([sys.executable, "-c", {WORKER!r}], env=environment, stdout=subprocess.PIPE)
worker.stdout.readline()
print(worker.pid, flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells processes that their parent has ended"
)


def state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"


def test_it_ends_when_its_supervisor_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        worker = int(supervisor.stdout.readline())
        assert state(worker) in "SR"
        supervisor.kill()
        deadline = time.monotonic() + 10
        while state(worker) not in ("gone", "Z") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert state(worker) in ("gone", "Z")


@pytest.mark.parametrize(
    ("supervisor", "ends"), [(None, False), ("own parent", False), ("2147483647", True)], ids=str
)
def test_one_whose_supervisor_ended_before_it_could_ask_to_be_told_ends_at_once(
    supervisor: str | None, ends: bool
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RTMLIB_SUPERVISOR_PID"}
    if supervisor is not None:
        environment["RTMLIB_SUPERVISOR_PID"] = str(os.getpid()) if supervisor == "own parent" else supervisor
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], env=environment, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        said = worker.stdout.readline()
        if not ends:
            worker.kill()

    assert said == ("" if ends else "works\n")
    assert worker.returncode == -9
