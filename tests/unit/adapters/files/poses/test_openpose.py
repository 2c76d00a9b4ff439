"""OpenPose's JSON: there and back, and what is no such file."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adapters.files.poses.openpose import CocoError, document, person_fields, read_people
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS

INDEX = {keypoint.name: keypoint.index for keypoint in KEYPOINTS}
POINTS = arrays(np.float64, (KEYPOINT_COUNT, 2), elements=st.floats(-100, 10_000))
SCORES = arrays(np.float64, KEYPOINT_COUNT, elements=st.sampled_from([0.0, 0.25, 1.0]))


@given(keypoints=POINTS, scores=SCORES)
def test_a_person_comes_back(keypoints: Any, scores: Any) -> None:
    (read,) = read_people(document([person_fields(keypoints, scores, number=3)]))

    there = scores > 0
    np.testing.assert_allclose(read[there, :2], keypoints[there], atol=0.0006)
    np.testing.assert_array_equal(read[:, 2], scores)
    assert (read[~there] == 0).all()


def test_the_neck_lacks_without_a_shoulder() -> None:
    scores = np.ones(KEYPOINT_COUNT)
    scores[INDEX["left_shoulder"]] = 0

    fields = person_fields(np.full((KEYPOINT_COUNT, 2), 50.0), scores, number=-1)

    assert fields["pose_keypoints_2d"][3:6] == [0, 0, 0]
    assert fields["pose_keypoints_2d"][24:27] == [50, 50, 1], "the mid hip is there"


def test_bodies_of_18_points_are_known() -> None:
    numbers = [float(number) for number in range(1, 55)]

    (person,) = read_people({"people": [{"pose_keypoints_2d": numbers}]})

    assert person[INDEX["right_hip"]].tolist() == [25, 26, 27]
    assert person[INDEX["left_ear"]].tolist() == [52, 53, 54]
    assert np.count_nonzero(person[:, 2]) == 17


def test_groups_may_lack_or_be_empty_or_null() -> None:
    (person,) = read_people({"people": [{"face_keypoints_2d": [], "hand_left_keypoints_2d": None}]})

    assert not person.any()


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "It is no JSON of OpenPose"),
        ({"images": []}, "people: Field required"),
        ({"people": [{"pose_keypoints_2d": [1.0] * 51}]}, "has 51 numbers; 75 or 54 are needed"),
        ({"people": [{"pose_keypoints_2d": ["x"]}]}, r"people\.0\.pose_keypoints_2d\.0"),
        ({"people": [{"face_keypoints_2d": [float("nan")] * 210}]}, "finite"),
    ],
)
def test_what_is_no_such_file_is_refused(document: object, sentence: str) -> None:
    with pytest.raises(CocoError, match=sentence):
        read_people(document)
