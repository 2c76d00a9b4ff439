"""The hand network's results: when it runs again, where, and what is a hand."""

import math

import numpy as np
import pytest

from tests.support.hands import hand
from wholebody.geometry import SquareRegion
from wholebody.hands.landmarks import Hand, is_hand, refined_region, same_hand
from wholebody.schema import Part

PICTURE = (400, 300)


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
        assert refined_region(hand(score=0.1), SquareRegion(0, 0, 1, 0)) is not None

    def test_a_hopeless_score_is_not(self) -> None:
        assert refined_region(hand(score=0.099), SquareRegion(0, 0, 1, 0)) is None

    def test_a_click_is_worth_more(self) -> None:
        assert refined_region(hand(score=0.02), SquareRegion(0, 0, 1, 0), least_score=0.02) is not None

    def test_no_more_looks_where_the_region_already_is(self) -> None:
        assert refined_region(hand(), settled(hand())) is None

    @pytest.mark.parametrize("move", [(0.06, 0), (-0.06, 0), (0, 0.06), (0, -0.06)])
    def test_another_look_when_it_would_move(self, move: tuple[float, float]) -> None:
        at = settled(hand())
        beside = SquareRegion(at.x + move[0] * at.side, at.y + move[1] * at.side, at.side, at.angle)
        assert refined_region(hand(score=0.89), beside) == at

    @pytest.mark.parametrize("growth", [0.94, 1.06])
    def test_another_look_when_it_would_grow_or_shrink(self, growth: float) -> None:
        at = settled(hand())
        assert refined_region(hand(score=0.89), SquareRegion(at.x, at.y, at.side * growth, at.angle)) == at

    @pytest.mark.parametrize("turn", [0.16, -0.16])
    def test_another_look_when_it_would_turn(self, turn: float) -> None:
        at = settled(hand())
        assert refined_region(hand(score=0.89), SquareRegion(at.x, at.y, at.side, at.angle + turn)) == at

    @pytest.mark.parametrize(("move", "again"), [(0.14, False), (0.16, True)])
    def test_a_sure_hand_may_be_farther_off(self, move: float, again: bool) -> None:
        at = settled(hand())
        beside = SquareRegion(at.x + move * at.side, at.y, at.side, at.angle)
        assert (refined_region(hand(score=0.9), beside) is not None) is again

    def test_a_whole_turn_is_no_turn(self) -> None:
        at = settled(hand())
        assert refined_region(hand(), SquareRegion(at.x, at.y, at.side, at.angle + 2 * math.pi)) is None

    def test_landmarks_in_one_place_are_no_hand(self) -> None:
        assert refined_region(Hand(np.full((21, 2), 50.0), 0.9, 0.9), SquareRegion(0, 0, 9, 0)) is None


def mirrored(of: Hand) -> Hand:
    """The other hand at the same place."""
    middle = of.points[:, 0].mean()
    return Hand(np.column_stack([2 * middle - of.points[:, 0], of.points[:, 1]]), of.score, 1 - of.right)


class TestWhatIsAHand:
    @pytest.mark.parametrize(("score", "found"), [(0.6, True), (0.59, False), (math.nan, False)])
    def test_one_that_the_network_is_sure_of(self, score: float, found: bool) -> None:
        assert is_hand(hand(score=score), PICTURE) is found

    @pytest.mark.parametrize(("wrist", "found"), [((100, 100), True), ((5, 100), True), ((-20, 100), False)])
    def test_one_of_which_half_is_in_the_picture(self, wrist: tuple[float, float], found: bool) -> None:
        assert is_hand(hand(wrist), PICTURE) is found

    def test_no_one_whose_landmarks_are_nowhere(self) -> None:
        assert not is_hand(Hand(np.full((21, 2), math.nan), 0.9, 0.9), PICTURE)

    def test_its_side_is_the_likelier_one(self) -> None:
        assert (hand(right=0.9).side, hand(right=0.1).side) == (Part.RIGHT_HAND, Part.LEFT_HAND)


class TestTwoResultsOfOneHand:
    @pytest.mark.parametrize(("apart", "one"), [(0.45, True), (0.55, False)])
    def test_of_one_side_lie_near_each_other(self, apart: float, one: bool) -> None:
        assert same_hand(hand(), hand((100 + apart * hand().palm, 100))) is one

    @pytest.mark.parametrize(("apart", "one"), [(0.2, True), (0.3, False)])
    def test_of_unlike_sides_lie_on_each_other(self, apart: float, one: bool) -> None:
        assert same_hand(hand(right=0.1), hand((100 + apart * hand().palm, 100))) is one

    def test_clasped_hands_are_two(self) -> None:
        assert not same_hand(mirrored(hand()), hand())
