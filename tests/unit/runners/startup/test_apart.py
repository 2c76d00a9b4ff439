"""Functions in processes of their own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import runners
from runners.errors import ProviderUnavailableError
from runners.startup.apart import CrashedError, run_apart
from tests.unit.conftest import Descendants


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


AS_IN_A_BENTO = """
import inspect, os, sys
import runners.startup.apart, runners.devices.gpus
sys.path.remove(os.environ.pop("PYTHONPATH"))
print(runners.startup.apart.run_apart(inspect.getsourcefile, runners.devices.gpus.gpus_of, limit_s=30))
"""


def test_it_runs_the_same_code_though_its_folder_is_no_longer_on_the_path(tmp_path: Path) -> None:
    # BentoML takes the folder of a Bento out of the path once the service is loaded.
    code = tmp_path / "bento"
    shutil.copytree(Path(runners.__file__).parent, code / "runners")
    found = subprocess.run(
        [sys.executable, "-c", AS_IN_A_BENTO],
        env=os.environ | {"PYTHONPATH": str(code)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.strip() == str(code / "runners/devices/gpus.py")


def test_a_long_answer_comes_back_whole() -> None:
    assert run_apart(long_answer, limit_s=30) == bytes(10**7)


def test_what_it_raises_is_raised_here() -> None:
    with pytest.raises(ProviderUnavailableError, match="DEVICE=cuda cannot be used"):
        run_apart(refuse, limit_s=30)


def test_a_crash_is_one_sentence_here() -> None:
    with pytest.raises(CrashedError, match="-11"):
        run_apart(crash, limit_s=30)


def test_one_that_hangs_is_killed(descendants: Descendants) -> None:
    with pytest.raises(TimeoutError):
        run_apart(hang, limit_s=0.5)
    assert descendants() == []


def test_no_process_is_left(descendants: Descendants) -> None:
    run_apart(add, 2, 3, limit_s=30)
    assert descendants() == []
