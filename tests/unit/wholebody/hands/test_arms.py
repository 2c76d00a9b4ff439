"""Hands of arms: where they are searched, and which results are believed."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.hands import HAND, hand
from wholebody.geometry import SquareRegion
from wholebody.hands.arms import Arm, arms_to_search, believed
from wholebody.hands.landmarks import Hand
from wholebody.schema import Part

Floats = NDArray[np.float64]
PICTURE = (400, 300)

LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW, LEFT_WRIST, RIGHT_WRIST = range(5, 11)


def body(**joints: tuple[float, float, float]) -> tuple[Floats, Floats]:
    """A body of which only the named joints are seen, each x, y and score: (17, 2) and (17,)."""
    names = {
        "left_shoulder": LEFT_SHOULDER,
        "right_shoulder": RIGHT_SHOULDER,
        "left_elbow": LEFT_ELBOW,
        "right_elbow": RIGHT_ELBOW,
        "left_wrist": LEFT_WRIST,
        "right_wrist": RIGHT_WRIST,
    }
    at, scores = np.zeros((17, 2)), np.zeros(17)
    for name, (x, y, score) in joints.items():
        at[names[name]], scores[names[name]] = (x, y), score
    return at, scores


def arms(*bodies: tuple[Floats, Floats]) -> list[Arm]:
    return arms_to_search(
        np.stack([at for at, _ in bodies]), np.stack([score for _, score in bodies]), PICTURE
    )


def one_arm(**joints: tuple[float, float, float]) -> list[Arm]:
    return arms(body(**joints))


class TestWhereHandsAreLookedFor:
    def test_in_a_square_along_the_forearm_beyond_the_wrist(self) -> None:
        (arm,) = one_arm(left_elbow=(100, 200, 0.9), left_wrist=(100, 100, 0.9))  # straight up, 100 px long
        assert arm.part is Part.LEFT_HAND
        assert arm.length == 100
        assert tuple(arm.wrist) == (100, 100)
        assert arm.region == SquareRegion(x=100, y=65, side=pytest.approx(110), angle=0)

    def test_turned_with_the_forearm(self) -> None:
        (arm,) = one_arm(right_elbow=(100, 100, 0.9), right_wrist=(200, 100, 0.9))
        assert arm.part is Part.RIGHT_HAND
        assert arm.region.angle == pytest.approx(math.pi / 2)  # up in the region is right in the picture
        assert (arm.region.x, arm.region.y) == (235, 100)

    def test_for_both_arms_of_everybody(self) -> None:
        both = body(
            left_elbow=(100, 200, 0.9),
            left_wrist=(100, 100, 0.9),
            right_elbow=(50, 200, 0.9),
            right_wrist=(50, 100, 0.9),
        )
        left = body(left_elbow=(300, 200, 0.9), left_wrist=(300, 100, 0.9))
        assert [(arm.person, arm.part) for arm in arms(left, both)] == [
            (0, Part.LEFT_HAND),
            (1, Part.LEFT_HAND),
            (1, Part.RIGHT_HAND),
        ]

    def test_a_forearm_that_points_at_the_camera_counts_by_the_upper_arm(self) -> None:
        (arm,) = one_arm(left_shoulder=(100, 0, 0.9), left_elbow=(100, 100, 0.9), left_wrist=(100, 110, 0.9))
        assert arm.length == pytest.approx(90)
        assert arm.region.side == pytest.approx(99)

    def test_a_long_forearm_counts_itself(self) -> None:
        (arm,) = one_arm(left_shoulder=(100, 50, 0.9), left_elbow=(100, 100, 0.9), left_wrist=(100, 160, 0.9))
        assert arm.length == pytest.approx(60)

    def test_a_shoulder_that_is_not_seen_says_nothing_about_the_arm(self) -> None:
        (arm,) = one_arm(left_shoulder=(100, 0, 0.29), left_elbow=(100, 100, 0.9), left_wrist=(100, 120, 0.9))
        assert arm.length == pytest.approx(20)

    @pytest.mark.parametrize(("elbow", "wrist"), [(0.29, 0.9), (0.9, 0.29), (math.nan, 0.9), (0.9, math.nan)])
    def test_not_where_wrist_or_elbow_are_not_seen(self, elbow: float, wrist: float) -> None:
        assert not one_arm(left_elbow=(100, 200, elbow), left_wrist=(100, 100, wrist))

    def test_not_along_a_forearm_that_begins_nowhere(self) -> None:
        assert not one_arm(left_elbow=(math.nan, 200, 0.9), left_wrist=(100, 100, 0.9))

    @pytest.mark.parametrize("wrist", [(-1, 100), (400, 100), (100, -1), (100, 300)])
    def test_not_where_the_wrist_lies_outside_the_picture(self, wrist: tuple[float, float]) -> None:
        assert not one_arm(left_elbow=(200, 150, 0.9), left_wrist=(*wrist, 0.9))

    @pytest.mark.parametrize("wrist", [(0, 100), (399, 100), (100, 0), (100, 299)])
    def test_still_at_its_very_edge(self, wrist: tuple[float, float]) -> None:
        assert one_arm(left_elbow=(200, 150, 0.9), left_wrist=(*wrist, 0.9))

    def test_not_on_arms_of_a_few_pixels(self) -> None:
        assert not one_arm(left_elbow=(100, 111.9, 0.9), left_wrist=(100, 100, 0.9))
        assert one_arm(left_elbow=(100, 112, 0.9), left_wrist=(100, 100, 0.9))


def arm(part: Part = Part.RIGHT_HAND, wrist: tuple[float, float] = (100, 100), **fields: Any) -> Arm:
    return Arm(
        **{
            "person": 0,
            "part": part,
            "wrist": np.array(wrist),
            "length": 100.0,
            "region": SquareRegion(0, 0, 1, 0),
            **fields,
        }
    )


def accepted(finds: list[tuple[Arm, Hand]]) -> list[tuple[Arm, Hand]]:
    return believed(finds, PICTURE)


class TestWhichHandsAreBelieved:
    def test_one_at_its_arm_s_wrist(self) -> None:
        find = (arm(), hand())
        assert accepted([find]) == [find]

    def test_not_one_that_the_network_doubts(self) -> None:
        assert accepted([(arm(), hand(score=0.6))])
        assert not accepted([(arm(), hand(score=0.59))])

    def test_not_one_far_from_the_wrist(self) -> None:
        assert accepted([(arm(), hand((139, 100)))])
        assert not accepted([(arm(), hand((141, 100)))])

    def test_far_is_measured_in_arm_lengths(self) -> None:
        assert accepted([(arm(length=200.0), hand((179, 100)))])
        assert not accepted([(arm(length=50.0), hand((121, 100)))])

    @pytest.mark.parametrize("part", [Part.LEFT_HAND, Part.RIGHT_HAND])
    @pytest.mark.parametrize("right", [0.01, 0.99])
    def test_whatever_side_the_network_takes_it_for(self, part: Part, right: float) -> None:
        assert accepted([(arm(part), hand(right=right))])

    @pytest.mark.parametrize(("right", "owner"), [(0.9, Part.RIGHT_HAND), (0.1, Part.LEFT_HAND)])
    def test_a_hand_found_from_two_wrists_goes_to_the_side_it_looks_like(
        self, right: float, owner: Part
    ) -> None:
        # The wrong wrist is the nearer one: handedness decides first.
        wrists = {Part.LEFT_HAND: (110.0, 100.0), Part.RIGHT_HAND: (110.0, 100.0), owner: (120.0, 100.0)}
        finds = [(arm(part, wrist), hand(right=right)) for part, wrist in wrists.items()]
        assert [found.part for found, _ in accepted(finds)] == [owner]

    def test_and_among_equal_sides_to_the_nearer_wrist(self) -> None:
        far, near = arm(wrist=(120, 100), person=0), arm(wrist=(105, 100), person=1)
        assert [found.person for found, _ in accepted([(far, hand()), (near, hand())])] == [1]

    def test_one_hand_that_looks_like_either_side_is_one(self) -> None:
        far, near = arm(Part.LEFT_HAND, (110, 100)), arm(Part.RIGHT_HAND, (105, 100))
        (found,) = accepted([(far, hand(right=0.1)), (near, hand(right=0.9))])
        assert found[0] is near

    def test_one_cut_off_by_the_picture_s_edge_is_not_guessed(self) -> None:
        assert not accepted([(arm(wrist=(-20, 100)), hand((-20, 100)))])

    def test_hands_beside_each_other_are_two(self) -> None:
        beside = (100 + hand().palm, 100.0)
        finds = [(arm(Part.LEFT_HAND, beside), hand(beside)), (arm(Part.RIGHT_HAND), hand())]
        assert len(accepted(finds)) == 2

    def test_a_network_that_answers_with_nonsense_is_not_accepted(self) -> None:
        nowhere = np.full((21, 2), math.nan)
        assert not accepted([(arm(), Hand(nowhere, 0.9, 0.9)), (arm(), Hand(HAND, math.nan, 0.9))])
