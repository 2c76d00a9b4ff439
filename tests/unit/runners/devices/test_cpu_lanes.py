"""Networks share the CPUs in lanes: in one process, over processes, and when a process dies in its lane."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runners.config import RunnerConfig
from runners.devices.cpu_lanes import MOST_LANES, CpuLanes, lanes_of

HOLDS_ITS_LANE = """
import sys, time
from pathlib import Path
from runners.devices.cpu_lanes import CpuLanes
with CpuLanes(Path(sys.argv[1]), 2).taken():
    print("taken", flush=True)
    time.sleep(60)
"""


def in_threads(*work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def is_held(file: Path) -> bool:
    with file.open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def until_two_wait(folder: Path) -> None:
    """One is first in line, and a moment later another second."""
    for _ in range(500):
        if is_held(folder / "first-in-line.lock"):
            time.sleep(0.05)
            if is_held(folder / "second-in-line.lock"):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


class Crowd:
    """Threads that hold lanes for a moment; what each of them had."""

    def __init__(self, lanes: CpuLanes) -> None:
        self._lanes = lanes
        self._lock = threading.Lock()
        self._at_once = 0
        self.most_at_once = 0
        self.alone: list[bool] = []
        self.beside_one_that_has_all = False
        self._has_all = False

    def work(self) -> None:
        with self._lanes.taken() as has_all:
            with self._lock:
                self.beside_one_that_has_all |= self._has_all or (has_all and self._at_once > 0)
                self._has_all = has_all
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                self.alone.append(has_all)
            time.sleep(0.01)
            with self._lock:
                self._at_once -= 1
                self._has_all = False


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_as_many_as_there_are_lanes_work_at_once(tmp_path: Path, lanes: int) -> None:
    crowd = Crowd(CpuLanes(tmp_path, lanes))
    in_threads(*[crowd.work] * 12)
    assert len(crowd.alone) == 12
    assert crowd.most_at_once == lanes
    assert not crowd.beside_one_that_has_all


def test_who_is_alone_has_all_lanes_each_time(tmp_path: Path) -> None:
    lanes = CpuLanes(tmp_path, 3)
    for _ in range(5):
        with lanes.taken() as has_all:
            assert has_all


def test_a_single_lane_is_all_of_them_whoever_waits(tmp_path: Path) -> None:
    crowd = Crowd(CpuLanes(tmp_path, 1))
    in_threads(*[crowd.work] * 4)
    assert crowd.alone == [True] * 4


def test_who_comes_while_another_has_one_lane_gets_one_at_once(tmp_path: Path) -> None:
    lanes, had = CpuLanes(tmp_path, 2), list[bool]()
    both, go_on = threading.Barrier(3), [threading.Event(), threading.Event()]

    def work(until: threading.Event) -> None:
        with lanes.taken() as has_all:
            had.append(has_all)
            both.wait(5)
            until.wait(5)

    waiting = [threading.Thread(target=work, args=[until]) for until in go_on]
    with lanes.taken():  # all of them, until two others wait
        for thread in waiting:
            thread.start()
        until_two_wait(tmp_path)
    both.wait(5)
    go_on[0].set()
    waiting[0].join()
    with lanes.taken() as has_all:
        assert waiting[1].is_alive()
        assert not has_all
    go_on[1].set()
    waiting[1].join()
    assert had == [False, False]


def test_lanes_are_given_away_first_come_first_served(tmp_path: Path) -> None:
    lanes, taken = CpuLanes(tmp_path, 1), list[str]()

    def work(name: str) -> None:
        for _ in range(10):
            with lanes.taken():
                taken.append(name)
                time.sleep(0.01)

    in_threads(lambda: work("a"), lambda: work("b"))

    # Before the second one waits, and after it has had all of its own, the other may.
    in_turn = "".join(taken).strip("a").strip("b")
    assert len(in_turn) > 10
    assert "aa" not in in_turn
    assert "bb" not in in_turn


def test_processes_share_lanes_and_a_killed_one_gives_its_own_back(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLDS_ITS_LANE, str(tmp_path)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"taken\n"  # all of them: nobody else was there
    mine = threading.Event()

    def work() -> None:
        with CpuLanes(tmp_path, 2).taken():
            mine.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert not mine.wait(0.3)
    os.kill(other.pid, signal.SIGKILL)
    assert mine.wait(5)
    thread.join()
    other.communicate()


def test_servers_do_not_wait_for_each_other(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with CpuLanes(tmp_path / "one", 2).taken(), CpuLanes(tmp_path / "two", 2).taken():
        pass


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        with CpuLanes(tmp_path, 2).taken():
            pass
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize(
    ("device", "engine", "threads", "lanes"),
    [
        ("cpu", "auto", 1, 1),
        ("cpu", "auto", 2, 2),
        ("cpu", "openvino", 64, MOST_LANES),
        ("cpu", "opencv", 8, 1),
        ("cuda", "auto", 8, 1),
        ("mps", "onnxruntime", 8, 1),
    ],
)
def test_how_many_lanes_there_are(device: str, engine: str, threads: int, lanes: int) -> None:
    assert lanes_of(RunnerConfig("embedded", device, threads, None, engine=engine)) == lanes  # type: ignore[arg-type]
