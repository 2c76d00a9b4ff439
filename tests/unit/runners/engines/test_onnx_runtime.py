"""ONNX Runtime sessions: the device that was asked for, or a sentence; and no more threads than were given."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from runners.engines import Place
from runners.engines.onnx_runtime import OnnxRuntimeGraph
from runners.errors import ProviderUnavailableError
from tests.support.onnx_network import onnx_network

AVAILABLE = onnxruntime.get_available_providers()


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Two outputs: the input doubled, then its square."""
    nodes = [
        helper.make_node("Add", ["input", "input"], ["doubled"]),
        helper.make_node("Mul", ["input", "input"], ["squared"]),
    ]
    shape = ("batch", 3)
    file = tmp_path / "small.onnx"
    onnx.save(onnx_network({"input": shape}, {"doubled": shape, "squared": shape}, nodes, {}), file)
    return file


def loaded(file: Path, device: str, threads: int = 1) -> OnnxRuntimeGraph:
    return OnnxRuntimeGraph(file, "f32", Place(device, threads))


def test_outputs_come_in_the_order_of_the_file(network: Path) -> None:
    doubled, squared = loaded(network, "cpu").run(np.array([[1, 2, 3]], np.float32))
    assert doubled.tolist() == [[2, 4, 6]]
    assert squared.tolist() == [[1, 4, 9]]


def test_a_batch_that_is_not_contiguous_runs_as_well(network: Path) -> None:
    every_other = np.arange(12, dtype=np.float32).reshape(4, 3)[::2]
    doubled, _ = loaded(network, "cpu").run(every_other)
    assert np.array_equal(doubled, every_other * 2)


@pytest.mark.parametrize(
    ("device", "provider"),
    [
        ("cuda", "CUDAExecutionProvider"),
        ("cuda:0", "CUDAExecutionProvider"),
        ("cuda:7", "CUDAExecutionProvider"),
        ("mps", "CoreMLExecutionProvider"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_what_to_do(
    network: Path, device: str, provider: str
) -> None:
    if provider in AVAILABLE:
        pytest.skip(f"this build of ONNX Runtime has {provider}")
    with pytest.raises(ProviderUnavailableError) as refused:
        loaded(network, device)
    sentence = str(refused.value)
    assert sentence.startswith(f"DEVICE={device} needs ONNX Runtime's {provider}")
    assert "CPUExecutionProvider" in sentence  # what there is
    assert "set DEVICE=cpu" in sentence


def test_a_device_that_silently_falls_back_to_the_cpu_is_refused(
    network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU build on a machine without a GPU makes a session all the same, on the CPU, with a line in its log."""
    sessions = onnxruntime.InferenceSession

    def fall_back(file: str, options: Any, **settings: Any) -> Any:
        return sessions(file, options, **{**settings, "providers": ["CPUExecutionProvider"]})

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", fall_back)
    with pytest.raises(ProviderUnavailableError, match="DEVICE=cuda needs"):
        loaded(network, "cuda")


def test_a_device_that_fails_when_the_session_is_made_is_refused(
    network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such_device(*_: Any, **settings: Any) -> Any:
        assert settings["enable_fallback"] == 0
        raise RuntimeError("CUDA failure 101: invalid device ordinal")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", no_such_device)
    with pytest.raises(ProviderUnavailableError, match="DEVICE=cuda:7 needs"):
        loaded(network, "cuda:7")


@pytest.mark.parametrize(
    ("device", "asked_for"),
    [
        ("cpu", [("CPUExecutionProvider", {})]),
        ("cuda", [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]),
        ("cuda:1", [("CUDAExecutionProvider", {"device_id": "1", "use_tf32": "0"}), "CPUExecutionProvider"]),
        ("mps", [("CoreMLExecutionProvider", {}), "CPUExecutionProvider"]),
    ],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_session_is_made_for_the_device_with_the_given_threads_that_do_not_spin(
    network: Path, monkeypatch: pytest.MonkeyPatch, device: str, asked_for: list[Any], threads: int
) -> None:
    made: list[tuple[Any, list[Any]]] = []
    sessions = onnxruntime.InferenceSession

    class Recording:
        """A session that says that it runs on what it was asked for."""

        def __init__(self, file: str, options: Any, providers: list[Any], enable_fallback: int) -> None:
            assert enable_fallback == 0  # or a failure in some later run would go on on the CPU
            made.append((options, providers))
            self._session = sessions(file, options, providers=["CPUExecutionProvider"])
            self._providers = [one if isinstance(one, str) else one[0] for one in providers]

        def get_providers(self) -> list[str]:
            return self._providers

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

    available = [one if isinstance(one, str) else one[0] for one in asked_for]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Recording)
    loaded(network, device, threads)
    ((options, providers),) = made
    assert providers == asked_for
    assert options.intra_op_num_threads == threads
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(("threads", "lanes", "own"), [(1, 1, 1), (2, 2, 1), (8, 2, 4), (3, 2, 1)])
def test_networks_in_different_lanes_have_no_more_threads_together_than_there_are_cpus(
    network: Path, monkeypatch: pytest.MonkeyPatch, threads: int, lanes: int, own: int
) -> None:
    """Each network has a pool of its own, of which the caller is one thread."""
    made: list[Any] = []
    sessions = onnxruntime.InferenceSession

    def recorded(file: str, options: Any, **settings: Any) -> Any:
        made.append(options)
        return sessions(file, options, **settings)

    monkeypatch.setattr(onnxruntime, "InferenceSession", recorded)
    OnnxRuntimeGraph(network, "f32", Place("cpu", threads, lanes=lanes))
    assert made[0].intra_op_num_threads == own
    assert lanes * made[0].intra_op_num_threads <= threads


def test_a_file_that_is_no_network_is_not_taken_for_a_missing_device(tmp_path: Path) -> None:
    file = tmp_path / "broken.onnx"
    file.write_bytes(b"not a network")
    with pytest.raises(Exception, match="Protobuf") as failed:
        loaded(file, "cpu")
    assert not isinstance(failed.value, ProviderUnavailableError)
