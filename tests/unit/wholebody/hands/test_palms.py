"""Palms: whose boxes are searched, where the hand network runs, and whose hand it found."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.hands import hand
from wholebody.geometry import SquareRegion
from wholebody.hands.arms import Arm
from wholebody.hands.landmarks import Hand
from wholebody.hands.palms import (
    MOST_PALMS,
    Palm,
    Torso,
    hands_of_torso,
    palms_in,
    square_around,
    torsos_to_search,
    unknown,
)
from wholebody.networks import PalmDetections
from wholebody.schema import Part

PICTURE = (400, 300)
BOX = np.array([100.0, 50.0, 200.0, 250.0])
BOTH = (Part.LEFT_HAND, Part.RIGHT_HAND)
LEFT_WRIST, RIGHT_WRIST, LEFT_KNEE, RIGHT_KNEE = 9, 10, 13, 14
Floats = NDArray[np.float64]


def arm(part: Part, person: int = 0) -> Arm:
    return Arm(person, part, np.zeros(2), 100.0, SquareRegion(0, 0, 1, 0))


def searched(
    *arms: Arm, box: Floats = BOX, scores: dict[int, float] | None = None, knee: tuple[float, float] = (0, 0)
) -> list[Torso]:
    """The torsos of one person whose wrists are half seen, and whose knees are as told."""
    at, all_scores = np.zeros((17, 2)), np.zeros(17)
    all_scores[[LEFT_WRIST, RIGHT_WRIST]] = 0.25
    at[[LEFT_KNEE, RIGHT_KNEE]] = knee
    for joint, score in (scores or {}).items():
        all_scores[joint] = score
    passed = {(one.person, one.part) for one in arms}
    return torsos_to_search(at[None], all_scores[None], box[None], passed, PICTURE)


class TestInWhoseBoxes:
    def test_in_those_of_people_with_a_wrist_and_no_arm(self) -> None:
        (torso,) = searched(arm(Part.LEFT_HAND))
        assert (torso.person, torso.region) == (0, SquareRegion(150, 150, 200, 0))
        assert torso.box is not None

    def test_not_where_both_arms_lead_to_the_hands(self) -> None:
        assert not searched(arm(Part.LEFT_HAND), arm(Part.RIGHT_HAND))
        assert searched(arm(Part.LEFT_HAND), arm(Part.RIGHT_HAND, person=1)), "the other is somebody else's"

    @pytest.mark.parametrize(("wrist", "found"), [(0.2, True), (0.19, False), (math.nan, False)])
    def test_not_where_no_wrist_is(self, wrist: float, found: bool) -> None:
        scores = {LEFT_WRIST: 0.25, RIGHT_WRIST: wrist}
        assert bool(searched(arm(Part.LEFT_HAND), scores=scores)) is found

    @pytest.mark.parametrize("knee", [LEFT_KNEE, RIGHT_KNEE])
    def test_not_in_those_of_people_shown_to_the_knees(self, knee: int) -> None:
        assert not searched(scores={knee: 0.3}, knee=(150, 240))
        assert searched(scores={knee: 0.29}, knee=(150, 240))
        assert searched(scores={knee: 0.9}, knee=(150, 301)), "the knee is guessed"

    def test_not_in_those_of_small_people(self) -> None:
        assert searched(box=np.array([0, 0, 20, 60]))
        assert not searched(box=np.array([0, 0, 20, 59]))


def detected(*scores: float, turn: int = 0) -> PalmDetections:
    """Palms in the middle of the crop, 0.1 wide and high; the fingers point up, or are turned clockwise."""
    up = np.array([[math.sin(math.radians(turn)), -math.cos(math.radians(turn))]]) * 0.05
    points = np.repeat(0.5 + np.concatenate([-up, up, up, up, up, up, up])[None], len(scores), 0)
    boxes = np.tile([0.45, 0.45, 0.55, 0.55], (len(scores), 1))
    return PalmDetections(boxes.astype(np.float32), points.astype(np.float32), np.array(scores, np.float32))


class TestWhereTheHandNetworkRuns:
    def test_in_a_larger_square_towards_the_fingers(self) -> None:
        (palm,) = palms_in(SquareRegion(100, 100, 200, 0), detected(0.9))
        assert palm.center == pytest.approx((100, 100), abs=1e-4)
        # The palm is 20 pixels wide. MediaPipe takes 2.6 of that, and moves it by a half.
        region = palm.region
        assert (region.x, region.y, region.side) == pytest.approx((100, 90, 52), abs=1e-3)
        assert region.angle == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize("turn", [90, 180, 270])
    def test_turned_with_the_palm_and_with_the_square_that_was_searched(self, turn: int) -> None:
        angle = math.radians(turn)
        for searched_angle, palm_turn in ((0.0, turn), (angle, 0)):
            square = SquareRegion(100, 100, 200, searched_angle)
            (palm,) = palms_in(square, detected(0.9, turn=palm_turn))
            assert math.cos(palm.region.angle - angle) == pytest.approx(1, abs=1e-6)
            at = (100 + 10 * math.sin(angle), 100 - 10 * math.cos(angle))
            assert (palm.region.x, palm.region.y) == pytest.approx(at, abs=1e-3)

    def test_at_the_likeliest_palms_first(self) -> None:
        found = palms_in(SquareRegion(0, 0, 10, 0), detected(0.6, 0.9, 0.7))
        assert [round(palm.score, 1) for palm in found] == [0.9, 0.7, 0.6]

    def test_not_at_known_hands_and_at_few_palms(self) -> None:
        def palm(x: float) -> Palm:
            return Palm(np.array([x, hand().center[1]]), SquareRegion(0, 0, 1, 0), 0.9)

        on, beside = palm(hand().center[0] + 0.4 * hand().palm), palm(hand().center[0] + 0.6 * hand().palm)
        assert unknown([on, beside], [hand()]) == [beside]
        assert len(unknown([beside] * 9, [])) == MOST_PALMS

    def test_the_square_round_a_box_may_be_turned(self) -> None:
        assert square_around(BOX, 90) == SquareRegion(150, 150, 200, math.pi / 2)


TORSO = Torso(0, BOX, square_around(BOX))


def given(*finds: Hand, missing: Any = BOTH, known: Any = ()) -> dict[Part, Hand]:
    return dict(hands_of_torso(TORSO, finds, missing, known, PICTURE))


AT, BESIDE = (130.0, 200.0), (180.0, 200.0)


class TestWhoseHandItIs:
    def test_a_person_gets_a_left_and_a_right_hand(self) -> None:
        left, right = hand(BESIDE, right=0.1), hand(AT, right=0.9)
        assert given(left, right) == {Part.LEFT_HAND: left, Part.RIGHT_HAND: right}

    def test_the_surest_of_one_side(self) -> None:
        good, poor = hand(AT, score=0.9), hand(BESIDE, score=0.7)
        assert given(poor, good) == {Part.RIGHT_HAND: good}

    def test_not_one_of_the_side_that_an_arm_led_to(self) -> None:
        assert not given(hand(AT, right=0.9), missing=[Part.LEFT_HAND])

    def test_not_one_that_somebody_has(self) -> None:
        assert not given(hand(AT), known=[hand(AT)])
        assert not given(hand(AT, score=0.59))

    @pytest.mark.parametrize("wrist", [(99, 200), (201, 200), (150, 49), (150, 251)])
    def test_not_one_whose_wrist_is_outside_the_box(self, wrist: tuple[float, float]) -> None:
        assert not given(hand(wrist))

    def test_one_hand_that_looks_like_either_side_is_given_once(self) -> None:
        sure = hand(AT, score=0.9, right=0.9)
        assert given(hand(AT, score=0.7, right=0.1), sure) == {Part.RIGHT_HAND: sure}
