"""People drawn over their picture."""

import numpy as np

from adapters.overlay import draw_people
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT

PICTURE = np.full((200, 200, 3), 255, np.uint8)


def person(scores: np.ndarray) -> Person:
    keypoints = np.zeros((KEYPOINT_COUNT, 2), np.float32)
    keypoints[0] = 100, 100  # the nose; the others were not found
    return Person(np.array([50, 50, 150, 150], np.float32), 1.0, keypoints, scores)


def test_keypoints_that_were_not_found_are_not_drawn_whatever_the_threshold() -> None:
    scores = np.zeros(KEYPOINT_COUNT, np.float32)
    scores[0] = 0.9
    drawn = (draw_people(PICTURE, [person(scores)], 0.0) != PICTURE).any(axis=2)

    assert drawn[100, 100]
    assert not drawn[:45, :45].any(), "nothing at 0, 0"


def test_keypoints_below_the_threshold_are_not_drawn_but_their_box_is() -> None:
    scores = np.full(KEYPOINT_COUNT, 0.2, np.float32)
    drawn = (draw_people(PICTURE, [person(scores)], 0.3) != PICTURE).any(axis=2)

    assert drawn[50, 60]
    assert not drawn[55:145, 55:145].any()
    assert not drawn[:45, :45].any()


def test_the_picture_itself_stays_as_it_is() -> None:
    before = PICTURE.copy()
    draw_people(PICTURE, [person(np.ones(KEYPOINT_COUNT, np.float32))], 0.3)

    assert np.array_equal(PICTURE, before)
