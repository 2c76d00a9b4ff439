"""Hands: where they are looked for, where again, and which finds are believed."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wholebody.clicks import Click
from wholebody.geometry import SquareRegion
from wholebody.hands import (
    Arm,
    Hand,
    Look,
    arms_to_search,
    believed,
    hand_at,
    is_enough,
    most_promising,
    refined_region,
    regions_at,
)
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT, Part

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


def clicked(
    at: tuple[float, float] = (100, 80),
    elbow: tuple[float, float, float] | None = None,
    reach: float | None = None,
) -> Click:
    """A click on somebody whose forearm is 100 pixels long, with the left elbow and its score."""
    keypoints, scores = np.zeros((KEYPOINT_COUNT, 2), np.float32), np.zeros(KEYPOINT_COUNT, np.float32)
    keypoints[[RIGHT_ELBOW, RIGHT_WRIST]] = [(300, 100), (300, 200)]
    scores[[RIGHT_ELBOW, RIGHT_WRIST]] = 0.9
    if elbow is not None:
        keypoints[LEFT_ELBOW], scores[LEFT_ELBOW] = elbow[:2], elbow[2]
    someone = Person(np.array((0, 0, 300, 400), np.float32), 0.9, keypoints, scores)
    return Click.on(at, someone, reach, PICTURE)


NOBODY = Click.on((100, 80), None, None, PICTURE)


class TestWhereAClickedHandIsLookedFor:
    def test_first_along_the_forearm_whose_elbow_is_seen(self) -> None:
        first, *others = regions_at(clicked(elbow=(0, 80, 0.9)), Part.LEFT_HAND)
        (region,) = first
        assert (region.x, region.y, region.side) == (100, 80, pytest.approx(110))
        assert region.angle == pytest.approx(math.pi / 2)  # the forearm points to the right: up in the region
        assert others == regions_at(clicked(), Part.LEFT_HAND)

    @pytest.mark.parametrize("elbow", [(0, 80, 0.49), (math.nan, 80, 0.9), (100, 82, 0.9)])
    def test_not_along_one_that_is_not_seen(self, elbow: tuple[float, float, float]) -> None:
        assert regions_at(clicked(elbow=elbow), Part.LEFT_HAND) == regions_at(clicked(), Part.LEFT_HAND)

    def test_the_other_arm_s_elbow_says_nothing(self) -> None:
        far = regions_at(clicked(), Part.RIGHT_HAND)[0]
        assert len(far) == 1
        assert len(regions_at(clicked(), Part.LEFT_HAND)[0]) == 8

    def test_then_in_all_turns_and_several_sizes_round_the_click(self) -> None:
        batches = regions_at(clicked(), Part.LEFT_HAND)
        assert [sorted({round(region.side) for region in batch}) for batch in batches] == [[110, 176], [66]]
        for batch in batches:
            assert {round(math.degrees(region.angle)) for region in batch} == {0, 90, 180, 270}
            assert {(region.x, region.y) for region in batch} == {(100, 80)}

    def test_in_more_sizes_where_nobody_s_size_is_known(self) -> None:
        sides = [max(region.side for region in batch) for batch in regions_at(NOBODY, Part.LEFT_HAND)]
        assert sides == pytest.approx([1.6 * 132, 4 * 132, 0.6 * 132])

    def test_in_the_size_of_a_drawn_rectangle(self) -> None:
        assert regions_at(clicked(reach=20), Part.LEFT_HAND)[0][0].side == 60

    def test_a_click_costs_a_bounded_number_of_looks(self) -> None:
        for click in (clicked(elbow=(0, 80, 0.9)), NOBODY):
            assert sum(map(len, regions_at(click, Part.LEFT_HAND))) <= 24

    def test_only_the_most_promising_looks_are_refined(self) -> None:
        scores = [0.1, 0.019, 0.9, 0.3, math.nan, 0.5, 0.02]
        assert most_promising([hand(score=score) for score in scores]) == [2, 5, 3, 0]


def look(of: Hand, side: float = 110) -> Look:
    return Look(of, SquareRegion(100, 80, side, 0))


# Its wrist is at 100, 100, so that the click at 100, 80 is on its palm.
ON_CLICK = hand()


class TestWhichHandsAreBelievedAtAClick:
    def test_the_likeliest_one(self) -> None:
        poor, good = hand(score=0.5), hand(score=0.9)
        assert hand_at(clicked(), Part.LEFT_HAND, [look(poor), look(good)]) is good

    def test_a_lower_score_is_enough_than_without_a_click(self) -> None:
        assert hand_at(clicked(), Part.LEFT_HAND, [look(hand(score=0.31))])
        assert hand_at(clicked(), Part.LEFT_HAND, [look(hand(score=0.29))]) is None

    @pytest.mark.parametrize("part", [Part.LEFT_HAND, Part.RIGHT_HAND])
    @pytest.mark.parametrize("right", [0.01, 0.99])
    def test_whatever_side_the_network_takes_it_for(self, part: Part, right: float) -> None:
        assert hand_at(NOBODY, part, [look(hand(right=right))])

    def test_only_one_that_holds_the_click_or_nearly(self) -> None:
        palm = float(np.linalg.norm(ON_CLICK.points[9] - ON_CLICK.points[0]))
        edge = float(ON_CLICK.points[:, 0].max())
        for off, found in ((0.2, True), (0.5, False)):
            beside = clicked((edge + off * palm, float(ON_CLICK.points[20, 1])))
            assert (hand_at(beside, Part.LEFT_HAND, [look(ON_CLICK)]) is not None) is found

    def test_rather_one_of_the_size_that_the_person_s_hands_have(self) -> None:
        part_of_hand, whole = hand(score=0.95), hand(score=0.9)
        looks = [look(part_of_hand, side=50), look(whole)]
        assert hand_at(clicked(), Part.LEFT_HAND, looks) is whole

    @pytest.mark.parametrize("side", [1100, 11])
    def test_none_ten_times_too_large_or_small(self, side: float) -> None:
        assert hand_at(clicked(), Part.LEFT_HAND, [look(hand(score=0.95), side)]) is None

    def test_a_large_one_where_nobody_s_size_is_known(self) -> None:
        assert hand_at(NOBODY, Part.LEFT_HAND, [look(hand(score=0.95), 600)])

    @pytest.mark.parametrize(
        ("elbow", "found"), [((100, 300, 0.9), True), ((20, 80, 0.9), True), ((100, 0, 0.9), False)]
    )
    def test_none_that_points_back_to_the_elbow(self, elbow: tuple[float, float, float], found: bool) -> None:
        assert (hand_at(clicked(elbow=elbow), Part.LEFT_HAND, [look(ON_CLICK)]) is not None) is found

    def test_a_network_that_answers_with_nonsense_is_not_believed(self) -> None:
        nowhere = Hand(np.full((21, 2), math.nan), 0.9, 0.9)
        assert hand_at(clicked(), Part.LEFT_HAND, [look(nowhere), look(hand(score=math.nan))]) is None

    def test_a_sure_one_ends_the_search_and_small_squares_are_for_none_at_all(self) -> None:
        assert is_enough(hand(score=0.8), 0, 4)
        assert not is_enough(hand(score=0.79), 0, 4)
        assert is_enough(hand(score=0.4), 2, 4)
        assert not is_enough(None, 2, 4)
