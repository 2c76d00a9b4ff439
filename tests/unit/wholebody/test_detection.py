"""From a picture to its people's boxes: the letterbox round the detector network, and the network's answers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from runners.engines import Place, load_graph
from runners.networks.detector import published_detector
from wholebody.detection import Detections, LetterboxDetector


class Network:
    """Answers each picture with the same boxes, and keeps what it was given."""

    def __init__(self, boxes: list[list[float]]) -> None:
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)
        self.seen: list[NDArray[np.uint8]] = []

    async def __call__(self, pictures: NDArray[np.uint8]) -> list[Detections]:
        self.seen.append(pictures)
        return [Detections(self.boxes, np.full(len(self.boxes), 0.9, np.float32)) for _ in pictures]


class TestLetterboxDetector:
    @pytest.mark.parametrize("size", [(416, 416), (1000, 500), (37, 41), (1, 1), (3, 5000), (9000, 2)])
    async def test_the_network_gets_one_letterboxed_picture_of_its_size(self, size: tuple[int, int]) -> None:
        network = Network([])
        await LetterboxDetector(network, (416, 416)).detect(np.zeros((size[1], size[0], 3), np.uint8))
        (pictures,) = network.seen
        assert pictures.shape == (1, 416, 416, 3)
        assert pictures.dtype == np.uint8

    async def test_boxes_return_to_pixels_of_the_picture(self) -> None:
        network = Network([[0, 0, 416, 208], [104, 52, 208, 104]])
        found = await LetterboxDetector(network, (416, 416)).detect(np.zeros((400, 800, 3), np.uint8))
        assert np.allclose(found.boxes, [[0, 0, 800, 400], [200, 100, 400, 200]])
        assert found.boxes.dtype == np.float32
        assert found.scores.tolist() == [pytest.approx(0.9)] * 2

    async def test_nobody_found_is_no_boxes(self) -> None:
        found = await LetterboxDetector(Network([]), (416, 416)).detect(np.zeros((40, 80, 3), np.uint8))
        assert found.boxes.shape == (0, 4)
        assert found.scores.shape == (0,)


def detector_file(folder: Path, dets: list[list[float]], labels: list[int]) -> Path:
    """A network of YOLOX's form whose boxes and labels are fixed; its input decides by how much the boxes shift."""
    constants = {
        "fixed": np.array(dets, np.float32).reshape(1, -1, 5),
        "labels": np.array(labels, np.int64).reshape(1, -1),
        "shift": np.array([1, 1, 1, 1, 0], np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Mul", ["mean", "shift"], ["moved"]),
            helper.make_node("Add", ["fixed", "moved"], ["dets"]),
            helper.make_node("Identity", ["labels"], ["names"]),
        ],
        "detector",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 4, 4])],
        [
            helper.make_tensor_value_info("dets", TensorProto.FLOAT, [1, None, 5]),
            helper.make_tensor_value_info("names", TensorProto.INT64, [1, None]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    file = folder / "detector.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), file)
    return file


def detect(folder: Path, dets: list[list[float]], labels: list[int], *values: int) -> list[Detections]:
    pictures = np.stack([np.full((4, 4, 3), value, np.uint8) for value in values or (0,)])
    graph = load_graph([detector_file(folder, dets, labels)], "onnxruntime", ["f32"], Place("cpu", 1))
    return published_detector("yolox", graph)(pictures)


class TestYolox:
    def test_only_people_are_kept(self, tmp_path: Path) -> None:
        (found,) = detect(tmp_path, [[1, 2, 3, 4, 0.9], [5, 6, 7, 8, 0.8]], [16, 0])
        assert found.boxes.tolist() == [[5, 6, 7, 8]]
        assert found.scores.tolist() == [pytest.approx(0.8)]

    def test_only_scores_above_rtmlib_s_threshold_are_kept(self, tmp_path: Path) -> None:
        (found,) = detect(tmp_path, [[1, 2, 3, 4, 0.31], [5, 6, 7, 8, 0.3]], [0, 0])
        assert found.boxes.tolist() == [[1, 2, 3, 4]]

    def test_the_surest_comes_first(self, tmp_path: Path) -> None:
        (found,) = detect(tmp_path, [[1, 0, 2, 2, 0.5], [2, 0, 3, 3, 0.9], [3, 0, 4, 4, 0.7]], [0, 0, 0])
        assert found.boxes[:, 0].tolist() == [2, 3, 1]

    def test_nobody_is_an_answer(self, tmp_path: Path) -> None:
        (found,) = detect(tmp_path, [[1, 2, 3, 4, 0.1]], [0])
        assert found.boxes.shape == (0, 4)
        (found,) = detect(tmp_path, [], [])
        assert found.boxes.shape == (0, 4)

    def test_each_picture_of_a_batch_gets_its_own_boxes_from_its_unchanged_pixels(
        self, tmp_path: Path
    ) -> None:
        first, second = detect(tmp_path, [[1, 2, 3, 4, 0.9]], [0], 10, 255)
        assert first.boxes.tolist() == [[11, 12, 13, 14]]
        assert second.boxes.tolist() == [[256, 257, 258, 259]]
