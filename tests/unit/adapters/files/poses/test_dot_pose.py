"""`.pose` files are read from each header that has our keypoints; damaged ones end with a sentence."""

import contextlib
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions
from pose_format.utils.alphapose_133 import get_alphapose_133_components
from pose_format.utils.cocowholebody133_header import cocowholebody_components

from adapters.coco.reading import CocoError
from adapters.files.clips.opening import open_writer
from adapters.files.clips.visible import visible
from adapters.files.clips.writer import ClipFormat
from adapters.files.poses.dot_pose import read_dot_pose
from tests.support.posed_clips import CLIP, frames, posed
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # an invalid escape sequence of pose-format 0.15
    from pose_format.utils.openpose import OpenPose_Components

INDEX = {keypoint.name: keypoint.index for keypoint in KEYPOINTS}


def written(folder: Path, components: list[Any]) -> tuple[Path, Any]:
    """A clip of two frames and one person, whose points are numbered."""
    count = sum(len(component.points) for component in components)
    data = np.arange(2 * count * 2, dtype=np.float32).reshape(2, 1, count, 2)
    header = PoseHeader(0.2, PoseHeaderDimensions(640, 480), components)
    body = NumPyPoseBody(30, data, np.full((2, 1, count), 0.5, np.float32))
    with (folder / "clip.pose").open("wb") as file:
        Pose(header, body).write(file)
    return folder / "clip.pose", data


@pytest.mark.parametrize("components", [cocowholebody_components(), get_alphapose_133_components()])
def test_all_133_points_are_read(tmp_path: Path, components: list[Any]) -> None:
    path, data = written(tmp_path, components)

    first, second = read_dot_pose(path).values()

    assert (first.frame, second.frame, first.size) == (0, 1, (640, 480))
    np.testing.assert_array_equal(second.people[0].keypoints, data[1, 0])
    assert (second.people[0].visibility == 0.5).all()


def test_points_of_openpose_are_read_by_name(tmp_path: Path) -> None:
    path, data = written(tmp_path, OpenPose_Components)
    names = [f"{one.name} {point}" for one in OpenPose_Components for point in one.points]

    person = next(iter(read_dot_pose(path).values())).people[0]

    for theirs, ours in {
        "pose_keypoints_2d Nose": "nose",
        "pose_keypoints_2d LWrist": "left_wrist",
        "pose_keypoints_2d RSmallToe": "right_small_toe",
        "face_keypoints_2d FLI_67": "face_67",
        "hand_left_keypoints_2d BASE": "left_wrist_0",
        "hand_right_keypoints_2d P_DIP": "right_little_20",
    }.items():
        np.testing.assert_array_equal(person.keypoints[INDEX[ours]], data[0, 0, names.index(theirs)])
    assert (person.visibility > 0).all()


def test_what_a_clip_wrote_comes_back(tmp_path: Path) -> None:
    with open_writer(ClipFormat.POSE, tmp_path, CLIP) as writer:
        for frame in frames(3):
            writer.write(frame)

    pictures = list(read_dot_pose(writer.path).values())

    assert [len(one.people) for one in pictures] == [1, 0, 2]
    keypoints, scores = visible(posed(1, 2))
    np.testing.assert_array_equal(pictures[2].people[1].keypoints, keypoints)
    np.testing.assert_array_equal(pictures[2].people[1].visibility, scores)


def test_other_points_are_named(tmp_path: Path) -> None:
    path, _ = written(tmp_path, [PoseHeaderComponent("TAIL", ["tip", "root"], [(0, 1)], [(0, 0, 0)], "XYC")])

    with pytest.raises(CocoError, match=r"Its points are those of TAIL\. Known are COCO-WholeBody"):
        read_dot_pose(path)


def whole() -> bytes:
    header = PoseHeader(0.2, PoseHeaderDimensions(640, 480), cocowholebody_components())
    body = NumPyPoseBody(
        30, np.ones((2, 1, KEYPOINT_COUNT, 2), np.float32), np.ones((2, 1, KEYPOINT_COUNT), np.float32)
    )
    buffer = BytesIO()
    Pose(header, body).write(buffer)
    return buffer.getvalue()


WHOLE = whole()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=4)), max_size=4
    ),
    length=st.integers(0, len(WHOLE)),
)
def test_a_damaged_file_ends_with_a_sentence(
    tmp_path: Path, changes: list[tuple[int, bytes]], length: int
) -> None:
    damaged = bytearray(WHOLE)
    for place, data in changes:
        damaged[place : place + len(data)] = data
    path = tmp_path / "damaged.pose"
    path.write_bytes(damaged[:length])

    with contextlib.suppress(CocoError):
        read = read_dot_pose(path)
        assert all(np.isfinite(person.keypoints).all() for one in read.values() for person in one.people)
