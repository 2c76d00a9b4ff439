"""Which engine and precision a network gets: the fastest that is right on this machine, decided once."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import pytest

import runners.startup.choice
import runners.startup.trial
from runners.config import PrecisionSetting, RunnerConfig
from runners.engines import is_installed
from runners.errors import ProviderUnavailableError
from runners.models.manifest import RTMPOSE_S_HALPE26, YOLOX_TINY
from runners.models.store import ModelStore
from runners.startup.choice import (
    NetworkEngine,
    NetworkName,
    candidates,
    engines_in_use,
    record_choices,
    recorded_choices,
)
from runners.startup.disagreement import disagreement
from runners.startup.preparation import prepare_networks
from runners.startup.tolerance import MEASURED, cost, is_tolerated, mixture
from tests.conftest import Within
from wholebody.detection import Detections
from wholebody.estimation import FaceMesh, HandLandmarks

UNKNOWN = "00" * 32
POSE, DETECTOR = str(RTMPOSE_S_HALPE26.sha256), str(YOLOX_TINY.sha256)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunnerConfig:
    # Records are looked for among this user's temporary files as well, where other tests and servers leave theirs.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return RunnerConfig("embedded", "cpu", 1, tmp_path, engine="auto", precision="auto")


@pytest.fixture
def a_cpu_with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = {"openvino": ("f32", "bf16", "mixed")}
    monkeypatch.setattr(
        runners.startup.choice, "precisions", lambda engine, _: everything.get(engine, ("f32",))
    )
    monkeypatch.setattr(runners.startup.choice, "is_installed", lambda _: True)


def offered(name: Any, config: RunnerConfig) -> list[str]:
    return [f"{way.engine} {way.precision}" for way in candidates(name, config)]


@pytest.mark.usefixtures("a_cpu_with_bf16")
class TestCandidates:
    def test_exact_is_f32_everywhere(self, config: RunnerConfig) -> None:
        exact = replace(config, precision="exact")
        for name in ("person", "body", "hand", "face", "face_mesh"):
            assert offered(name, exact) == ["onnxruntime f32", "openvino f32"]

    def test_auto_offers_what_the_network_is_known_to_bear(self, config: RunnerConfig) -> None:
        assert offered("person", config) == ["onnxruntime f32", "openvino f32", "openvino mixed"]
        assert offered("body", config) == ["onnxruntime f32", "openvino f32", "openvino mixed"]
        assert offered("hand", config) == ["onnxruntime f32", "openvino bf16"]

    def test_fast_offers_the_lowest_precision(self, config: RunnerConfig) -> None:
        assert offered("body", replace(config, precision="fast")) == ["onnxruntime f32", "openvino bf16"]

    def test_an_engine_that_was_asked_for_is_the_only_one(self, config: RunnerConfig) -> None:
        asked = replace(config, engine="openvino")
        assert offered("person", asked) == ["openvino f32", "openvino mixed"]
        assert offered("body", replace(asked, precision="exact")) == ["openvino f32"]

    def test_opencv_and_tensorrt_run_only_when_they_are_asked_for(self, config: RunnerConfig) -> None:
        assert not any("opencv" in one for one in offered("person", config))
        assert offered("person", replace(config, engine="opencv")) == ["opencv f32"]
        assert offered("person", replace(config, device="cuda")) == ["onnxruntime f32"]


class TestTolerance:
    def test_networks_that_nobody_measured_stay_f32(self) -> None:
        assert not any(
            is_tolerated("body", UNKNOWN, precision) for precision in ("bf16", "f16", "mixed", "tf32")
        )

    def test_a_detector_bears_bf16_but_for_its_last_convolutions(self) -> None:
        assert is_tolerated("person", UNKNOWN, "mixed")
        assert not is_tolerated("person", UNKNOWN, "bf16")
        assert mixture("person", UNKNOWN) is not None

    def test_rtmpose_in_bf16_is_out_of_bounds_as_measured(self) -> None:
        assert MEASURED[POSE]["bf16"].mean < 0.998
        assert not is_tolerated("body", POSE, "bf16")

    def test_what_a_precision_costs_is_told_or_that_nobody_knows(self) -> None:
        assert cost(POSE, "f32") == "f32, nothing lost"
        assert "OKS" in cost(POSE, "bf16")
        assert "not measured" in cost(UNKNOWN, "bf16")


class TestMemory:
    CHOICES: ClassVar[dict[NetworkName, NetworkEngine]] = {
        name: NetworkEngine(name, "openvino", "f32", "it was faster") for name in get_args(NetworkName)
    }

    def test_what_was_decided_is_found_again(self, config: RunnerConfig) -> None:
        assert recorded_choices(config) is None
        record_choices(config, self.CHOICES)
        assert recorded_choices(config) == self.CHOICES
        assert engines_in_use(config)["body"].reason == "it was faster"

    @pytest.mark.parametrize(
        "changed",
        [
            lambda config: replace(config, threads=2),
            lambda config: replace(config, precision="fast"),
            lambda config: replace(config, engine="openvino"),
        ],
    )
    def test_other_settings_are_decided_anew(
        self, config: RunnerConfig, changed: Callable[[RunnerConfig], RunnerConfig]
    ) -> None:
        record_choices(config, self.CHOICES)
        assert recorded_choices(changed(config)) is None

    @pytest.mark.parametrize("what", ["_cpu", "_versions"])
    def test_another_cpu_and_other_versions_are_decided_anew(
        self, config: RunnerConfig, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record_choices(config, self.CHOICES)
        monkeypatch.setattr(runners.startup.choice, what, lambda: "another")
        assert recorded_choices(config) is None

    def test_a_damaged_record_is_none(self, config: RunnerConfig, tmp_path: Path) -> None:
        record_choices(config, self.CHOICES)
        (record,) = (tmp_path / "prepared").glob("engines-*.json")
        record.write_text(record.read_text()[:-20])
        assert recorded_choices(config) is None

    def test_where_nothing_was_tried_onnx_runtime_computes_in_f32(self, config: RunnerConfig) -> None:
        assert {(one.engine, one.precision) for one in engines_in_use(config).values()} == {
            ("onnxruntime", "f32")
        }


KEYPOINTS = np.array([[10, 10, 0.9], [50, 90, 0.8], [20, 30, 0.1]], np.float32)


class TestDisagreement:
    def test_the_same_is_no_distance(self) -> None:
        assert disagreement([KEYPOINTS], [KEYPOINTS]) == 0

    def test_a_keypoint_is_measured_by_the_person_s_extent(self) -> None:
        moved = KEYPOINTS + np.array([[0, 0, 0], [0, 8, 0], [0, 0, 0]], np.float32)
        assert disagreement([KEYPOINTS], [moved]) == pytest.approx(0.1)

    def test_keypoints_that_were_unsure_may_lie_anywhere(self) -> None:
        moved = KEYPOINTS + np.array([[0, 0, 0], [0, 0, 0], [500, 500, 0]], np.float32)
        assert disagreement([KEYPOINTS], [moved]) == 0

    def test_what_is_no_number_is_as_far_as_can_be(self) -> None:
        assert disagreement([KEYPOINTS], [KEYPOINTS * np.nan]) == np.inf

    def test_a_box_is_measured_by_its_diagonal_and_must_be_there(self) -> None:
        box = np.array([[0, 0, 30, 40]], np.float32)
        sure = np.array([0.9], np.float32)
        moved = Detections(box + np.array([[0, 5, 0, 0]], np.float32), sure)
        assert disagreement([Detections(box, sure)], [moved]) == pytest.approx(0.1)
        nobody = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        assert disagreement([Detections(box, sure)], [nobody]) == np.inf

    def test_hands_and_meshes_are_measured_in_crops(self) -> None:
        points = np.full((21, 2), 0.5, np.float32)
        hands = [HandLandmarks(points, 0.9, 1.0)], [HandLandmarks(points + 0.03, 0.9, 1.0)]
        assert disagreement(*hands) == pytest.approx(0.03)
        assert disagreement([FaceMesh(points, 0.2)], [FaceMesh(points + 0.3, 0.2)]) == 0


class TestTrial:
    """The fastest of several networks in place of engines: each takes its time, and is right or wrong."""

    WAYS = (NetworkEngine("body", "onnxruntime", "f32"), NetworkEngine("body", "openvino", "f32"))

    def choose(
        self, config: RunnerConfig, monkeypatch: pytest.MonkeyPatch, other: Callable[[Any], Sequence[Any]]
    ) -> NetworkEngine:
        def reference(crops: Any) -> Sequence[Any]:
            time.sleep(0.01)
            return [KEYPOINTS for _ in crops]

        monkeypatch.setattr(runners.startup.trial, "load_as", lambda *_: other)
        crops = np.zeros((1, 4, 4, 3), np.uint8)
        return runners.startup.trial.fastest(config, self.WAYS, self.WAYS[0], reference, crops)

    def test_the_faster_one_is_taken_and_says_why(
        self, config: RunnerConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken = self.choose(config, monkeypatch, lambda crops: [KEYPOINTS for _ in crops])
        assert taken.engine == "openvino"
        assert taken.reason.startswith("onnxruntime f32 1")

    def test_one_that_is_not_faster_is_not_taken(
        self, config: RunnerConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slow(crops: Any) -> Sequence[Any]:
            time.sleep(0.02)
            return [KEYPOINTS for _ in crops]

        assert self.choose(config, monkeypatch, slow).engine == "onnxruntime"

    @pytest.mark.parametrize(
        ("precision", "share", "expected"),
        [("auto", 0.6, "mixed"), ("auto", 0.9, "f32"), ("fast", 0.9, "mixed"), ("fast", 0.97, "f32")],
    )
    def test_auto_takes_a_lower_precision_only_where_it_saves_a_fifth(
        self, precision: PrecisionSetting, share: float, expected: str
    ) -> None:
        first, other, mixed = *self.WAYS, NetworkEngine("body", "openvino", "mixed")
        worth = runners.startup.trial.WORTH_ITS_COST if precision == "auto" else 1
        seconds = {first: 1.0, other: 1.0, mixed: share}
        assert runners.startup.trial.taken(seconds, first, worth).precision == expected

    def test_one_that_is_wrong_is_not_taken_however_fast(
        self, config: RunnerConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        wrong = KEYPOINTS + np.array([[0, 0, 0], [0, 2, 0], [0, 0, 0]], np.float32)
        assert self.choose(config, monkeypatch, lambda crops: [wrong for _ in crops]).engine == "onnxruntime"
        assert "The body network in openvino f32 is 2.50% off" in caplog.text

    def test_one_that_fails_is_not_taken(
        self, config: RunnerConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def failing(crops: Any) -> Sequence[Any]:
            raise RuntimeError("no such instruction")

        assert self.choose(config, monkeypatch, failing).engine == "onnxruntime"
        assert "does not run in openvino f32" in caplog.text

    def test_one_that_was_asked_for_and_is_wrong_stops_the_start(
        self, config: RunnerConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            runners.startup.trial, "load_as", lambda *_: lambda crops: [KEYPOINTS * 2 for _ in crops]
        )
        crops = np.zeros((1, 4, 4, 3), np.uint8)
        with pytest.raises(
            ProviderUnavailableError, match=r"openvino f32 is .* off .*: set BACKEND_TYPE=auto"
        ):
            runners.startup.trial.fastest(
                config, self.WAYS[1:], self.WAYS[0], lambda c: [KEYPOINTS for _ in c], crops
            )


@pytest.mark.models
class TestWithTheRealNetworks:
    @pytest.fixture
    def store(self, tmp_path: Path, model_store: ModelStore) -> Path:
        """A model store of its own with the embedded networks, in which nothing is prepared or decided."""
        for file in model_store.root.glob("*.onnx"):
            (tmp_path / file.name).symlink_to(file)
        return tmp_path

    def test_it_is_decided_in_another_process_once(
        self, store: Path, caplog: pytest.LogCaptureFixture, within: Within
    ) -> None:
        config = RunnerConfig("embedded", "cpu", 1, store, engine="auto", precision="auto")
        with caplog.at_level(logging.INFO):
            chosen = prepare_networks(config)
        assert list(chosen) == ["person", "body", "hand", "face", "face_mesh"]
        assert all("onnxruntime f32" in one.reason for one in chosen.values())
        assert caplog.text.count("Engines: person in ") == 1
        with within(2):
            assert prepare_networks(config) == chosen

    @pytest.mark.skipif(not is_installed("openvino"), reason="OpenVINO is not installed")
    def test_the_service_s_process_holds_no_engine_afterwards(self, store: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from runners.config import PrecisionSetting, RunnerConfig\n"
            "from runners.startup.preparation import prepare_networks\n"
            "if __name__ == '__main__':\n"
            f"    prepare_networks(RunnerConfig('embedded', 'cpu', 1, Path({str(store)!r}), engine='openvino'))\n"
            "    print(sorted({'onnx', 'onnxruntime', 'openvino'} & set(sys.modules)))\n"
        )
        script = store / "prepare.py"
        script.write_text(code)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
        done = subprocess.run(
            [sys.executable, str(script)],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
        )
        assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr

    def test_what_a_busy_machine_had_no_time_for_is_tried_at_the_next_start(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = RunnerConfig("embedded", "cpu", 1, store, engine="auto", precision="exact")
        monkeypatch.setattr(runners.startup.trial, "WHOLE_LIMIT_S", -1)
        stopgaps = runners.startup.trial.decide(config)
        assert {(one.engine, one.precision, one.tried) for one in stopgaps.values()} == {
            ("onnxruntime", "f32", False)
        }
        record_choices(config, stopgaps)
        assert all(one.tried for one in prepare_networks(config).values())

    def test_a_device_that_is_not_there_stops_the_start_with_a_sentence(self, store: Path) -> None:
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            pytest.skip("this build of ONNX Runtime has CUDA")
        with pytest.raises(
            ProviderUnavailableError, match="DEVICE=cuda needs ONNX Runtime's CUDAExecutionProvider"
        ):
            prepare_networks(RunnerConfig("embedded", "cuda", 1, store, engine="auto", precision="auto"))
