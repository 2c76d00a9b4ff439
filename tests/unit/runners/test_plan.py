"""Which network runs how, and the version that predictions carry."""

import pickle
import re
from dataclasses import replace
from pathlib import Path

import pytest

import runners.choice
import runners.engines
import runners.plan
from runners.choice import MEASURED, cost, is_tolerated
from runners.config import Mode, NetworkName, RunnerConfig
from runners.errors import ModelStoreError, ProviderUnavailableError
from runners.models.manifest import EMBEDDED, RTMPOSE_S_HALPE26, RTMW_L, YOLOX_M
from runners.plan import resolve

UNKNOWN = "00" * 32
POSE = str(RTMPOSE_S_HALPE26.sha256)


def config(mode: Mode = "embedded", cache_dir: Path | None = None) -> RunnerConfig:
    return RunnerConfig(mode, "cpu", 1, cache_dir)


def planned(config: RunnerConfig) -> dict[NetworkName, str]:
    return {one.name: f"{one.engine} {one.precision}" for one in resolve(config).networks.values()}


class TestEngines:
    @pytest.fixture
    def auto(self) -> RunnerConfig:
        return replace(config(), engine="auto", precision="auto")

    @pytest.fixture(autouse=True)
    def a_cpu_with_bf16(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runners.engines, "has_bf16", lambda: True)
        monkeypatch.setattr(runners.engines, "is_installed", lambda _: True)
        monkeypatch.setattr(runners.choice, "is_installed", lambda _: True)

    def test_exact_is_f32_everywhere(self, auto: RunnerConfig) -> None:
        assert set(planned(replace(auto, precision="exact")).values()) == {"onnxruntime f32"}

    def test_auto_takes_what_the_network_is_measured_to_keep(self, auto: RunnerConfig) -> None:
        assert planned(auto) == {
            "person": "openvino mixed",
            "body": "onnxruntime f32",
            "hand": "openvino bf16",
            "palm": "onnxruntime f32",
            "face": "openvino bf16",
            "face_mesh": "openvino bf16",
        }

    def test_fast_takes_the_lowest_precision(self, auto: RunnerConfig) -> None:
        assert set(planned(replace(auto, precision="fast")).values()) == {"openvino bf16"}

    def test_a_cpu_without_bf16_computes_in_f32(
        self, auto: RunnerConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runners.engines, "has_bf16", lambda: False)
        for one in (auto, replace(auto, precision="fast")):
            assert set(planned(one).values()) == {"onnxruntime f32"}

    def test_an_engine_that_was_named_is_the_only_one(self, auto: RunnerConfig) -> None:
        named = replace(auto, engine="openvino")
        assert planned(named)["person"] == "openvino mixed"
        assert planned(named)["body"] == "openvino f32"

    def test_opencv_and_tensorrt_run_only_where_they_are_named(self, auto: RunnerConfig) -> None:
        assert planned(replace(auto, engine="opencv"))["person"] == "opencv f32"
        assert planned(replace(auto, device="cuda"))["person"] == "onnxruntime f32"
        fast = replace(auto, device="cuda", precision="fast")
        assert planned(fast)["person"] == "onnxruntime tf32"
        assert planned(replace(fast, engine="tensorrt"))["person"] == "tensorrt f16"

    def test_an_engine_that_does_not_know_the_device_is_refused(self, auto: RunnerConfig) -> None:
        with pytest.raises(
            ProviderUnavailableError, match="BACKEND_TYPE=opencv does not support DEVICE=cuda"
        ):
            resolve(replace(auto, engine="opencv", device="cuda"))


def test_a_plan_can_be_passed_to_another_process() -> None:
    plan = resolve(config())
    assert pickle.loads(pickle.dumps(plan)) == plan


class TestTolerance:
    def test_networks_that_nobody_measured_stay_f32(self) -> None:
        assert not any(
            is_tolerated("body", UNKNOWN, precision) for precision in ("bf16", "f16", "mixed", "tf32")
        )

    def test_a_detector_bears_bf16_but_for_its_last_convolutions(self) -> None:
        assert is_tolerated("person", UNKNOWN, "mixed")
        assert not is_tolerated("person", UNKNOWN, "bf16")

    def test_rtmpose_in_bf16_is_out_of_bounds_as_measured(self) -> None:
        assert MEASURED[POSE]["bf16"].mean < 0.998
        assert not is_tolerated("body", POSE, "bf16")

    def test_what_a_precision_costs_is_told_or_that_nobody_knows(self) -> None:
        assert cost(POSE, "f32") == "f32, no loss"
        assert "OKS" in cost(POSE, "bf16")
        assert "not measured" in cost(UNKNOWN, "bf16")


class TestModelVersion:
    def test_it_names_the_mode_and_stays_the_same(self) -> None:
        version = resolve(config()).version
        assert re.fullmatch(r"rtmlib-embedded-[0-9a-f]{8}", version)
        assert resolve(config()).version == version

    def test_it_does_not_depend_on_device_or_threads(self) -> None:
        assert resolve(replace(config(), device="cuda", threads=9)).version == resolve(config()).version

    def test_it_changes_with_the_pipeline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = resolve(config()).version
        monkeypatch.setattr(runners.plan, "PIPELINE_VERSION", 2_000)
        assert resolve(config()).version != before

    def test_it_changes_with_the_precision_that_was_set_and_not_with_what_runs_the_networks(self) -> None:
        reference = config()
        versions = {resolve(replace(reference, precision=one)).version for one in ("auto", "exact", "fast")}
        assert len(versions) == 3
        assert resolve(replace(reference, engine="openvino")).version == resolve(reference).version

    @pytest.mark.parametrize("changed", EMBEDDED)
    def test_it_changes_with_each_network(
        self, monkeypatch: pytest.MonkeyPatch, changed: NetworkName
    ) -> None:
        before = resolve(config()).version
        other = {**EMBEDDED, changed: replace(EMBEDDED[changed], sha256="0" * 64)}
        monkeypatch.setattr(runners.plan, "MODES", {"embedded": other})
        assert resolve(config()).version != before

    def test_without_a_digest_there_is_none_yet(self, tmp_path: Path) -> None:
        with pytest.raises(ModelStoreError, match=RTMW_L.filename):
            resolve(config("balanced", tmp_path))
        assert YOLOX_M.sha256 is not None
