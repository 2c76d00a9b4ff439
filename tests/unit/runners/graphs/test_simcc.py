"""A pose network with normalisation and decoding inside answers as the published one with both outside."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from runners.config import EngineName
from runners.engines import Place, is_installed, load_graph
from runners.graphs.cutting import cut
from runners.graphs.editing import UnexpectedGraphError
from runners.graphs.simcc import prepare_simcc
from runners.models.manifest import EMBEDDED
from runners.models.store import ModelStore
from runners.networks.simcc import SimccPose
from tests.support.onnx_network import onnx_network

PLACE = Place("cpu", 2)
STAND_INS = Path(__file__).parents[4].parent / "shared" / "bench"
WIDTH, HEIGHT, KEYPOINTS = 8, 12, 5


def small_pose(*, opset: int = 11, outputs: tuple[str, str] = ("simcc_x", "simcc_y")) -> Any:
    """Two convolutions, and from each channel a distribution over columns and one over rows."""
    random = np.random.default_rng(1)
    weights = {
        "first": random.normal(0, 0.3, (6, 3, 3, 3)).astype(np.float32),
        "second": random.normal(0, 0.3, (KEYPOINTS, 6, 3, 3)).astype(np.float32),
        "flat": np.array([0, KEYPOINTS, -1], np.int64),
        "to_x": random.normal(0, 0.2, (WIDTH * HEIGHT, 2 * WIDTH)).astype(np.float32),
        "to_y": random.normal(0, 0.2, (WIDTH * HEIGHT, 2 * HEIGHT)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["input", "first"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["middle"]),
        helper.make_node("Conv", ["middle", "second"], ["b"], pads=[1, 1, 1, 1]),
        helper.make_node("Reshape", ["b", "flat"], ["c"]),
        helper.make_node("MatMul", ["c", "to_x"], [outputs[0]]),
        helper.make_node("MatMul", ["c", "to_y"], [outputs[1]]),
    ]
    return onnx_network(
        {"input": ("batch", 3, HEIGHT, WIDTH)},
        {outputs[0]: ("batch", KEYPOINTS, 2 * WIDTH), outputs[1]: ("batch", KEYPOINTS, 2 * HEIGHT)},
        nodes,
        weights,
        opset=opset,
        ir_version=10 if opset > 11 else 6,
    )


def poses(folder: Path, model: Any, engine: EngineName = "onnxruntime") -> tuple[SimccPose, SimccPose]:
    """The published network in ONNX Runtime, and the prepared one in an engine."""
    published, prepared = folder / "published.onnx", folder / "prepared.onnx"
    onnx.save(model, str(published))
    onnx.save(prepare_simcc(model), str(prepared))
    onnx.checker.check_model(str(prepared))
    return (
        SimccPose(load_graph([published], "onnxruntime", ["f32"], PLACE), prepared=False),
        SimccPose(load_graph([prepared], engine, ["f32"], PLACE), prepared=True),
    )


def crops(count: int, width: int = WIDTH, height: int = HEIGHT) -> Any:
    return np.random.default_rng(3).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "opencv"])
def test_any_number_of_crops_gets_the_same_keypoints_and_scores(
    tmp_path: Path, engine: EngineName, opset: int
) -> None:
    if not is_installed(engine):
        pytest.skip(f"{engine} is not installed")
    published, prepared = poses(tmp_path, small_pose(opset=opset), engine)
    for count in (1, 7):
        expected, found = np.stack(published(crops(count))), np.stack(prepared(crops(count)))
        assert found.shape == (count, KEYPOINTS, 3)
        assert found.dtype == np.float32
        assert np.allclose(expected, found, atol=1e-5)
        assert (expected[..., 2] > 0).any()


def test_no_likelihood_at_all_is_no_position_inside_as_outside(tmp_path: Path) -> None:
    model = small_pose()
    for weight in model.graph.initializer:
        if weight.name == "first":
            weight.CopyFrom(numpy_helper.from_array(np.zeros((6, 3, 3, 3), np.float32), "first"))
    _, prepared = poses(tmp_path, model)
    (found,) = prepared(crops(1))
    assert found.tolist() == [[-0.5, -0.5, 0.0]] * KEYPOINTS


def test_a_network_with_other_outputs_is_refused() -> None:
    with pytest.raises(
        UnexpectedGraphError, match="its outputs are x, heatmap instead of simcc_x and simcc_y"
    ):
        prepare_simcc(small_pose(outputs=("x", "heatmap")))


class TestCutting:
    def test_the_parts_in_turn_answer_as_the_whole(self, tmp_path: Path) -> None:
        _, whole = poses(tmp_path, small_pose())
        files = [tmp_path / "front.onnx", tmp_path / "back.onnx"]
        for part, file in zip(cut(prepare_simcc(small_pose()), ["middle"]), files, strict=True):
            onnx.checker.check_model(part)
            onnx.save(part, str(file))
        parts = [load_graph([file], "onnxruntime", ["f32"], PLACE) for file in files]
        (between,) = parts[0].run(crops(3))
        bins, likelihoods = parts[1].run(between)
        found = np.stack(whole(crops(3)))
        assert np.allclose(likelihoods.mean(axis=2), found[..., 2], atol=1e-6)
        seen = found[..., 2] > 0
        assert np.array_equal(bins[seen] / 2, found[..., :2][seen])

    @pytest.mark.parametrize("tensor", ["nowhere", "simcc_x"])
    def test_a_place_that_is_none_is_refused(self, tensor: str) -> None:
        with pytest.raises(UnexpectedGraphError, match=tensor):
            cut(prepare_simcc(small_pose()), [tensor])


@pytest.mark.models
def test_the_real_network_s_keypoints_stay_the_same(tmp_path: Path, model_store: ModelStore) -> None:
    file = model_store.path(EMBEDDED["body"])
    published, prepared = poses(tmp_path, onnx.load(str(file)))
    assert np.allclose(published(crops(3, 192, 256)), prepared(crops(3, 192, 256)), atol=1e-4)


@pytest.mark.skipif(not STAND_INS.is_dir(), reason="there are no stand-ins in ../shared/bench")
def test_a_network_of_the_zoo_s_form_can_be_prepared(tmp_path: Path) -> None:
    published, prepared = poses(tmp_path, onnx.load(str(STAND_INS / "rtmw_m_256x192.onnx")))
    assert np.allclose(published(crops(2, 192, 256)), prepared(crops(2, 192, 256)), atol=1e-4)
