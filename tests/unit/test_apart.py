"""Functions in processes of their own."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

import runners
from runners.apart import CrashedError, run_apart
from runners.cpus import usable_cpus
from runners.errors import ProviderUnavailableError


def add(one: int, other: int) -> int:
    print("libraries write where they like", file=sys.stdout)
    return one + other


def refuse() -> None:
    raise ProviderUnavailableError("DEVICE=cuda cannot be used.")


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hang() -> None:
    time.sleep(60)


def long_answer() -> bytes:
    return bytes(10**7)


def test_what_it_returns_comes_back() -> None:
    assert run_apart(add, 2, 3, limit_s=30) == 5


def test_the_code_is_found_where_it_is_no_longer_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a Bento: BentoML takes its folder out of the path once the service is loaded.
    code = Path(runners.__file__).resolve().parents[1]
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).resolve() != code])
    monkeypatch.chdir("/")
    assert run_apart(usable_cpus, limit_s=30) == usable_cpus()


def test_a_long_answer_comes_back_whole() -> None:
    assert run_apart(long_answer, limit_s=30) == bytes(10**7)


def test_what_it_raises_is_raised_here() -> None:
    with pytest.raises(ProviderUnavailableError, match="DEVICE=cuda cannot be used"):
        run_apart(refuse, limit_s=30)


def test_a_crash_is_one_sentence_here() -> None:
    with pytest.raises(CrashedError, match="-11"):
        run_apart(crash, limit_s=30)


def test_one_that_hangs_is_killed() -> None:
    others = psutil.Process().children(recursive=True)
    with pytest.raises(TimeoutError):
        run_apart(hang, limit_s=0.5)
    assert set(psutil.Process().children(recursive=True)) <= set(others)


def test_no_process_is_left() -> None:
    others = psutil.Process().children(recursive=True)
    run_apart(add, 2, 3, limit_s=30)
    assert set(psutil.Process().children(recursive=True)) <= set(others)
