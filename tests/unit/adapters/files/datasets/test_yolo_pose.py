"""The split of a YOLO data set, and what lies outside of a picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.files.datasets.yolo_pose import label_text, validation_tasks
from adapters.label_studio.annotations.people import AnnotatedPerson, AnnotatedPicture
from wholebody.schema import KEYPOINT_COUNT


class TestValidationTasks:
    @given(tasks=st.sets(st.integers(1, 10**6), max_size=50), share=st.floats(0, 0.9))
    def test_leave_something_on_both_sides(self, tasks: set[int], share: float) -> None:
        chosen = validation_tasks(tasks, share)

        assert chosen <= tasks
        if len(tasks) > 1:
            assert 0 < len(chosen) < len(tasks)

    def test_are_about_the_share(self) -> None:
        assert 150 < len(validation_tasks(range(1000), 0.2)) < 250

    def test_stay_when_tasks_are_added(self) -> None:
        before, after = validation_tasks(range(500), 0.2), validation_tasks(range(1000), 0.2)

        assert after & set(range(500)) == before


def test_a_keypoint_outside_is_not_annotated() -> None:
    keypoints = np.full((KEYPOINT_COUNT, 2), 50.0)
    keypoints[3] = -4, 20
    visibility = np.full(KEYPOINT_COUNT, 2, np.uint8)
    person = AnnotatedPerson("p0", np.array([10.0, 10, 90, 90]), keypoints, visibility, 1.0)

    text, outside = label_text(AnnotatedPicture("image", None, (200, 100), (person,)))

    rows = np.array([float(number) for number in text.split()[5:]]).reshape(-1, 3)
    assert outside == 1
    assert rows[3].tolist() == [0, 0, 0]
    assert rows[4].tolist() == [0.25, 0.5, 2]
    assert visibility[3] == 2, "the person is unchanged"


@pytest.mark.parametrize("size", [(0, 0), (100, 100)])
def test_a_picture_without_people_has_an_empty_file(size: tuple[int, int]) -> None:
    assert label_text(AnnotatedPicture("image", None, size, ())) == ("", 0)
