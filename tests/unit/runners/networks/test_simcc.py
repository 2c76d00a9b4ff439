"""SimCC networks: what goes in and what comes out, equal to rtmlib's."""

from pathlib import Path

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from rtmlib import RTMPose

from runners.engines import Place, load_graph
from runners.networks.simcc import MEAN, STD, SimccPose, decode, normalise
from tests.support.onnx_network import onnx_network

seeds = st.integers(0, 2**32 - 1)
unhurried = settings(deadline=None)  # the machine may be busy with something else


def rtmlib_pose(size: tuple[int, int]) -> RTMPose:
    reference = RTMPose.__new__(
        RTMPose
    )  # without a network: only what comes before and after it is asked for
    reference.model_input_size, reference.mean, reference.std = size, MEAN, STD
    return reference


class TestNormalisation:
    def test_the_values_are_rtmlib_s_for_every_level_bit_by_bit(self) -> None:
        levels = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis], 3, axis=1).reshape(16, 16, 3)
        expected = ((levels - np.array(MEAN)) / np.array(STD)).transpose(2, 0, 1).astype(np.float32)
        assert np.array_equal(normalise(levels[np.newaxis])[0], expected)

    def test_the_channels_keep_opencv_s_order(self) -> None:
        """rtmlib applies the mean of red to the channel that OpenCV reads first, blue."""
        blue = np.zeros((1, 1, 1, 3), np.uint8)
        blue[..., 0] = 255
        assert np.allclose(
            normalise(blue).ravel(), [(255 - 123.675) / 58.395, -116.28 / 57.12, -103.53 / 57.375]
        )

    @unhurried
    @given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), seeds)
    def test_each_crop_of_a_batch_is_normalised_as_rtmlib_does_it(
        self, count: int, width: int, height: int, seed: int
    ) -> None:
        crops = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
        batch = normalise(crops)
        assert batch.dtype == np.float32
        assert batch.flags.c_contiguous
        for crop, normalised in zip(crops, batch, strict=True):
            expected = ((crop - np.array(MEAN)) / np.array(STD)).transpose(2, 0, 1).astype(np.float32)
            assert np.array_equal(normalised, expected)


class TestDecoding:
    @unhurried
    @given(st.integers(1, 4), st.integers(1, 30), seeds)
    def test_positions_and_scores_are_rtmlib_s(self, people: int, keypoints: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        # Some keypoints without any likelihood, as for a part outside the crop.
        simcc_x = random.normal(-1.5, 1, (people, keypoints, 24)).astype(np.float32)
        simcc_y = random.normal(-1.5, 1, (people, keypoints, 32)).astype(np.float32)
        size = np.array([12, 16])
        decoded = decode(simcc_x, simcc_y)
        assert decoded.shape == (people, keypoints, 3)
        assert decoded.dtype == np.float32
        for person in range(people):
            one = [simcc_x[person : person + 1], simcc_y[person : person + 1]]
            # With a crop of the network's size at its own place, rtmlib's keypoints are in pixels of the crop.
            expected, scores = rtmlib_pose((12, 16)).postprocess(one, size / 2, size)
            assert np.allclose(decoded[person, :, :2], expected[0], atol=1e-5)
            assert np.array_equal(decoded[person, :, 2], scores[0])

    def test_the_likeliest_half_pixel_wins_and_the_score_is_the_mean_of_both_axes(self) -> None:
        simcc_x, simcc_y = np.zeros((1, 1, 24), np.float32), np.zeros((1, 1, 32), np.float32)
        simcc_x[0, 0, 7], simcc_y[0, 0, 20] = 0.6, 0.8
        assert np.allclose(decode(simcc_x, simcc_y), [[[3.5, 10.0, 0.7]]])

    def test_without_any_likelihood_there_is_no_position(self) -> None:
        flat = np.zeros((1, 1, 24), np.float32)
        assert decode(flat, flat).tolist() == [[[-0.5, -0.5, 0.0]]]
        assert decode(flat, flat - 0.5).tolist() == [[[-0.5, -0.5, -0.25]]]


def test_a_session_s_outputs_become_keypoints_of_each_crop(tmp_path: Path) -> None:
    """Here the likelihood along x is the blue of the crop's first row, along y the green of its first column."""
    initializers = {
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
        "channel": np.array([1], np.int64),
        "row": np.array([2], np.int64),
        "column": np.array([3], np.int64),
    }
    nodes = [
        helper.make_node("Slice", ["input", "zero", "one", "channel"], ["blue"]),
        helper.make_node("Slice", ["blue", "zero", "one", "row"], ["blue_row"]),
        helper.make_node("Squeeze", ["blue_row", "row"], ["simcc_x"]),
        helper.make_node("Slice", ["input", "one", "two", "channel"], ["green"]),
        helper.make_node("Slice", ["green", "zero", "one", "column"], ["green_column"]),
        helper.make_node("Squeeze", ["green_column", "column"], ["simcc_y"]),
    ]
    outputs = {"simcc_x": ("batch", 1, 4), "simcc_y": ("batch", 1, 6)}
    file = tmp_path / "pose.onnx"
    onnx.save(onnx_network({"input": ("batch", 3, 6, 4)}, outputs, nodes, initializers), file)

    crops = np.zeros((2, 6, 4, 3), np.uint8)
    crops[0, 0, 2, 0], crops[0, 4, 0, 1] = 255, 255
    crops[1, 0, 1, 0], crops[1, 5, 0, 1] = 255, 255
    graph = load_graph([file], "onnxruntime", ["f32"], Place("cpu", 1))
    first, second = SimccPose(graph, prepared=False)(crops)
    assert first[0, :2].tolist() == [1.0, 2.0]
    assert second[0, :2].tolist() == [0.5, 2.5]
    assert first[0, 2] > 2
