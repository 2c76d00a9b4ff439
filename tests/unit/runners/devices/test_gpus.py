"""Several GPUs: all that may be used are, one worker each, whoever is started or ends when."""

import subprocess
import sys
from pathlib import Path

import pynvml
import pytest

from runners.devices.gpus import Claim, gpus_of

CLAIMS_ONE = """
import sys, time
from pathlib import Path
from runners.devices.gpus import Claim
print(Claim(("cuda:0", "cuda:1"), Path(sys.argv[1]), "body").device, flush=True)
time.sleep(60)
"""


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("four_gpus")
class TestWhichThereAre:
    def test_cuda_means_all(self) -> None:
        assert gpus_of("cuda") == ("cuda:0", "cuda:1", "cuda:2", "cuda:3")

    @pytest.mark.parametrize("device", ["cpu", "cuda:2", "gpu", "mps"])
    def test_everything_else_means_one(self, device: str) -> None:
        assert gpus_of(device) == (device,)

    @pytest.mark.parametrize(
        ("visible", "expected"),
        [
            ("1,3", ("cuda:0", "cuda:1")),
            ("GPU-8932f937,GPU-0b1ac2d4,", ("cuda:0", "cuda:1")),
            ("0,2,-1,3", ("cuda:0", "cuda:1")),
            ("3", ("cuda",)),
            ("", ("cuda",)),
            ("0,1,2,3,4,5", ("cuda:0", "cuda:1", "cuda:2", "cuda:3")),
        ],
    )
    def test_those_that_the_driver_hides_do_not_count(
        self, visible: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpus_of("cuda") == expected


def test_without_a_driver_there_is_the_one_that_will_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fails)
    assert gpus_of("cuda") == ("cuda",)


class TestClaims:
    def test_each_process_gets_one_of_its_own_and_a_new_one_that_of_who_ended(self, tmp_path: Path) -> None:
        def start() -> tuple[subprocess.Popen[str], str]:
            process = subprocess.Popen(
                [sys.executable, "-c", CLAIMS_ONE, str(tmp_path)], stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            return process, process.stdout.readline().strip()

        (first, one), (second, two) = start(), start()
        first.kill()
        first.communicate()
        third, three = start()
        for process in (second, third):
            process.kill()
            process.communicate()

        assert {one, two} == {"cuda:0", "cuda:1"}
        assert three == one

    def test_each_purpose_has_all_devices(self, tmp_path: Path) -> None:
        claims = [Claim(("cuda:0", "cuda:1"), tmp_path, purpose) for purpose in ("person", "body")]
        assert [claim.device for claim in claims] == ["cuda:0", "cuda:0"]

    def test_one_too_many_is_told(self, tmp_path: Path) -> None:
        held = Claim(("cuda:0",), tmp_path, "body")
        with pytest.raises(RuntimeError, match=r"All of cuda:0 are in use for body"):
            Claim((held.device,), tmp_path, "body")
