"""Hands at a click: where they are searched, and which is believed."""

import math

import numpy as np
import pytest

from tests.support.hands import hand
from wholebody.clicks import Click
from wholebody.geometry import SquareRegion
from wholebody.hands.clicked import Look, hand_at, is_enough, most_promising, regions_at
from wholebody.hands.landmarks import Hand
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT, Part

PICTURE = (400, 300)
LEFT_ELBOW, RIGHT_ELBOW, RIGHT_WRIST = 7, 8, 10


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
