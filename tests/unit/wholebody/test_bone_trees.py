"""The skeleton as trees: one parent for each keypoint, whichever keypoints were found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wholebody.bone_trees import LINES, Line, Tree, grown
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS, SKELETON, keypoint_index


def line(name: str) -> Line:
    return next(line for line in LINES if line.name == name)


def bones(name: str, *missing: str) -> list[set[tuple[str, str]]]:
    """The bones of each tree, as child and parent, where some keypoints were not found."""
    found = set(range(KEYPOINT_COUNT)) - {keypoint_index(one) or 0 for one in missing}
    return [
        {
            (KEYPOINTS[vertex.index].name, KEYPOINTS[vertex.parent].name)
            for vertex in tree
            if vertex.parent is not None
        }
        for tree in grown(line(name), found)
    ]


def test_lines_consist_of_the_skeletons_bones_and_leave_none_out() -> None:
    drawn = {frozenset(bone) for one in LINES for bone in one.bones}

    assert drawn == {frozenset(bone) for bone in SKELETON}


def test_only_what_is_part_of_the_body_repeats_bones() -> None:
    parts = {Tree.UPPER_BODY, Tree.BODY_WITHOUT_FEET, Tree.FEET}
    without = [bone for one in LINES if one.tree not in parts for bone in one.bones]

    assert len(without) == len(set(without)) == len(SKELETON)
    assert set(line("upper_body").bones) < set(line("body_without_feet").bones) < set(line("body").bones)


def test_the_body_is_one_without_feet_and_two_feet() -> None:
    names = ("body_without_feet", "left_foot", "right_foot")

    assert sorted(bone for name in names for bone in line(name).bones) == sorted(line("body").bones)


@pytest.mark.parametrize("one", LINES, ids=lambda one: one.name)
def test_a_line_whose_keypoints_were_all_found_is_one_tree(one: Line) -> None:
    assert len(grown(one, range(KEYPOINT_COUNT))) == 1


def test_the_trunk_is_two_sides_under_the_shoulders() -> None:
    (body,) = bones("body")

    assert ("left_hip", "left_shoulder") in body
    assert ("right_hip", "right_shoulder") in body
    assert ("right_hip", "left_hip") not in body


def test_hips_are_joined_across_where_a_shoulder_is_missing() -> None:
    body = set[tuple[str, str]]().union(*bones("body", "left_shoulder"))

    assert ("left_hip", "right_hip") in body or ("right_hip", "left_hip") in body


def test_what_a_missing_wrist_separates_is_two_trees_and_a_lone_point_none() -> None:
    assert bones("left_hand", "left_thumb_2") == [
        {
            ("left_thumb_1", "left_wrist_0"),
            *(
                (f"left_{finger}_{n}", "left_wrist_0" if n == first else f"left_{finger}_{n - 1}")
                for finger, first in (("index", 5), ("middle", 9), ("ring", 13), ("little", 17))
                for n in range(first, first + 4)
            ),
        },
        {("left_thumb_4", "left_thumb_3")},
    ]
    assert bones("left_hand", "left_thumb_1", "left_thumb_3") == bones(
        "left_hand", "left_thumb_1", "left_thumb_2", "left_thumb_3", "left_thumb_4"
    )


def test_nothing_found_is_no_tree() -> None:
    assert [grown(one, ()) for one in LINES] == [[]] * len(LINES)


@given(found=st.sets(st.integers(0, KEYPOINT_COUNT - 1)), one=st.sampled_from(LINES))
def test_whatever_was_found_trees_hold_all_that_hangs_together_once(found: set[int], one: Line) -> None:
    trees = grown(one, found)

    drawn = [vertex.index for tree in trees for vertex in tree]
    assert sorted(drawn) == sorted({end for bone in one.bones if set(bone) <= found for end in bone})
    for tree in trees:
        assert tree[0].parent is None
        for number, vertex in enumerate(tree[1:], 1):
            assert vertex.parent in {before.index for before in tree[:number]}
            assert (vertex.parent, vertex.index) in one.bones or (vertex.index, vertex.parent) in one.bones
    part_of = {vertex.index: number for number, tree in enumerate(trees) for vertex in tree}
    assert all(part_of[a] == part_of[b] for a, b in one.bones if {a, b} <= found)
