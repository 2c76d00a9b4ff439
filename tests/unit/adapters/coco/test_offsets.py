"""Systematic offsets are found in the person's frame, and chance is none."""

from collections.abc import Sequence

import numpy as np
import pytest

from adapters.coco.offsets import Offset, systematic_offsets
from adapters.coco.reading import CocoPerson
from wholebody.schema import KEYPOINT_COUNT

NOSE, WRIST = 0, 9


def person(turn: float = 0.0) -> CocoPerson:
    """A person whose trunk is turned by an angle in radians, with a box of diagonal 500 pixels."""
    keypoints = np.zeros((KEYPOINT_COUNT, 2))
    keypoints[[5, 6, 11, 12]] = (40, -100), (-40, -100), (30, 100), (-30, 100)
    keypoints[NOSE] = 0, -150
    cos, sin = np.cos(turn), np.sin(turn)
    keypoints = keypoints @ np.array([[cos, sin], [-sin, cos]])
    visibility = np.zeros(KEYPOINT_COUNT)
    visibility[[NOSE, 5, 6, WRIST, 11, 12]] = 2
    return CocoPerson(np.array([-150.0, -200, 300, 400]), 60_000.0, keypoints, visibility, 1.0, False)


def beside(one: CocoPerson, offset: Sequence[float], turn: float = 0.0, keypoint: int = NOSE) -> CocoPerson:
    """The prediction of a person with one keypoint off, by pixels in the frame of a person turned so."""
    keypoints = one.keypoints.copy()
    cos, sin = np.cos(turn), np.sin(turn)
    keypoints[keypoint] += np.asarray(offset) @ np.array([[cos, sin], [-sin, cos]])
    return CocoPerson(one.box, one.area, keypoints, one.visibility, 0.9, False)


def offset_of(name: str, offsets: Sequence[Offset]) -> Offset:
    return next(one for one in offsets if one.keypoint == name)


def test_a_common_offset_is_systematic_and_comes_first() -> None:
    offsets = systematic_offsets([(person(), beside(person(), (10, -5)))] * 10)

    first = offsets[0]
    assert (first.keypoint, first.count, first.systematic) == ("nose", 10, True)
    assert (first.across, first.down) == pytest.approx((0.02, -0.01))
    assert first.spread == pytest.approx(0)


@pytest.mark.parametrize("turn", [0.5, np.pi / 2, np.pi])
def test_the_frame_turns_with_the_trunk(turn: float) -> None:
    first = systematic_offsets([(person(turn), beside(person(turn), (10, -5), turn))] * 10)[0]

    assert (first.across, first.down) == pytest.approx((0.02, -0.01))


def test_offsets_of_few_people_are_not_systematic() -> None:
    offsets = systematic_offsets([(person(), beside(person(), (10, -5)))] * 9)

    assert not any(one.systematic for one in offsets)


def test_chance_is_not_systematic_but_has_a_spread() -> None:
    random = np.random.default_rng(1)
    pairs = [(person(), beside(person(), random.normal(0, 10, 2))) for _ in range(200)]

    nose = offset_of("nose", systematic_offsets(pairs))

    assert not nose.systematic
    assert nose.spread == pytest.approx(np.sqrt(2) * 10 / 500, rel=0.15)


def test_a_keypoint_that_was_not_predicted_is_not_counted() -> None:
    without = beside(person(), (0, 0))
    hidden = without.visibility.copy()
    hidden[NOSE] = 0
    missing = CocoPerson(without.box, without.area, without.keypoints, hidden, 0.9, False)

    offsets = systematic_offsets([(person(), missing), (person(), without)])

    assert offset_of("nose", offsets).count == 1
    assert "left_eye" not in {one.keypoint for one in offsets}


def test_a_person_without_a_trunk_has_the_frame_of_the_picture() -> None:
    one = person(np.pi / 2)
    visibility = one.visibility.copy()
    visibility[11] = 0
    headless = CocoPerson(one.box, one.area, one.keypoints, visibility, 1.0, False)

    first = systematic_offsets([(headless, beside(headless, (10, -5)))] * 10)[0]

    assert (first.across, first.down) == pytest.approx((0.02, -0.01))


def test_nobody_has_no_offsets() -> None:
    assert systematic_offsets([]) == ()
