"""The keypoint schema: COCO-WholeBody's 133 keypoints, and the names that label configs give them."""

import numpy as np
import pytest
from rtmlib.visualization.skeleton import coco133

from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS, PART_RANGES, SIGMAS, SKELETON, Part, keypoint_index

RTMLIB: list[dict[str, str]] = [coco133["keypoint_info"][i] for i in range(133)]
RTMLIB_INDEX = {point["name"]: i for i, point in enumerate(RTMLIB)}

# The labels of existing projects, in COCO-WholeBody order. Written out: they are in people's databases.
# fmt: off
ESTABLISHED = """
nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist
left_hip right_hip left_knee right_knee left_ankle right_ankle
left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel
face_0 face_1 face_2 face_3 face_4 face_5 face_6 face_7 face_8 face_9 face_10 face_11 face_12 face_13 face_14 face_15
face_16 face_17 face_18 face_19 face_20 face_21 face_22 face_23 face_24 face_25 face_26 face_27 face_28 face_29
face_30 face_31 face_32 face_33 face_34 face_35 face_36 face_37 face_38 face_39 face_40 face_41 face_42 face_43
face_44 face_45 face_46 face_47 face_48 face_49 face_50 face_51 face_52 face_53 face_54 face_55 face_56 face_57
face_58 face_59 face_60 face_61 face_62 face_63 face_64 face_65 face_66 face_67
left_wrist_0 left_thumb_1 left_thumb_2 left_thumb_3 left_thumb_4 left_index_5 left_index_6 left_index_7 left_index_8
left_middle_9 left_middle_10 left_middle_11 left_middle_12 left_ring_13 left_ring_14 left_ring_15 left_ring_16
left_little_17 left_little_18 left_little_19 left_little_20
right_wrist_0 right_thumb_1 right_thumb_2 right_thumb_3 right_thumb_4 right_index_5 right_index_6 right_index_7
right_index_8 right_middle_9 right_middle_10 right_middle_11 right_middle_12 right_ring_13 right_ring_14 right_ring_15
right_ring_16 right_little_17 right_little_18 right_little_19 right_little_20
"""

MEDIAPIPE_HAND = """
wrist thumb_cmc thumb_mcp thumb_ip thumb_tip index_finger_mcp index_finger_pip index_finger_dip index_finger_tip
middle_finger_mcp middle_finger_pip middle_finger_dip middle_finger_tip ring_finger_mcp ring_finger_pip
ring_finger_dip ring_finger_tip pinky_mcp pinky_pip pinky_dip pinky_tip
"""
# fmt: on


def test_there_are_133_keypoints_in_order() -> None:
    assert KEYPOINT_COUNT == 133
    assert [keypoint.index for keypoint in KEYPOINTS] == list(range(133))


def test_the_parts_follow_each_other_as_in_coco_wholebody() -> None:
    sizes = [(part, len(PART_RANGES[part])) for part in Part]
    assert sizes == [
        (Part.BODY, 17),
        (Part.FEET, 6),
        (Part.FACE, 68),
        (Part.LEFT_HAND, 21),
        (Part.RIGHT_HAND, 21),
    ]
    assert [index for part in Part for index in PART_RANGES[part]] == list(range(133))
    assert all(keypoint.index in PART_RANGES[keypoint.part] for keypoint in KEYPOINTS)


class TestTwins:
    def test_a_twin_is_what_rtmlib_swaps_when_a_picture_is_mirrored(self) -> None:
        # rtmlib leaves the swap of points on the midline empty.
        swaps = [RTMLIB_INDEX[point["swap"]] if point["swap"] else i for i, point in enumerate(RTMLIB)]
        assert [keypoint.twin for keypoint in KEYPOINTS] == swaps

    def test_twins_are_mutual_and_have_the_same_part_or_the_other_hand(self) -> None:
        other_hand = {Part.LEFT_HAND: Part.RIGHT_HAND, Part.RIGHT_HAND: Part.LEFT_HAND}
        for keypoint in KEYPOINTS:
            twin = KEYPOINTS[keypoint.twin]
            assert twin.twin == keypoint.index
            assert twin.part is other_hand.get(keypoint.part, keypoint.part)

    def test_the_twin_of_a_left_name_is_the_right_name(self) -> None:
        for keypoint in KEYPOINTS:
            if keypoint.name.startswith("left_"):
                assert KEYPOINTS[keypoint.twin].name == "right_" + keypoint.name.removeprefix("left_")


class TestNames:
    def test_our_names_are_those_of_existing_projects(self) -> None:
        assert [keypoint.name for keypoint in KEYPOINTS] == ESTABLISHED.split()

    @pytest.mark.parametrize("index", range(133), ids=[point["name"] for point in RTMLIB])
    def test_mmpose_s_names_are_understood(self, index: int) -> None:
        assert keypoint_index(RTMLIB[index]["name"]) == index

    @pytest.mark.parametrize(("side", "start"), [("left", 91), ("right", 112)])
    def test_numbered_and_mediapipe_s_hand_names_are_understood(self, side: str, start: int) -> None:
        for i, name in enumerate(MEDIAPIPE_HAND.split()):
            assert keypoint_index(f"{side}_hand_{i}") == start + i
            spelling = f"{side}_hand_wrist" if name == "wrist" else f"{side}_{name}"
            assert keypoint_index(spelling) == start + i

    @pytest.mark.parametrize("spelling", ["face_0", "face-0", "Face 0", "FACE.0", " face0 "])
    def test_case_and_separators_do_not_matter(self, spelling: str) -> None:
        assert keypoint_index(spelling) == 23

    def test_the_wrist_of_the_arm_is_not_the_wrist_of_the_hand(self) -> None:
        assert keypoint_index("left_wrist") == 9
        assert keypoint_index("left_wrist_0") == 91

    @pytest.mark.parametrize(
        "label", ["", "person", "face_68", "face_00", "left_hand_21", "left_thumb_5", "hand_0"]
    )
    def test_other_labels_mean_none_of_the_keypoints(self, label: str) -> None:
        assert keypoint_index(label) is None

    def test_no_spelling_means_two_keypoints(self) -> None:
        for keypoint in KEYPOINTS:
            for spelling in (keypoint.name, *keypoint.spellings):
                assert keypoint_index(spelling) == keypoint.index


class TestSkeleton:
    def test_each_edge_joins_two_keypoints_and_is_there_once(self) -> None:
        assert all(0 <= a < 133 and 0 <= b < 133 and a != b for a, b in SKELETON)
        assert len({frozenset(edge) for edge in SKELETON}) == len(SKELETON)

    def test_every_keypoint_is_on_a_line(self) -> None:
        assert {index for edge in SKELETON for index in edge} == set(range(133))

    def test_the_mirrored_skeleton_is_the_same(self) -> None:
        edges = {frozenset(edge) for edge in SKELETON}
        mirrored = {frozenset((KEYPOINTS[a].twin, KEYPOINTS[b].twin)) for a, b in SKELETON}
        assert mirrored == edges

    def test_it_has_rtmlib_s_bones_of_feet_hands_and_arms(self) -> None:
        ours = {frozenset(edge) for edge in SKELETON}
        theirs = {
            frozenset(RTMLIB_INDEX[name] for name in bone["link"])
            for bone in coco133["skeleton_info"].values()
        }
        torso = {frozenset((5, 11)), frozenset((6, 12)), frozenset((5, 6)), frozenset((11, 12))}
        assert torso <= theirs
        assert theirs <= ours

    @pytest.mark.parametrize("part", [Part.LEFT_HAND, Part.RIGHT_HAND])
    def test_a_hand_is_a_tree_of_five_fingers_that_starts_at_its_wrist(self, part: Part) -> None:
        points = PART_RANGES[part]
        bones = [edge for edge in SKELETON if edge[0] in points]
        assert len(bones) == 20
        assert all(edge[1] in points for edge in bones)
        assert sorted(end for _, end in bones) == list(points)[1:]


class TestSigmas:
    def test_they_are_positive_and_cannot_be_changed(self) -> None:
        assert SIGMAS.shape == (133,)
        assert np.all(SIGMAS > 0)
        with pytest.raises(ValueError, match="read-only"):
            SIGMAS[0] = 1

    def test_the_body_s_are_those_of_coco(self) -> None:
        # pycocotools, Params.setKpParams, in COCO's order.
        coco = [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87]
        assert np.allclose(SIGMAS[:17] * 10, [*coco, 0.89, 0.89])

    def test_they_are_those_of_the_table(self) -> None:
        assert [keypoint.sigma for keypoint in KEYPOINTS] == SIGMAS.tolist()

    def test_both_hands_have_the_same(self) -> None:
        assert np.array_equal(SIGMAS[91:112], SIGMAS[112:])


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("RShoulder", "right_shoulder"),
        ("LWrist", "left_wrist"),
        ("LBigToe", "left_big_toe"),
        ("RSmallToe", "right_small_toe"),
        ("REar", "right_ear"),
        ("ShoulderLeft", "left_shoulder"),
        ("hip_r", "right_hip"),
        ("linke Schulter", "left_shoulder"),
        ("rechtes Knie", "right_knee"),
        ("Linker Ellenbogen", "left_elbow"),
        ("Nase", "nose"),
        ("linke große Zehe", "left_big_toe"),
        ("rechte grosse Zehe", "right_big_toe"),
        ("LINKE HÜFTE", "left_hip"),
        ("left_pinky_tip", "left_little_20"),
    ],
)
def test_names_of_other_schemes_and_german_are_known(spelling: str, name: str) -> None:
    index = keypoint_index(spelling)
    assert index is not None
    assert KEYPOINTS[index].name == name


@pytest.mark.parametrize(
    "spelling", ["Neck", "MidHip", "left_foot_index", "left_pinky", "left", "mouth_left"]
)
def test_points_that_are_not_quite_ours_are_not(spelling: str) -> None:
    assert keypoint_index(spelling) is None
