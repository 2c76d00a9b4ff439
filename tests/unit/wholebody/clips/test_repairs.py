"""Swaps, outliers and gaps, put into trajectories whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.moving_people import Floats, Motion, found, keypoints_at, noise, people_at, unseen
from wholebody.clips.gaps import LONGEST_GAP_S, filled
from wholebody.clips.outliers import without_outliers
from wholebody.clips.swaps import unswapped
from wholebody.clips.trajectories import Trajectories
from wholebody.posed_clip import KeypointState
from wholebody.schema import KEYPOINTS, PART_RANGES, Part

LEFT = [9, *PART_RANGES[Part.LEFT_HAND]]
RIGHT = [10, *PART_RANGES[Part.RIGHT_HAND]]
MOTION = Motion.of(8, 25)


def crossing_hands() -> Floats:
    """The hands cross and uncross every two seconds, at 240 pixels a second."""
    true = keypoints_at(MOTION)
    swing = 150 * np.cos(np.pi * MOTION.times / 2)
    for side, points in ((1, LEFT), (-1, RIGHT)):
        shape = true[0, points] - true[0, points[0]]
        middle = np.stack([200 + side * swing, 300 + side * 10 + 0 * swing], axis=1)
        true[:, points] = middle[:, None] + 0.2 * shape
    return true


def exchanged(keypoints: Floats, frames: slice) -> Floats:
    keypoints = keypoints.copy()
    keypoints[frames, LEFT], keypoints[frames, RIGHT] = (
        keypoints[frames, RIGHT],
        keypoints[frames, LEFT].copy(),
    )
    return keypoints


def swaps(keypoints: Floats, true: Floats) -> int:
    """The frames in which the left wrist is nearer to the true right one."""
    away = np.linalg.norm(keypoints[:, 9] - true[:, 9], axis=1)
    other = np.linalg.norm(keypoints[:, 9] - true[:, 10], axis=1)
    return int((away > other + 20).sum())


class TestSwaps:
    def test_at_least_half_of_them_are_repaired_in_a_clip_with_crossing_hands(self) -> None:
        true = crossing_hands()
        raw = true + noise(len(true), 2)
        # Short ones in the open, and one that begins where the hands meet.
        for frames in (slice(5, 7), slice(40, 45), slice(75, 84), slice(110, 111), slice(125, 131)):
            raw = exchanged(raw, frames)
        repaired = unswapped(found(MOTION, raw)).points

        assert swaps(raw, true) > 10
        assert swaps(repaired, true) <= swaps(raw, true) / 2
        assert np.linalg.norm(repaired[42, LEFT] - true[42, LEFT], axis=1).max() < 10, "with the whole hand"

    @pytest.mark.parametrize("seed", range(8))
    def test_hands_that_cross_are_not_exchanged(self, seed: int) -> None:
        true = crossing_hands()
        raw = true + noise(len(true), 4, seed=seed)
        people = people_at(MOTION, raw)
        for i in (*range(24, 28), *range(70, 76)):  # nothing is seen while they cross
            people[i] = unseen(people[i], [*LEFT, *RIGHT])
        raw_found = Trajectories.of(MOTION.times, people)

        assert np.array_equal(unswapped(raw_found).points, raw_found.points, equal_nan=True)

    def test_a_long_exchange_is_what_the_person_did(self) -> None:
        raw = found(MOTION, exchanged(keypoints_at(MOTION), slice(100, 140)))

        assert np.array_equal(unswapped(raw).points, raw.points)


class TestOutliers:
    @pytest.mark.parametrize("frames", [1, 2, 3])
    def test_a_jump_away_and_back_is_removed(self, frames: int) -> None:
        motion = Motion.of(8, 25, (4.0, 8.0, "waves"))
        raw = keypoints_at(motion) + noise(200, 2)
        for begin in (50, 150):  # still, and in a fast moment
            raw[begin : begin + frames, 9] += (220, -260)
        left = without_outliers(found(motion, raw))

        assert (left.states[50 : 50 + frames, 9] == KeypointState.MISSING).all()
        assert (left.states[150 : 150 + frames, 9] == KeypointState.MISSING).all()
        others = np.delete(left.states, 9, axis=1)
        assert (others == KeypointState.SEEN).all(), "nothing else was one"

    @pytest.mark.parametrize("deviation", [0.0, 2.0, 5.0])
    def test_fast_motion_and_turning_points_are_none(self, deviation: float) -> None:
        motion = Motion.of(12, 25, (2.0, 6.0, "waves"), (7.0, 11.0, "shakes"))
        raw = found(motion, keypoints_at(motion) + noise(300, deviation))

        assert without_outliers(raw).seen.mean() > 0.9999


class TestGaps:
    def test_short_ones_are_interpolated_and_marked(self) -> None:
        motion = replace(Motion.of(4, 25), away=np.outer(np.arange(100), (3.0, 1.0)))
        true = keypoints_at(motion)
        people = people_at(motion, true)
        for i in range(40, 47):
            people[i] = unseen(people[i], RIGHT)
        whole = filled(Trajectories.of(motion.times, people))

        assert whole.points[40:47, RIGHT] == pytest.approx(true[40:47, RIGHT], abs=0.01)
        assert (whole.states[40:47, RIGHT] == KeypointState.INTERPOLATED).all()
        assert (whole.scores[40:47, RIGHT] > 0).all()
        assert (np.delete(whole.states, range(40, 47), axis=0) == KeypointState.SEEN).all()

    def test_somebody_who_is_missing_shortly_is_interpolated_with_the_box(self) -> None:
        motion = replace(Motion.of(4, 25), away=np.outer(np.arange(100), (3.0, 1.0)))
        people = people_at(motion, keypoints_at(motion))
        gap = range(40, 40 + int(LONGEST_GAP_S * 25))
        for i in gap:
            people[i] = None
        person = filled(Trajectories.of(motion.times, people)).person(43)

        assert person is not None
        assert person.box == pytest.approx(np.array([0, 0, 400, 700]) + np.tile(motion.away[43], 2), abs=0.1)
        assert person.box_score == pytest.approx(0.9)

    def test_longer_ones_stay_and_so_do_beginning_and_end(self) -> None:
        motion = Motion.of(4, 25)
        people = people_at(motion, keypoints_at(motion))
        for i in (0, 1, *range(40, 49), 99):
            people[i] = None
        raw = Trajectories.of(motion.times, people)

        assert np.array_equal(filled(raw).states, raw.states)


def test_the_left_is_exchanged_with_its_twins() -> None:
    assert [KEYPOINTS[index].twin for index in LEFT] == RIGHT
