"""Hands: where they are looked for, where again, and which finds are believed."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wholebody.geometry import SquareRegion
from wholebody.hands import Arm, Hand, arms_to_search, believed, refined_region
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
        (arm,) = one_arm(left_shoulder=(100, 0, 0.29), left_elbow=(100, 100, 0.9), left_wrist=(100, 110, 0.9))
        assert arm.length == pytest.approx(10)

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
        assert not one_arm(left_elbow=(100, 103.9, 0.9), left_wrist=(100, 100, 0.9))
        assert one_arm(left_elbow=(100, 104, 0.9), left_wrist=(100, 100, 0.9))


# An upright open hand in units of the region in which the hand network likes to see it, with MediaPipe's numbering.
HAND = np.array(
    [
        [0.50, 0.80],  # wrist
        *([0.40, 0.75], [0.34, 0.68], [0.30, 0.61], [0.26, 0.55]),  # thumb
        *([0.42, 0.55], [0.40, 0.42], [0.39, 0.34], [0.38, 0.27]),
        *([0.50, 0.53], [0.50, 0.39], [0.50, 0.30], [0.50, 0.22]),
        *([0.57, 0.55], [0.58, 0.42], [0.59, 0.34], [0.60, 0.27]),
        *([0.64, 0.60], [0.66, 0.50], [0.67, 0.43], [0.68, 0.38]),
    ]
)


def hand(
    wrist: tuple[float, float] = (100, 100), size: float = 100, score: float = 0.9, right: float = 0.9
) -> Hand:
    """An upright hand with its wrist at a pixel; `size` is the side of the region it fits into, in pixels."""
    return Hand((HAND - HAND[0]) * size + wrist, score, right)


def settled(of: Hand) -> SquareRegion:
    """The region that the hand's own landmarks ask for."""
    region = refined_region(of, SquareRegion(0, 0, 1, 0))
    assert region is not None
    return region


class TestWhereHandsAreLookedForAgain:
    def test_round_the_landmarks(self) -> None:
        region = settled(hand())
        x, y = hand().points.T
        assert abs(region.x - x.mean()) < 10
        assert abs(region.y - y.mean()) < 10
        assert np.ptp(y) < region.side < 3 * np.ptp(y)  # with room on all sides
        assert abs(region.angle) < 0.1  # the hand is upright

    def test_turned_with_the_hand(self) -> None:
        quarter = np.array([[0, -1], [1, 0]])  # clockwise on the screen
        lying = Hand(hand((0, 0)).points @ quarter.T, 0.9, 0.9)
        upright, turned = settled(hand((0, 0))), settled(lying)
        assert turned.angle == pytest.approx(upright.angle + math.pi / 2)
        assert (turned.x, turned.y) == pytest.approx((-upright.y, upright.x))
        assert turned.side == pytest.approx(upright.side)

    def test_not_led_by_the_finger_tips(self) -> None:
        fist = hand()
        fist.points[[4, 7, 8, 11, 12, 15, 16, 19, 20]] = fist.points[9]
        assert settled(fist) == settled(hand())

    def test_a_low_score_is_worth_another_look_since_the_first_may_be_off(self) -> None:
        assert refined_region(hand(score=0.02), SquareRegion(0, 0, 1, 0)) is not None

    def test_a_hopeless_score_is_not(self) -> None:
        assert refined_region(hand(score=0.019), SquareRegion(0, 0, 1, 0)) is None

    def test_no_more_looks_where_the_region_already_is(self) -> None:
        assert refined_region(hand(), settled(hand())) is None

    @pytest.mark.parametrize("move", [(0.06, 0), (-0.06, 0), (0, 0.06), (0, -0.06)])
    def test_another_look_when_it_would_move(self, move: tuple[float, float]) -> None:
        at = settled(hand())
        beside = SquareRegion(at.x + move[0] * at.side, at.y + move[1] * at.side, at.side, at.angle)
        assert refined_region(hand(), beside) == at

    @pytest.mark.parametrize("growth", [0.94, 1.06])
    def test_another_look_when_it_would_grow_or_shrink(self, growth: float) -> None:
        at = settled(hand())
        assert refined_region(hand(), SquareRegion(at.x, at.y, at.side * growth, at.angle)) == at

    @pytest.mark.parametrize("turn", [0.16, -0.16])
    def test_another_look_when_it_would_turn(self, turn: float) -> None:
        at = settled(hand())
        assert refined_region(hand(), SquareRegion(at.x, at.y, at.side, at.angle + turn)) == at

    def test_a_whole_turn_is_no_turn(self) -> None:
        at = settled(hand())
        assert refined_region(hand(), SquareRegion(at.x, at.y, at.side, at.angle + 2 * math.pi)) is None

    def test_landmarks_in_one_place_are_no_hand(self) -> None:
        assert refined_region(Hand(np.full((21, 2), 50.0), 0.9, 0.9), SquareRegion(0, 0, 9, 0)) is None


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


class TestWhichHandsAreBelieved:
    def test_one_at_its_arm_s_wrist(self) -> None:
        find = (arm(), hand())
        assert believed([find]) == [find]

    def test_not_one_that_the_network_doubts(self) -> None:
        assert believed([(arm(), hand(score=0.5))])
        assert not believed([(arm(), hand(score=0.49))])

    def test_not_one_far_from_the_wrist(self) -> None:
        assert believed([(arm(), hand((139, 100)))])
        assert not believed([(arm(), hand((141, 100)))])

    def test_far_is_measured_in_arm_lengths(self) -> None:
        assert believed([(arm(length=200.0), hand((179, 100)))])
        assert not believed([(arm(length=50.0), hand((121, 100)))])

    @pytest.mark.parametrize("part", [Part.LEFT_HAND, Part.RIGHT_HAND])
    @pytest.mark.parametrize("right", [0.01, 0.99])
    def test_whatever_side_the_network_takes_it_for(self, part: Part, right: float) -> None:
        assert believed([(arm(part), hand(right=right))])

    @pytest.mark.parametrize(("right", "owner"), [(0.9, Part.RIGHT_HAND), (0.1, Part.LEFT_HAND)])
    def test_a_hand_found_from_two_wrists_goes_to_the_side_it_looks_like(
        self, right: float, owner: Part
    ) -> None:
        # The wrong wrist is the nearer one: handedness decides first.
        wrists = {Part.LEFT_HAND: (110.0, 100.0), Part.RIGHT_HAND: (110.0, 100.0), owner: (120.0, 100.0)}
        finds = [(arm(part, wrist), hand(right=right)) for part, wrist in wrists.items()]
        assert [found.part for found, _ in believed(finds)] == [owner]

    def test_and_among_equal_sides_to_the_nearer_wrist(self) -> None:
        far, near = arm(wrist=(120, 100), person=0), arm(wrist=(105, 100), person=1)
        assert [found.person for found, _ in believed([(far, hand()), (near, hand())])] == [1]

    def test_clasped_hands_are_two(self) -> None:
        finds = [(arm(Part.LEFT_HAND), hand(right=0.1)), (arm(Part.RIGHT_HAND), hand(right=0.9))]
        assert {found.part for found, _ in believed(finds)} == {Part.LEFT_HAND, Part.RIGHT_HAND}

    def test_hands_beside_each_other_are_two_even_if_taken_for_the_same_side(self) -> None:
        palm = float(np.linalg.norm(hand().points[9] - hand().points[0]))
        for apart, hands in ((0.45, 1), (0.55, 2)):
            shifted = (100 + apart * palm, 100.0)
            finds = [(arm(Part.LEFT_HAND, shifted), hand(shifted)), (arm(Part.RIGHT_HAND), hand())]
            assert len(believed(finds)) == hands

    def test_a_network_that_answers_with_nonsense_is_not_believed(self) -> None:
        nowhere = np.full((21, 2), math.nan)
        assert not believed([(arm(), Hand(nowhere, 0.9, 0.9)), (arm(), Hand(HAND, math.nan, 0.9))])
