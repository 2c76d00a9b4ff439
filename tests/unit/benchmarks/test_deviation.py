"""The arithmetic of the accuracy table: who is compared with whom, how far their keypoints moved, who is missing."""

import numpy as np
import pytest

from benchmarks.deviation import Spread, deviation
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT, PART_RANGES, Part

WIDTH, HEIGHT, DIAGONAL = 300.0, 400.0, 500.0
NOSE = 0
LEFT_HAND = list(PART_RANGES[Part.LEFT_HAND])


def person(x: float = 0.0, y: float = 0.0) -> Person:
    """Somebody whose 133 keypoints lie spread over their box, each with a score of 0.9."""
    across, down = np.arange(KEYPOINT_COUNT) % 12, np.arange(KEYPOINT_COUNT) // 12
    places = np.column_stack([x + 20 + 20 * across, y + 20 + 30 * down])
    box = np.array([x, y, x + WIDTH, y + HEIGHT], np.float32)
    return Person(box, 0.8, places.astype(np.float32), np.full(KEYPOINT_COUNT, 0.9, np.float32))


def moved(one: Person, keypoints: int | list[int] | slice, x: float, y: float) -> Person:
    places = one.keypoints.copy()
    places[keypoints] += np.array([x, y], np.float32)
    return Person(one.box, one.box_score, places, one.scores)


def scored(one: Person, keypoints: int | list[int] | slice, score: float) -> Person:
    scores = one.scores.copy()
    scores[keypoints] = score
    return Person(one.box, one.box_score, one.keypoints, scores)


def test_the_same_people_do_not_deviate() -> None:
    pictures = [[person(), person(1000)], []]

    found = deviation(pictures, pictures)

    assert (found.people, found.missed, found.invented) == (2, 0, 0)
    assert found.lost == found.gained == found.not_found == 0
    assert found.keypoints == 2 * KEYPOINT_COUNT
    assert found.pixels == found.share == Spread(0, 0, 0)
    assert found.oks_mean == found.oks_worst == 1
    assert found.ap == {"wholebody": pytest.approx(1), **dict.fromkeys(map(str, Part), pytest.approx(1))}


def test_shifts_are_in_pixels_and_in_diagonals_of_the_box() -> None:
    theirs = moved(person(500, 600), slice(None), 3, 4)
    wider = Person(theirs.box + np.array([0, 0, 60, 0], np.float32), 0.8, theirs.keypoints, theirs.scores)

    found = deviation([[person(500, 600)]], [[wider]])  # the box is the reference's

    assert found.pixels == Spread(*[pytest.approx(5)] * 3)
    assert found.share == Spread(*[pytest.approx(5 / DIAGONAL)] * 3)


def test_the_median_forgives_a_single_keypoint_and_the_largest_shift_does_not() -> None:
    found = deviation([[person()]], [[moved(person(), NOSE, 0, 50)]])

    assert found.pixels == Spread(0, 0, pytest.approx(50))


def test_a_share_is_of_ones_own_box() -> None:
    small = person()
    small = Person(small.box / 2, 0.8, small.keypoints / 2, small.scores)
    expected = [[person()], [small]]

    found = deviation(expected, [[moved(one, slice(None), 3, 4) for one in people] for people in expected])

    assert found.pixels == Spread(*[pytest.approx(5)] * 3)
    assert found.share is not None
    assert found.share.largest == pytest.approx(5 / (DIAGONAL / 2))
    assert found.share.median == pytest.approx(1.5 * 5 / DIAGONAL)  # half of the keypoints at 1, half at 2


def test_somebody_who_was_not_found_is_missed_and_not_compared() -> None:
    found = deviation([[person(), person(1000)]], [[person(1000)]])

    assert (found.people, found.missed, found.invented) == (1, 1, 0)
    assert found.oks_worst == 1
    assert found.ap["wholebody"] == pytest.approx(0.5, abs=0.01)


def test_somebody_whom_the_reference_does_not_have_is_invented() -> None:
    found = deviation([[person()], []], [[person(), person(1000)], [person()]])

    assert (found.people, found.missed, found.invented) == (1, 0, 2)


def test_a_box_somewhere_else_is_another_person() -> None:
    found = deviation([[person()]], [[person(WIDTH / 2)]])  # a third of both boxes is common

    assert (found.people, found.missed, found.invented) == (0, 1, 1)
    assert found.pixels is found.share is found.oks_mean is found.oks_worst is found.worst is None


def test_a_person_is_one_person_only() -> None:
    found = deviation([[person()]], [[person(5), person()]])

    assert (found.people, found.missed, found.invented) == (1, 0, 1)
    assert found.pixels == Spread(0, 0, 0)


def test_the_order_of_people_does_not_matter() -> None:
    expected = [[person(), person(100), person(1000)]]

    assert deviation(expected, [expected[0][::-1]]).pixels == Spread(0, 0, 0)


def test_keypoints_that_the_reference_is_unsure_of_do_not_count() -> None:
    head = list(range(5))
    unsure = scored(person(), head, 0.29)

    found = deviation([[unsure]], [[moved(person(), head, 200, 0)]])

    assert (found.keypoints, found.lost, found.gained) == (KEYPOINT_COUNT - 5, 0, 5)
    assert found.pixels == Spread(0, 0, 0)
    assert found.ap["body"] == pytest.approx(1)


def test_keypoints_that_became_unsure_are_lost_and_their_shifts_count() -> None:
    unsure = scored(moved(person(), NOSE, 200, 0), NOSE, 0.1)

    found = deviation([[person()]], [[unsure]])

    assert (found.lost, found.gained, found.not_found) == (1, 0, 0)
    assert found.pixels is not None
    assert found.pixels.largest == pytest.approx(200)


def test_a_hand_that_was_not_found_has_no_shift_but_lowers_oks_and_the_precision_of_hands() -> None:
    without = scored(moved(person(), LEFT_HAND, -9999, 0), LEFT_HAND, 0)

    found = deviation([[person()]], [[without]])

    assert found.not_found == found.lost == len(LEFT_HAND)
    assert found.pixels == Spread(0, 0, 0)
    assert found.oks_mean == pytest.approx(1 - len(LEFT_HAND) / KEYPOINT_COUNT)
    assert found.ap["left_hand"] == 0
    assert found.ap["right_hand"] == pytest.approx(1)


def test_a_hand_that_the_reference_does_not_have_counts_nowhere() -> None:
    without = scored(person(), LEFT_HAND, 0)

    found = deviation([[without]], [[person()]])

    assert found.keypoints == KEYPOINT_COUNT - len(LEFT_HAND)
    assert found.oks_mean == 1
    assert found.ap["left_hand"] is None


def test_shifts_can_be_those_of_some_keypoints() -> None:
    counted = np.isin(np.arange(KEYPOINT_COUNT), LEFT_HAND)

    found = deviation([[person()]], [[moved(person(), NOSE, 200, 0)]], counted)

    assert found.keypoints == len(LEFT_HAND)
    assert found.pixels == Spread(0, 0, 0)
    assert found.oks_worst == 1
    assert found.whole_oks_worst == pytest.approx(1 - 1 / KEYPOINT_COUNT)  # the nose is nowhere near
    assert found.ap["body"] != pytest.approx(1)  # this is of all of them


def test_the_worst_person_is_named_with_the_one_they_became() -> None:
    expected = [[person()], [person(), person(1000)]]
    found = [[person()], [moved(person(1000), slice(None), 30, 0), person()]]

    assert deviation(expected, found).worst == (1, 1, 0)
