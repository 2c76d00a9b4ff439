"""Networks take turns on the CPUs: in one process, over processes, and when a process dies in its turn."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from runners.turns import CpuTurns

HOLDS_ITS_TURN = """
import sys, time
from pathlib import Path
from runners.turns import CpuTurns
with CpuTurns(Path(sys.argv[1])).taken():
    print("taken", flush=True)
    time.sleep(60)
"""


def in_threads(*work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_take_turns(tmp_path: Path) -> None:
    turns, at_once, most = CpuTurns(tmp_path), 0, 0

    def work() -> None:
        nonlocal at_once, most
        with turns.taken():
            at_once += 1
            most = max(most, at_once)
            time.sleep(0.01)
            at_once -= 1

    in_threads(*[work] * 8)

    assert most == 1


def test_nobody_takes_two_turns_while_another_waits_for_one(tmp_path: Path) -> None:
    turns, taken = CpuTurns(tmp_path), list[str]()

    def work(name: str) -> None:
        for _ in range(10):
            with turns.taken():
                taken.append(name)
                time.sleep(0.01)

    in_threads(lambda: work("a"), lambda: work("b"))

    # Before the second one waits, and after it has had all of its own, the other may.
    in_turn = "".join(taken).strip("a").strip("b")
    assert len(in_turn) > 10
    assert "aa" not in in_turn
    assert "bb" not in in_turn


def test_processes_take_turns_and_a_killed_one_gives_its_own_back(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLDS_ITS_TURN, str(tmp_path)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"taken\n"
    mine = threading.Event()

    def work() -> None:
        with CpuTurns(tmp_path).taken():
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
    with CpuTurns(tmp_path / "one").taken(), CpuTurns(tmp_path / "two").taken():
        pass
