"""Engines behind one protocol: the same answers, no silent substitute, no more threads than were given."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from runners.config import EngineName
from runners.engines import (
    Place,
    engines_for,
    has_bf16,
    is_installed,
    load_graph,
    precisions,
    require_engine,
)
from runners.errors import ProviderUnavailableError
from tests.support.onnx_network import onnx_network

CPU = Place("cpu", 1)
OPENVINO = pytest.mark.skipif(not is_installed("openvino"), reason="OpenVINO is not installed")
ON_CPUS = [
    pytest.param(name, marks=pytest.mark.skipif(not is_installed(name), reason=f"{name} is not installed"))
    for name in engines_for("cpu")
]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A convolution, and beside it the mean of its outcome."""
    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    model = onnx_network(
        {"input": ("batch", 3, 8, 8)},
        {"convolved": ("batch", 4, 8, 8), "mean": ("batch", 4)},
        [
            helper.make_node("Conv", ["input", "weights"], ["convolved"], pads=[1, 1, 1, 1]),
            helper.make_node("ReduceMean", ["convolved"], ["mean"], axes=[2, 3], keepdims=0),
        ],
        {"weights": weights},
        opset=11,
        ir_version=6,
    )
    file = tmp_path / "small.onnx"
    onnx.save(model, str(file))
    return file


def batch(count: int) -> Any:
    return np.random.default_rng(count).normal(size=(count, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("engine", ON_CPUS)
def test_every_engine_gives_the_outputs_in_the_order_of_the_file_for_any_batch(
    network: Path, engine: EngineName
) -> None:
    graph = load_graph([network], engine, ["f32"], CPU)
    for count in (2, 5, 1):
        convolved, mean = graph.run(batch(count)[:, :, ::-1])  # not contiguous
        expected, _ = load_graph([network], "onnxruntime", ["f32"], CPU).run(batch(count)[:, :, ::-1])
        assert np.allclose(convolved, expected, atol=1e-4)
        assert np.allclose(mean, expected.mean(axis=(2, 3)), atol=1e-4)


@pytest.mark.parametrize("engine", ON_CPUS)
def test_a_result_stays_when_the_next_batch_is_run(network: Path, engine: EngineName) -> None:
    graph = load_graph([network], engine, ["f32"], CPU)
    first, _ = graph.run(batch(3))
    kept = first.copy()
    graph.run(batch(3) * 2)
    assert np.array_equal(first, kept)


@pytest.mark.parametrize(
    ("engine", "device", "instead"),
    [
        ("openvino", "cuda", "onnxruntime or tensorrt"),
        ("opencv", "mps", "onnxruntime"),
        ("tensorrt", "cpu", "onnxruntime or openvino or opencv"),
        ("onnxruntime", "gpu:0", "openvino"),
    ],
)
def test_an_engine_that_does_not_know_the_device_is_refused_with_those_that_do(
    engine: EngineName, device: str, instead: str
) -> None:
    assert engine not in engines_for(device)
    with pytest.raises(ProviderUnavailableError) as refused:
        require_engine(engine, device)
    assert str(refused.value) == (
        f"BACKEND_TYPE={engine} does not support DEVICE={device}. Set BACKEND_TYPE to auto or {instead}, or set "
        "another DEVICE."
    )


def test_an_engine_that_is_not_installed_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        ProviderUnavailableError, match=r"needs the package openvino, which is not installed\. Run `pip"
    ):
        require_engine("openvino", "cpu")


def test_tensorrt_that_is_not_there_is_refused_and_not_replaced_by_cuda(network: Path) -> None:
    import onnxruntime

    if "TensorrtExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build of ONNX Runtime has TensorRT")
    with pytest.raises(
        ProviderUnavailableError, match=r"BACKEND_TYPE=tensorrt needs .*set BACKEND_TYPE=auto"
    ):
        load_graph([network], "tensorrt", ["f32"], Place("cuda", 1))


@pytest.mark.parametrize("engine", ON_CPUS)
def test_every_engine_computes_in_f32_and_says_so_first(engine: EngineName) -> None:
    assert precisions(engine, "cpu")[0] == "f32"


@pytest.mark.parametrize("engine", [one for one in ON_CPUS if one.values != ("opencv",)])
def test_lanes_run_at_once_and_none_gets_what_is_anothers(engine: EngineName, network: Path) -> None:
    lanes = 3
    batches = [batch(size) for size in range(1, lanes + 1)]
    alone = load_graph([network], engine, ["f32"], CPU)
    expected = [alone.run(one) for one in batches]
    graph = load_graph([network], engine, ["f32"], Place("cpu", lanes, lanes=lanes))
    with ThreadPoolExecutor(lanes) as callers:
        found = list(callers.map(graph.run, batches * 50))
    for outputs, wanted in zip(found, expected * 50, strict=True):
        for output, one in zip(outputs, wanted, strict=True):
            assert np.allclose(output, one, atol=1e-5)


@OPENVINO
class TestOpenVino:
    def test_bf16_is_offered_only_by_cpus_with_instructions_for_it(self) -> None:
        import openvino

        capable = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        offered = {"bf16", "mixed"} & set(precisions("openvino", "cpu"))
        assert not offered or (capable and offered == {"bf16", "mixed"})

    def test_threads_are_as_given_and_pinned_to_no_core(self, network: Path) -> None:
        """OpenVINO's own default pins: two processes would sit on the same cores."""
        graph: Any = load_graph([network], "openvino", ["f32"], Place("cpu", 1))
        compiled = graph.network
        assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
        assert compiled.get_property("ENABLE_CPU_PINNING") is False
        assert compiled.get_property("NUM_STREAMS") == 1

    def test_each_lane_has_its_share_of_the_threads(self, network: Path) -> None:
        graph: Any = load_graph([network], "openvino", ["f32"], Place("cpu", 2, lanes=2))
        assert graph.network.get_property("INFERENCE_NUM_THREADS") == 2
        assert graph.network.get_property("NUM_STREAMS") == 2

    def test_one_that_gets_one_picture_at_a_time_is_set_up_for_that(self, network: Path) -> None:
        graph: Any = load_graph([network], "openvino", ["f32"], Place("cpu", 1, one_by_one=True))
        assert list(graph.network.inputs[0].shape) == [1, 3, 8, 8]
        expected = load_graph([network], "openvino", ["f32"], CPU).run(batch(1))
        for output, one in zip(graph.run(batch(1)), expected, strict=True):
            assert np.allclose(output, one, atol=1e-6)

    def test_f32_is_f32_also_where_bf16_would_be_the_default(self, network: Path) -> None:
        graph: Any = load_graph([network], "openvino", ["f32"], CPU)
        assert graph.network.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"

    def test_a_graphics_processor_that_is_not_there_is_refused(self, network: Path) -> None:
        import openvino

        if any(device.startswith("GPU") for device in openvino.Core().available_devices):
            pytest.skip("this machine has a graphics processor")
        with pytest.raises(
            ProviderUnavailableError, match=r"OpenVINO does not find DEVICE=gpu:1; it finds CPU"
        ):
            load_graph([network], "openvino", ["f32"], Place("gpu:1", 1))

    def test_parts_in_turn_answer_as_the_whole(self, tmp_path: Path, network: Path) -> None:
        whole = load_graph([network], "openvino", ["f32"], CPU)
        model = onnx.load(str(network))
        parts = []
        for name, node in (("front", model.graph.node[0]), ("back", model.graph.node[1])):
            first = name == "front"
            shapes = {"input": ["batch", 3, 8, 8], "convolved": ["batch", 4, 8, 8], "mean": ["batch", 4]}
            infos = [
                helper.make_tensor_value_info(tensor, TensorProto.FLOAT, shapes[tensor])
                for tensor in (node.input[0], node.output[0])
            ]
            weights = list(model.graph.initializer) if first else []
            graph = helper.make_graph([node], name, [infos[0]], [infos[1]], weights)
            file = tmp_path / f"{name}.onnx"
            onnx.save(
                helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), str(file)
            )
            parts.append(file)
        (mean,) = load_graph(parts, "openvino", ["f32", "f32"], CPU).run(batch(3))
        assert np.allclose(mean, whole.run(batch(3))[1], atol=1e-5)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", False),  # OpenVINO does not use Arm's
    ],
)
def test_bf16_is_what_linux_lists_for_the_cpu(tmp_path: Path, cpuinfo: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert has_bf16(tmp_path / "cpuinfo") is expected
    assert not has_bf16(tmp_path / "absent")
