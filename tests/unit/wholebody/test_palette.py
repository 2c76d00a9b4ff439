"""The palette: sides and fingers that can be told apart, also by people who see colours otherwise."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from wholebody.bone_trees import Tree
from wholebody.palette import BOX_COLOUR, Side, bone_colour, keypoint_colour, side, tree_colour
from wholebody.schema import (
    FACE_START,
    KEYPOINTS,
    LEFT_HAND_START,
    PART_RANGES,
    RIGHT_HAND_START,
    SKELETON,
    Part,
    keypoint_index,
)

# Machado, Oliveira, Fernandes: "A physiologically-based model for simulation of color vision deficiency", 2009, for
# severity 1.0; applied to linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
RED_GREEN_BLIND = ("protanopia", "deuteranopia")
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = TO_XYZ.sum(axis=1)  # D65


def lab(colour: str, vision: str = "normal") -> NDArray[np.float64]:
    """A colour as CIELAB (L*, a*, b*), as somebody with this vision sees it."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(VISIONS[vision] @ linear, 0, 1) / WHITE
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(a: str, b: str, vision: str = "normal") -> float:
    """CIE 1976 difference of two colours; 2 is just to be noticed."""
    return float(np.linalg.norm(lab(a, vision) - lab(b, vision)))


def fingers(start: int) -> list[str]:
    """Colours from thumb to little finger of the hand that starts here."""
    return [keypoint_colour(start + 1 + 4 * finger) for finger in range(5)]


def index(name: str) -> int:
    found = keypoint_index(name)
    assert found is not None
    return found


def test_the_distance_is_that_of_cielab() -> None:
    assert lab("#ff0000") == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert distance("#ffffff", "#000000") == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize("vision", VISIONS)
def test_left_and_right_of_a_keypoint_look_different(vision: str) -> None:
    for keypoint in KEYPOINTS:
        if keypoint.twin != keypoint.index:
            assert distance(keypoint_colour(keypoint.index), keypoint_colour(keypoint.twin), vision) > 55


@pytest.mark.parametrize("vision", ["normal", *RED_GREEN_BLIND])
def test_left_is_warm_and_right_is_cold(vision: str) -> None:
    for keypoint in KEYPOINTS:
        yellow_or_blue = lab(keypoint_colour(keypoint.index), vision)[2]
        if side(keypoint.index) is Side.LEFT:
            assert yellow_or_blue > 15, keypoint.name
        if side(keypoint.index) is Side.RIGHT:
            assert yellow_or_blue < -8, keypoint.name


@pytest.mark.parametrize("start", [LEFT_HAND_START, RIGHT_HAND_START])
def test_every_finger_has_a_shade_of_its_own(start: int) -> None:
    for finger in range(5):
        joints = {keypoint_colour(start + 1 + 4 * finger + joint) for joint in range(4)}
        assert joints == {fingers(start)[finger]}
    assert min(distance(a, b) for a, b in combinations(fingers(start), 2)) > 25
    assert min(distance(a, b) for a, b in pairwise(fingers(start))) > 30


@pytest.mark.parametrize("vision", RED_GREEN_BLIND)
@pytest.mark.parametrize("start", [LEFT_HAND_START, RIGHT_HAND_START])
def test_neighbouring_fingers_differ_for_the_colour_blind_too(start: int, vision: str) -> None:
    assert min(distance(a, b, vision) for a, b in pairwise(fingers(start))) > 20


def test_no_finger_looks_like_one_of_the_other_hand() -> None:
    for vision in VISIONS:
        for left in fingers(LEFT_HAND_START):
            assert min(distance(left, right, vision) for right in fingers(RIGHT_HAND_START)) > 35


def test_every_colour_is_seen_on_its_dark_outline() -> None:
    for keypoint in KEYPOINTS:
        assert lab(keypoint_colour(keypoint.index))[0] > 38, keypoint.name


def test_a_face_is_light() -> None:
    for at in PART_RANGES[Part.FACE]:
        assert lab(keypoint_colour(at))[0] > 70


def test_every_name_can_be_read_on_white() -> None:
    """Label Studio's region panel writes names in the colours of their labels."""
    colours = {keypoint_colour(keypoint.index) for keypoint in KEYPOINTS}
    for colour in (*colours, *map(tree_colour, Tree), BOX_COLOUR):
        luminance = ((lab(colour)[0] + 16) / 116) ** 3
        assert 1.05 / (luminance + 0.05) > 1.45, colour


def test_the_persons_left_half_of_the_face_is_left() -> None:
    # 300-W numbers the face from the person's right to their left: jaw 0 to 16, eyes 36 to 47.
    assert {side(FACE_START + i) for i in (16, *range(22, 27), *range(42, 48), 54)} == {Side.LEFT}
    assert {side(FACE_START + i) for i in (0, *range(17, 22), *range(36, 42), 48)} == {Side.RIGHT}
    assert {side(FACE_START + i) for i in (8, *range(27, 31), 33, 51, 57, 62, 66)} == {Side.MIDDLE}


def test_twins_lie_on_opposite_sides() -> None:
    for keypoint in KEYPOINTS:
        sides = {side(keypoint.index), side(keypoint.twin)}
        assert sides == ({Side.MIDDLE} if keypoint.twin == keypoint.index else {Side.LEFT, Side.RIGHT})


def test_a_bone_has_the_colour_of_its_outer_end() -> None:
    for inner, outer in (
        ("left_wrist_0", "left_index_5"),
        ("left_shoulder", "left_elbow"),
        ("right_ankle", "right_heel"),
        ("nose", "right_eye"),
    ):
        wanted = keypoint_colour(index(outer))
        assert bone_colour((index(inner), index(outer))) == wanted
        assert bone_colour((index(outer), index(inner))) == wanted


def test_a_bone_between_the_sides_has_the_colour_of_neither() -> None:
    middle = keypoint_colour(index("nose"))

    assert bone_colour((index("left_hip"), index("right_hip"))) == middle
    assert bone_colour((index("right_shoulder"), index("left_shoulder"))) == middle


def test_a_bone_with_an_outer_end_on_one_side_is_warm_or_cold() -> None:
    for bone in SKELETON:
        if {side(end) for end in bone} != {Side.LEFT, Side.RIGHT}:
            yellow_or_blue = lab(bone_colour(bone))[2]
            if side(max(bone)) is Side.LEFT:
                assert yellow_or_blue > 15, bone
            if side(max(bone)) is Side.RIGHT:
                assert yellow_or_blue < -8, bone


def test_trees_of_a_hand_are_warm_and_cold_and_look_like_no_other_tree() -> None:
    assert lab(tree_colour(Tree.LEFT_HAND))[2] > 15
    assert lab(tree_colour(Tree.RIGHT_HAND))[2] < -8
    together = (Tree.BODY, Tree.FEET, Tree.LEFT_HAND, Tree.RIGHT_HAND, Tree.FACE)
    for a, b in combinations(together, 2):
        assert distance(tree_colour(a), tree_colour(b)) > 25, (a, b)


def test_the_box_is_grey_so_that_it_is_of_no_side() -> None:
    assert abs(lab(BOX_COLOUR)[1:]).max() < 2
