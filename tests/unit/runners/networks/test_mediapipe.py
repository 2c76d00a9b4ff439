"""MediaPipe's networks: what they are given, and how their outputs become hands, faces and meshes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from runners.engines import LoadedGraph, Place, load_graph
from runners.networks.mediapipe import FaceDetector, FaceMesher, HandLandmarker, PalmDetector
from tests.support.onnx_network import onnx_network
from wholebody.networks import PalmDetections

Floats = NDArray[np.float32]


def network(folder: Path, outputs: Sequence[Floats], weights: Sequence[float]) -> LoadedGraph:
    """A network with fixed outputs, shape (1, …), to which the mean of a crop's channels, weighted, is added."""
    constants = {f"fixed_{i}": output for i, output in enumerate(outputs)}
    constants["weights"] = np.array(weights, np.float32).reshape(1, 1, 1, 3)
    nodes = [
        helper.make_node("Mul", ["input", "weights"], ["weighted"]),
        helper.make_node("ReduceMean", ["weighted"], ["flat"], axes=[1, 2, 3], keepdims=0),
    ]
    for i, output in enumerate(outputs):
        constants[f"axes_{i}"] = np.arange(1, output.ndim, dtype=np.int64)
        nodes += [
            helper.make_node("Unsqueeze", ["flat", f"axes_{i}"], [f"added_{i}"]),
            helper.make_node("Add", [f"fixed_{i}", f"added_{i}"], [f"output_{i}"]),
        ]
    shapes = {f"output_{i}": ("batch", *output.shape[1:]) for i, output in enumerate(outputs)}
    file = folder / "network.onnx"
    onnx.save(onnx_network({"input": ("batch", None, None, 3)}, shapes, nodes, constants), file)
    return load_graph([file], "onnxruntime", ["f32"], Place("cpu", 1))


def plain(size: int, *colours: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Crops of one colour each (blue, green, red)."""
    return np.stack([np.full((size, size, 3), colour, np.uint8) for colour in colours])


class TestHands:
    OUTPUTS = (
        np.arange(63, dtype=np.float32).reshape(1, 63),
        np.array([[0.25]], np.float32),
        np.array([[0.75]], np.float32),
    )

    def test_landmarks_are_x_and_y_in_units_of_the_crop(self, tmp_path: Path) -> None:
        graph = network(tmp_path, self.OUTPUTS, (0, 0, 0))
        (hand,) = HandLandmarker(graph)(plain(224, (0, 0, 0)))
        assert hand.points.shape == (21, 2)
        assert np.allclose(hand.points * 224, np.arange(63).reshape(21, 3)[:, :2])  # without depth
        assert (hand.score, hand.right) == (0.25, 0.75)

    def test_the_network_sees_red_first_from_0_to_1_and_each_crop_has_its_own_answer(
        self, tmp_path: Path
    ) -> None:
        graph = network(tmp_path, self.OUTPUTS, (3, 0, 0))
        black, blue, red = HandLandmarker(graph)(plain(224, (0, 0, 0), (255, 0, 0), (0, 0, 255)))
        assert [black.score, blue.score, red.score] == pytest.approx([0.25, 0.25, 1.25])


class TestMeshes:
    def test_points_are_x_and_y_in_units_of_the_crop_and_the_score_a_likelihood(self, tmp_path: Path) -> None:
        points = np.arange(1404, dtype=np.float32).reshape(1, 1, 1, 1404)
        graph = network(tmp_path, (points, np.zeros((1, 1, 1, 1), np.float32)), (0, 0, 6))
        black, blue, red = FaceMesher(graph)(plain(192, (0, 0, 0), (255, 0, 0), (0, 0, 255)))
        assert np.allclose(black.points * 192, points.reshape(468, 3)[:, :2], atol=1e-3)
        assert [black.score, blue.score, red.score] == pytest.approx([0.5, 1 / (1 + np.exp(-2)), 0.5])


# Anchors of the detector: two in each cell of a 16×16 grid, then six in each of an 8×8 grid, row by row.
def fine(row: int, column: int) -> int:
    return 2 * (16 * row + column)


def coarse(row: int, column: int) -> int:
    return 512 + 6 * (8 * row + column)


def box(x: float, y: float, size: float, points: float = 0) -> list[float]:
    """A box as the network gives it: middle relative to its anchor, size, six points, in pixels of 128."""
    return [x, y, size, size, *[points] * 12]


def find_faces(folder: Path, found: dict[int, tuple[list[float], float]]) -> tuple[Floats, Floats]:
    """The points, in pixels of 128, and the scores of the faces when some anchors see one: (box, score)."""
    boxes, logits = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -100, np.float32)
    for anchor, (values, score) in found.items():
        boxes[0, anchor], logits[0, anchor] = values, np.log(score / (1 - score))
    (faces,) = FaceDetector(network(folder, (boxes, logits), (0, 0, 0)))(plain(128, (9, 9, 9)))
    return faces.points * 128, faces.scores


class TestFaceDetection:
    def test_points_are_relative_to_the_middle_of_their_anchor_s_cell(self, tmp_path: Path) -> None:
        points, scores = find_faces(tmp_path, {fine(2, 5): (box(0, 0, 9, 3), 0.9)})
        assert np.allclose(points, np.tile([[(5 + 0.5) * 8 + 3, (2 + 0.5) * 8 + 3]], (1, 6, 1)))
        assert scores == pytest.approx([0.9], abs=1e-5)
        points, _ = find_faces(tmp_path, {coarse(2, 5) + 5: (box(0, 0, 9, -3), 0.9)})
        assert np.allclose(points, np.tile([[(5 + 0.5) * 16 - 3, (2 + 0.5) * 16 - 3]], (1, 6, 1)))

    def test_the_last_anchors_lie_in_the_lower_right(self, tmp_path: Path) -> None:
        points, _ = find_faces(tmp_path, {511: (box(0, 0, 9), 0.9), 895: (box(0, 0, 9), 0.8)})
        assert np.allclose(points[:, 0], [[124, 124], [120, 120]])

    def test_points_are_six_pairs_of_x_and_y(self, tmp_path: Path) -> None:
        points, _ = find_faces(tmp_path, {fine(0, 0): ([0, 0, 9, 9, *range(12)], 0.9)})
        assert np.allclose(points - 4, np.arange(12).reshape(1, 6, 2))

    def test_doubtful_faces_are_left_out(self, tmp_path: Path) -> None:
        points, scores = find_faces(tmp_path, {fine(0, 0): (box(0, 0, 9), 0.49)})
        assert points.shape == (0, 6, 2)
        assert scores.shape == (0,)

    def test_boxes_that_overlap_are_one_face_where_the_surer_boxes_count_more(self, tmp_path: Path) -> None:
        # Both anchors of one cell; boxes of 20 pixels, one of them 4 pixels to the right.
        points, scores = find_faces(
            tmp_path, {fine(5, 5): (box(0, 0, 20, 0), 0.9), fine(5, 5) + 1: (box(4, 0, 20, 4), 0.6)}
        )
        assert points.shape == (1, 6, 2)
        assert np.allclose(points[0], 44 + 4 * 0.6 / 1.5)
        assert scores == pytest.approx([0.9], abs=1e-5)

    def test_boxes_that_hardly_overlap_are_two_faces_the_surer_first(self, tmp_path: Path) -> None:
        # Squares of 20 that lie apart by 12 share a quarter of their union, those that lie apart by 10 a third.
        apart = {fine(5, 5): (box(0, 0, 20), 0.6), fine(5, 5) + 1: (box(12, 0, 20, 12), 0.9)}
        points, scores = find_faces(tmp_path, apart)
        assert np.allclose(points[:, 0, 0], [56, 44])
        assert scores == pytest.approx([0.9, 0.6], abs=1e-5)
        near = {fine(5, 5): (box(0, 0, 20), 0.6), fine(5, 5) + 1: (box(10, 0, 20, 10), 0.9)}
        assert len(find_faces(tmp_path, near)[0]) == 1

    def test_the_network_sees_red_first_from_minus_1_to_1(self, tmp_path: Path) -> None:
        boxes, logits = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -100, np.float32)
        boxes[0, :, 2:4] = 9
        logits[0, 0] = 1
        detector = FaceDetector(network(tmp_path, (boxes, logits), (6, 0, 0)))
        # Red first: the mean over three channels is a third of the weight.
        blue, red = detector(plain(128, (255, 0, 0), (0, 0, 255)))
        assert blue.scores.tolist() == []
        assert red.scores == pytest.approx([1 / (1 + np.exp(-3))])


class TestPalmDetection:
    def found(self, folder: Path, anchors: dict[int, tuple[float, float]]) -> PalmDetections:
        """The palms when some anchors see one: the size of its box in pixels of 192, and its score."""
        boxes, logits = np.zeros((1, 2016, 18), np.float32), np.full((1, 2016, 1), -100, np.float32)
        for anchor, (size, score) in anchors.items():
            boxes[0, anchor] = [0, 0, size, size, *range(14)]
            logits[0, anchor] = np.log(score / (1 - score))
        (palms,) = PalmDetector(network(folder, (boxes, logits), (0, 0, 0)))(plain(192, (9, 9, 9)))
        return palms

    def test_boxes_and_seven_points_are_relative_to_the_anchor_s_cell(self, tmp_path: Path) -> None:
        # Two anchors in each cell of a 24×24 grid, then six in each of a 12×12 grid.
        fine, coarse = 2 * (24 * 2 + 5), 1152 + 6 * (12 * 9 + 10) + 5
        palms = self.found(tmp_path, {fine: (20, 0.9), coarse: (30, 0.6)})
        middles = np.array([[5.5 * 8, 2.5 * 8], [10.5 * 16, 9.5 * 16]])
        halves = np.array([[10], [15]])
        assert np.allclose(palms.boxes * 192, np.hstack([middles - halves, middles + halves]), atol=1e-3)
        offsets = np.arange(14).reshape(1, 7, 2)
        assert np.allclose(palms.points * 192, middles[:, np.newaxis] + offsets, atol=1e-3)
        assert palms.scores == pytest.approx([0.9, 0.6], abs=1e-5)

    def test_doubtful_palms_are_left_out(self, tmp_path: Path) -> None:
        palms = self.found(tmp_path, {0: (20, 0.49)})
        assert (palms.boxes.shape, palms.points.shape, palms.scores.shape) == ((0, 4), (0, 7, 2), (0,))

    def test_the_network_sees_red_first_from_0_to_1(self, tmp_path: Path) -> None:
        boxes, logits = np.zeros((1, 2016, 18), np.float32), np.full((1, 2016, 1), -100, np.float32)
        boxes[0, :, 2:4], logits[0, 0] = 9, -1
        blue, red = PalmDetector(network(tmp_path, (boxes, logits), (6, 0, 0)))(
            plain(192, (255, 0, 0), (0, 0, 255))
        )
        assert blue.scores.tolist() == []
        assert red.scores == pytest.approx([1 / (1 + np.exp(-1))])
