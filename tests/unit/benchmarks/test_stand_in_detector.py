"""A stand-in detector is prepared and cut as the published ones are, and finds the people it was made with."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks.stand_in_detector import add_candidates
from runners.engines import Place
from runners.engines.onnx_runtime import OnnxRuntimeGraph
from runners.graphs.cutting import cut
from runners.graphs.yolox import head_features, prepare_yolox
from runners.networks.detector import PreparedDetector
from tests.support.onnx_network import onnx_network

SIDE, CELLS = 64, 8
PEOPLE = np.array([[[1, 2, 30, 60, 0.9], [31, 2, 60, 60, 0.9]]], np.float32)


@pytest.fixture
def stand_in() -> onnx.ModelProto:
    """One level with classes and the rest, and an end that finds the same people whatever they say."""

    def convolution(name: str, source: str, channels: int, inputs: int, side: int) -> list[onnx.NodeProto]:
        value = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.1])
        return [
            helper.make_node("ConstantOfShape", [f"{name}/w shape"], [f"{name}/w"], value=value),
            helper.make_node("ConstantOfShape", [f"{name}/b shape"], [f"{name}/b"], value=value),
            helper.make_node(
                "Conv", [source, f"{name}/w", f"{name}/b"], [name], name=name,
                kernel_shape=[side, side], strides=[side, side],
            ),
        ]  # fmt: skip

    shapes = {"features": (4, 3, CELLS), "classes": (1, 4, 1), "rest": (5, 4, 1)}
    weights = {
        f"{name}/{kind} shape": np.array(shape, np.int64)
        for name, (channels, inputs, side) in shapes.items()
        for kind, shape in (("w", [channels, inputs, side, side]), ("b", [channels]))
    } | {
        "people": PEOPLE,
        "nothing": np.array(0, np.float32),
        "axes": np.array([1, 2, 3], np.int64),
        "shape": np.array([-1, 1, 1], np.int64),
        "labels": np.zeros((1, 2), np.int64),
    }
    nodes = [
        *convolution("features", "input", 4, 3, CELLS),
        *convolution("classes", "features", 1, 4, 1),
        *convolution("rest", "features", 5, 4, 1),
        helper.make_node("ReduceMean", ["classes", "axes"], ["a"], keepdims=0),
        helper.make_node("ReduceMean", ["rest", "axes"], ["b"], keepdims=0),
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Mul", ["sum", "nothing"], ["zero"]),
        helper.make_node("Reshape", ["zero", "shape"], ["zeros"]),
        helper.make_node("Add", ["people", "zeros"], ["dets"]),
    ]
    ends = {"input": ("batch", 3, SIDE, SIDE)}, {"dets": ("batch", 2, 5)}
    return onnx_network(*ends, nodes, weights, opset=18, ir_version=10)


def test_it_is_prepared_for_any_batch_and_finds_its_people(stand_in: onnx.ModelProto, tmp_path: Path) -> None:
    prepared = prepare_yolox(add_candidates(stand_in))
    onnx.save(prepared, tmp_path / "prepared.onnx")
    detect = PreparedDetector(OnnxRuntimeGraph(tmp_path / "prepared.onnx", "f32", Place("cpu", 1)))

    found = detect(np.full((3, SIDE, SIDE, 3), 128, np.uint8))

    assert len(found) == 3
    for one in found:
        np.testing.assert_allclose(np.sort(one.boxes, axis=0), PEOPLE[0, :, :4], atol=1e-3)


def test_it_can_be_cut_before_the_last_convolutions(stand_in: onnx.ModelProto) -> None:
    prepared = prepare_yolox(add_candidates(stand_in))
    first, last = cut(prepared, head_features(prepared))

    assert [output.name for output in first.graph.output] == ["features"]
    assert {node.op_type for node in last.graph.node} >= {"Conv", "Sigmoid"}
    assert sum(node.op_type == "Conv" for node in last.graph.node) == 2


def test_who_runs_the_file_as_it_is_gets_the_same_answer(stand_in: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(add_candidates(stand_in), tmp_path / "published.onnx")
    graph = OnnxRuntimeGraph(tmp_path / "published.onnx", "f32", Place("cpu", 1))
    (dets,) = graph.run(np.zeros((1, 3, SIDE, SIDE), np.float32))
    np.testing.assert_allclose(dets, PEOPLE)
