"""Geometry: what a network sees of the picture, and where what it answers lies in the picture."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rtmlib import YOLOX, RTMPose

from wholebody.geometry import (
    BoxCrop,
    Picture,
    SquareRegion,
    angle_to,
    bounding_rectangle,
    letterbox,
    region_round,
)

sizes = st.tuples(st.integers(8, 120), st.integers(8, 120))
seeds = st.integers(0, 2**32 - 1)
unhurried = settings(deadline=None)  # the machine may be busy with something else


def noise(width: int, height: int, seed: int) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def spot(width: int, height: int, x: float, y: float, radius: float = 3.0) -> Picture:
    """A black picture with a soft white spot whose middle lies on the pixel x, y."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    light = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.repeat(light.round().astype(np.uint8)[..., np.newaxis], 3, axis=2)


def middle(picture: Picture) -> NDArray[np.float64]:
    """The pixel x, y on which the light of a picture is centred."""
    light = picture[..., 0].astype(np.float64)
    rows, columns = np.indices(light.shape)
    return np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()


def rtmlib_letterbox(picture: Picture, size: tuple[int, int]) -> tuple[Picture, float]:
    reference = YOLOX.__new__(YOLOX)  # without a network: only the letterbox is asked for
    reference.model_input_size = size[::-1]  # height and width
    return reference.preprocess(picture)


def rtmlib_pose(size: tuple[int, int]) -> RTMPose:
    reference = RTMPose.__new__(
        RTMPose
    )  # without a network: only what comes before and after it is asked for
    reference.model_input_size, reference.mean = size, None
    return reference


@st.composite
def boxes(draw: st.DrawFn) -> NDArray[np.float32]:
    """Boxes in and round a picture of some hundred pixels, from slivers to far larger than it."""
    x, y = (draw(st.floats(-300, 600, width=32)) for _ in range(2))
    width, height = (draw(st.floats(0.25, 900, width=32)) for _ in range(2))
    return np.array([x, y, x + width, y + height], np.float32)


class TestLetterbox:
    @unhurried
    @given(st.integers(1, 300), st.integers(1, 300), sizes, seeds)
    def test_it_is_rtmlib_s_pixel_for_pixel(
        self, width: int, height: int, size: tuple[int, int], seed: int
    ) -> None:
        ratio = min(size[0] / width, size[1] / height)
        assume(int(width * ratio) >= 1 and int(height * ratio) >= 1)  # rtmlib cannot resize to nothing
        picture = noise(width, height, seed)
        canvas, scaled = letterbox(picture, size)
        expected, expected_scaled = rtmlib_letterbox(picture, size)
        assert np.array_equal(canvas, expected)
        assert scaled == expected_scaled

    @pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 40_000), (40_000, 2)])
    def test_any_picture_fits_however_long_and_thin(self, size: tuple[int, int]) -> None:
        canvas, ratio = letterbox(np.zeros((size[1], size[0], 3), np.uint8), (416, 416))
        assert canvas.shape == (416, 416, 3)
        covered = np.argwhere((canvas == 0).all(axis=2)).max(axis=0) + 1
        assert max(covered) == 416
        assert ratio == 416 / max(size)

    @unhurried
    @given(st.integers(60, 400), st.integers(60, 400), st.data())
    def test_a_point_of_the_canvas_returns_to_its_pixel(
        self, width: int, height: int, data: st.DataObject
    ) -> None:
        x, y = data.draw(st.integers(20, width - 20)), data.draw(st.integers(20, height - 20))
        canvas, ratio = letterbox(spot(width, height, x, y), (208, 208))
        canvas[(canvas == 114).all(axis=2)] = 0
        # Edges of pixels lie at whole numbers. The scaled picture is cut to whole pixels: up to one is lost.
        returned = (middle(canvas) + 0.5) / ratio - 0.5
        assert np.abs(returned - (x, y)).max() < 1.1 / ratio

    def test_a_picture_of_the_canvas_s_size_is_not_scaled(self) -> None:
        picture = noise(64, 48, 0)
        canvas, ratio = letterbox(picture, (64, 48))
        assert ratio == 1
        assert np.array_equal(canvas, picture)


class TestBoxCrop:
    @unhurried
    @given(st.integers(1, 300), st.integers(1, 300), boxes(), sizes, seeds)
    def test_it_is_rtmlib_s_pixel_for_pixel(
        self, width: int, height: int, box: NDArray[np.float32], size: tuple[int, int], seed: int
    ) -> None:
        picture = noise(width, height, seed)
        expected, _, _ = rtmlib_pose(size).preprocess(picture, box)
        assert np.array_equal(BoxCrop.around(box, size).cut(picture), expected)

    @settings(unhurried, max_examples=30)
    @given(boxes(), st.sampled_from([(192, 256), (288, 384)]), seeds)
    def test_it_is_rtmlib_s_at_the_networks_own_sizes(
        self, box: NDArray[np.float32], size: tuple[int, int], seed: int
    ) -> None:
        picture = noise(333, 250, seed)
        expected, _, _ = rtmlib_pose(size).preprocess(picture, box)
        assert np.array_equal(BoxCrop.around(box, size).cut(picture), expected)

    def test_it_is_rtmlib_s_to_the_last_bit_in_large_pictures(self) -> None:
        """Far from the corner the rounding of the points that fix the map decides the last bit of some pixels."""
        picture = noise(2000, 1500, 0)
        random = np.random.default_rng(0)
        for _ in range(60):
            corner, extent = random.uniform(0, 1000, 2), random.uniform(50, 900, 2)
            box = np.concatenate([corner, corner + extent]).astype(np.float32)
            expected, _, _ = rtmlib_pose((192, 256)).preprocess(picture, box)
            assert np.array_equal(BoxCrop.around(box, (192, 256)).cut(picture), expected)

    @unhurried
    @given(boxes(), sizes, seeds)
    def test_keypoints_return_where_rtmlib_puts_them(
        self, box: NDArray[np.float32], size: tuple[int, int], seed: int
    ) -> None:
        random = np.random.default_rng(seed)
        simcc = [random.random((1, 26, 2 * length), np.float32) for length in size]
        in_crop = np.stack([axis[0].argmax(axis=1) / 2 for axis in simcc], axis=1)
        reference = rtmlib_pose(size)
        _, center, scale = reference.preprocess(np.zeros((9, 9, 3), np.uint8), box)
        expected, _ = reference.postprocess(simcc, center, scale)
        assert np.abs(BoxCrop.around(box, size).to_picture(in_crop) - expected[0]).max() < 1e-3

    @unhurried
    @given(st.integers(30, 170), st.integers(30, 130), st.data())
    def test_a_point_returns_to_its_pixel(self, x: int, y: int, data: st.DataObject) -> None:
        left, top, right, bottom = (data.draw(st.floats(15, 60)) for _ in range(4))
        crop = BoxCrop.around(np.array([x - left, y - top, x + right, y + bottom], np.float32), (192, 256))
        seen = middle(crop.cut(spot(200, 160, x, y)))
        assert np.abs(crop.to_picture(seen) - (x, y)).max() < 0.15

    @unhurried
    @given(boxes(), sizes)
    def test_it_holds_the_padded_box_round_the_same_middle(
        self, box: NDArray[np.float32], size: tuple[int, int]
    ) -> None:
        crop = BoxCrop.around(box, size)
        low, high = crop.to_picture(np.array([[0, 0], size], np.float64))
        box_middle, box_size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        tolerance = 1e-4 * float(np.abs(box).max() + box_size.max() * 20)
        assert np.allclose((low + high) / 2, box_middle, atol=tolerance)
        assert np.all(high - low >= 1.25 * box_size - tolerance)
        assert np.isclose(
            (high - low) / (1.25 * box_size), 1, atol=1e-3
        ).any()  # and is no larger than needed
        assert np.isclose((high - low)[0] / (high - low)[1], size[0] / size[1], rtol=1e-3)

    def test_what_lies_outside_the_picture_is_black(self) -> None:
        white = np.full((40, 40, 3), 255, np.uint8)
        cut = BoxCrop.around(np.array([-200, -200, -100, -100], np.float32), (48, 64)).cut(white)
        assert not cut.any()

    def test_it_reaches_the_far_end_of_very_wide_pictures(self) -> None:
        """OpenCV before version 5 refuses pictures of more than 32,767 pixels a side."""
        picture = np.zeros((64, 40_000, 3), np.uint8)
        picture[:, -200:] = spot(200, 64, 150, 30)
        crop = BoxCrop.around(np.array([39_920, 5, 39_980, 60], np.float32), (192, 256))
        assert np.abs(crop.to_picture(middle(crop.cut(picture))) - (39_950, 30)).max() < 0.15


regions = st.builds(
    SquareRegion,
    x=st.floats(80, 120),
    y=st.floats(60, 100),
    side=st.floats(60, 250),
    angle=st.floats(-math.pi, math.pi),
)


class TestSquareRegion:
    @unhurried
    @given(regions, st.floats(0.25, 0.75), st.floats(0.25, 0.75))
    def test_a_point_returns_to_its_pixel(self, region: SquareRegion, u: float, v: float) -> None:
        # From the region to a whole pixel of the picture, cut, and back again.
        x, y = region.to_picture(np.array([u, v])).round()
        assume(15 <= x <= 185 and 15 <= y <= 145)
        cut = region.cut(spot(200, 160, x, y), 224, repeat_edge=False)
        assume(
            not (cut[0].any() or cut[-1].any() or cut[:, 0].any() or cut[:, -1].any())
        )  # all of it is seen
        # Units of the region and pixels of the picture both count from edge to edge: a pixel's middle is half a
        # pixel off its edge.
        returned = region.to_picture((middle(cut) + 0.5) / 224) - 0.5
        assert np.abs(returned - (x, y)).max() < 0.15

    def test_an_upright_region_of_whole_pixels_is_a_slice(self) -> None:
        picture = noise(64, 48, 1)
        cut = SquareRegion(x=20, y=24, side=16, angle=0).cut(picture, 16, repeat_edge=False)
        assert np.array_equal(cut, picture[16:32, 12:28])

    def test_it_turns_clockwise_on_the_screen(self) -> None:
        """Turned by a quarter, its upper edge lies at the right of the picture."""
        picture = noise(64, 48, 1)
        cut = SquareRegion(x=20, y=24, side=16, angle=math.pi / 2).cut(picture, 16, repeat_edge=False)
        assert np.array_equal(cut, np.rot90(picture[16:32, 12:28]))
        upper_edge = SquareRegion(x=20, y=24, side=16, angle=math.pi / 2).to_picture(np.array([0.5, 0]))
        assert np.allclose(upper_edge, (28, 24))

    @pytest.mark.parametrize(("repeat_edge", "beyond"), [(True, 200), (False, 0)])
    def test_outside_the_picture_it_repeats_the_edge_or_is_black(
        self, repeat_edge: bool, beyond: int
    ) -> None:
        picture = np.full((40, 40, 3), 200, np.uint8)
        cut = SquareRegion(x=0, y=0, side=20, angle=0).cut(picture, 20, repeat_edge=repeat_edge)
        assert np.all(cut[:9, :9] == beyond)
        assert np.all(cut[11:, 11:] == 200)

    def test_it_reaches_the_far_end_of_very_tall_pictures(self) -> None:
        picture = np.zeros((40_000, 64, 3), np.uint8)
        picture[-200:] = spot(64, 200, 30, 150)
        region = SquareRegion(x=30, y=39_950, side=50, angle=0.5)
        seen = middle(region.cut(picture, 224, repeat_edge=True))
        assert np.abs(region.to_picture((seen + 0.5) / 224) - 0.5 - (30, 39_950)).max() < 0.15


points = st.tuples(st.floats(-500, 500), st.floats(-500, 500)).map(np.array)


class TestTurns:
    @unhurried
    @given(points, points, st.sampled_from([0, 90, -90, 180, 37]))
    def test_in_the_turned_region_the_vector_points_where_it_should(
        self, start: NDArray[np.float64], end: NDArray[np.float64], target: int
    ) -> None:
        assume(np.linalg.norm(end - start) > 1e-3)
        region = SquareRegion(0, 0, 2, angle_to(start, end, target))
        up = math.radians(target)
        seen = region.to_picture(np.array([0.5 + math.cos(up) / 2, 0.5 - math.sin(up) / 2]))
        assert np.allclose(seen, (end - start) / np.linalg.norm(end - start), atol=1e-6)

    @unhurried
    @given(points, points)
    def test_it_is_at_most_half_a_turn(self, start: NDArray[np.float64], end: NDArray[np.float64]) -> None:
        assert abs(angle_to(start, end, 90)) <= math.pi


class TestRectangles:
    @unhurried
    @given(st.lists(points, min_size=1, max_size=20), st.floats(-math.pi, math.pi))
    def test_the_bounding_rectangle_holds_all_points_and_is_no_larger(
        self, of: list[NDArray[np.float64]], angle: float
    ) -> None:
        (x, y), size = bounding_rectangle(np.array(of), angle)
        cos, sin = math.cos(angle), math.sin(angle)
        along = np.array([[cos, sin], [-sin, cos]]) @ (np.array(of) - (x, y)).T  # in the rectangle's own axes
        assert np.allclose(along.max(axis=1), size / 2, atol=1e-6)
        assert np.allclose(along.min(axis=1), -size / 2, atol=1e-6)

    def test_opencv_s_corners_of_a_turned_rectangle_give_that_rectangle(self) -> None:
        corners = cv2.boxPoints(((50.0, 40.0), (30.0, 10.0), 25.0))
        (x, y), size = bounding_rectangle(corners.astype(np.float64), math.radians(25))
        assert np.allclose((x, y), (50, 40), atol=1e-3)
        assert np.allclose(size, (30, 10), atol=1e-3)

    def test_a_region_is_a_square_on_the_longer_side_shifted_along_its_own_axis(self) -> None:
        rectangle = np.array([100.0, 80.0]), np.array([40.0, 20.0])
        assert region_round(rectangle, 0.0, 2.0, -0.1) == SquareRegion(100, 78, 80, 0.0)
        turned = region_round(rectangle, math.pi / 2, 2.0, -0.1)  # up is to the right now
        assert np.allclose((turned.x, turned.y, turned.side), (102, 80, 80))
