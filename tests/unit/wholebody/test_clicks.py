"""Clicks on parts: how large the part is there, and whether a find lies at the click."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wholebody.clicks import FOREARMS_PER_BOX, Click, boxes_at, distance_to_points, part_at
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT

PICTURE = (400, 300)
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW, LEFT_WRIST, RIGHT_WRIST = range(5, 11)


def person(
    joints: dict[int, tuple[float, float]], score: float = 0.9, box: tuple[float, ...] = (0, 0, 300, 400)
) -> Person:
    """A person of whom only these keypoints are seen; the box's diagonal is 500 pixels."""
    keypoints, scores = np.zeros((KEYPOINT_COUNT, 2), np.float32), np.zeros(KEYPOINT_COUNT, np.float32)
    for index, place in joints.items():
        keypoints[index], scores[index] = place, score
    return Person(np.array(box, np.float32), 0.9, keypoints, scores)


def click(
    on: Person | None = None, reach: float | None = None, at: tuple[float, float] = (100, 100)
) -> Click:
    return Click.on(at, on, reach, PICTURE)


class TestHowLargeThePartIs:
    @pytest.mark.parametrize(
        ("joints", "forearm"),
        [
            ({LEFT_ELBOW: (50, 50), LEFT_WRIST: (50, 110)}, 60),
            ({LEFT_ELBOW: (50, 50), LEFT_WRIST: (50, 60), RIGHT_ELBOW: (90, 50), RIGHT_WRIST: (90, 90)}, 40),
            ({RIGHT_SHOULDER: (50, 50), RIGHT_ELBOW: (50, 150)}, 90),
            ({LEFT_SHOULDER: (50, 50), RIGHT_SHOULDER: (150, 50)}, 70),
            ({0: (100, 110), 1: (110, 100), 2: (90, 100), 3: (120, 105), 4: (80, 105)}, 60),
        ],
        ids=["forearm", "longer forearm", "upper arm", "shoulders", "head"],
    )
    def test_told_by_what_is_seen_of_the_person(
        self, joints: dict[int, tuple[float, float]], forearm: float
    ) -> None:
        seen = click(person(joints))
        assert seen.forearm == pytest.approx(forearm)
        assert seen.size_known

    @pytest.mark.parametrize(
        "nobody",
        [
            person({}),
            person({LEFT_ELBOW: (50, 50), LEFT_WRIST: (50, 110)}, score=0.49),
            person({LEFT_ELBOW: (50, 50), LEFT_WRIST: (50, 51)}),
            person({LEFT_ELBOW: (50, math.nan), LEFT_WRIST: (50, 110)}),
            person({0: (100, 110), 1: (110, 100)}),
        ],
        ids=["nothing seen", "not sure", "too short", "no number", "two points of a head"],
    )
    def test_guessed_from_the_box_where_too_little_is_seen(self, nobody: Person) -> None:
        assert click(nobody).forearm == pytest.approx(FOREARMS_PER_BOX * 500)
        assert not click(nobody).size_known

    def test_guessed_from_the_picture_where_nobody_is(self) -> None:
        assert click().forearm == pytest.approx(0.4 * 300)
        assert not click().size_known

    def test_known_where_a_rectangle_was_drawn(self) -> None:
        assert click(reach=20).size_known
        assert click(reach=20).reach == 20

    def test_never_nothing(self) -> None:
        tiny = person({}, box=(10, 10, 10.001, 10.001))
        assert click(tiny, reach=0).forearm > 0
        assert (click(tiny, reach=0).reach or 0) > 0

    def test_no_arm_is_longer_than_its_person(self) -> None:
        far = person({LEFT_ELBOW: (0, 0), LEFT_WRIST: (0, 9000)})
        assert click(far).forearm == pytest.approx(500)


SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10], [5, 5]], np.float64)


class TestWhetherAFindLiesAtTheClick:
    @pytest.mark.parametrize(
        ("at", "distance"), [((5, 5), 0), ((2, 8), 0), ((10, 5), 0), ((13, 5), 3), ((13, 14), 5)]
    )
    def test_distance_is_from_the_outline(self, at: tuple[float, float], distance: float) -> None:
        assert distance_to_points(SQUARE, np.array(at)) == pytest.approx(distance)

    def test_points_in_one_place_have_a_distance_too(self) -> None:
        assert distance_to_points(np.full((21, 2), 7.0), np.array((10.0, 11.0))) == pytest.approx(5)

    def test_points_that_are_no_numbers_lie_nowhere(self) -> None:
        assert distance_to_points(np.full((21, 2), math.nan), np.array((10.0, 11.0))) == math.inf


def holds(box: NDArray[np.floating[Any]], at: tuple[float, float], margin: float) -> bool:
    x1, y1, x2, y2 = box
    return bool(
        x1 <= at[0] - margin and y1 <= at[1] - margin and at[0] + margin <= x2 and at[1] + margin <= y2
    )


class TestBoxesForANetworkThatKnowsWholePeople:
    def test_the_person_s_own_grown_to_the_part_and_one_round_the_click(self) -> None:
        someone = person({LEFT_ELBOW: (50, 50), LEFT_WRIST: (50, 100)}, box=(20, 20, 90, 200))
        own, near = boxes_at(click(someone, at=(100, 30)))
        assert own.tolist() == [20, 0, 130, 200]
        assert near.tolist() == [10, -60, 190, 120]

    @pytest.mark.parametrize("reach", [None, 20.0])
    def test_both_round_the_click_where_nobody_is(self, reach: float | None) -> None:
        wide, near = boxes_at(click(reach=reach))
        margin = reach or 50
        assert holds(near, (100, 100), 2 * margin)
        assert holds(wide, (100, 100), 4 * margin)

    def test_of_a_drawn_rectangle_as_large_as_it_says(self) -> None:
        assert boxes_at(click(person({}), reach=10))[1].tolist() == [70, 70, 130, 130]


def find(score: float, shift: float = 0.0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    points = (SQUARE * 4 + 80 + (shift, 0)).astype(np.float32)  # round the click, 40 pixels wide
    return points, np.full(len(points), score, np.float32)


class TestPartsThatANetworkForWholePeopleFound:
    def test_the_likeliest_is_taken(self) -> None:
        poor, good = find(0.4), find(0.8)
        assert part_at(click(), [poor, good]) is good

    def test_none_that_is_doubtful(self) -> None:
        assert part_at(click(), [find(0.3)])
        assert part_at(click(), [find(0.29), find(math.nan)]) is None

    def test_none_that_lies_elsewhere(self) -> None:
        at_click = find(0.5, shift=29)
        assert part_at(click(), [find(0.9, shift=31), at_click]) is at_click
        assert part_at(click(), [find(0.9, shift=31)]) is None
