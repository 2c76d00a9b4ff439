"""The filter in time, against trajectories whose truth is known."""

import numpy as np
import pytest

from tests.support.moving_people import Floats, Motion, found, keypoints_at, noise
from wholebody.clips.smoothing import smoothed
from wholebody.schema import KEYPOINT_COUNT, PART_RANGES, Part

MOTION = ((3.0, 6.0, "waves"), (8.0, 10.0, "shakes"), (10.0, 12.0, "drift"))
PARTS = [Part.BODY, Part.FACE, Part.RIGHT_HAND]
NOISES = [(0.5, 0.0), (2.0, 0.0), (2.0, 0.5), (6.0, 0.0)]
"""Pixels of a body of 800, and the share that is kept from frame to frame."""


@pytest.fixture(scope="module", params=[25, 50], ids=["25 fps", "50 fps"])
def motion(request: pytest.FixtureRequest) -> Motion:
    return Motion.of(12, request.param, *MOTION)


@pytest.fixture(scope="module", params=NOISES, ids=str)
def clip(request: pytest.FixtureRequest, motion: Motion) -> tuple[Floats, Floats, Floats]:
    """True, raw and filtered keypoints."""
    deviation, kept = request.param
    true = keypoints_at(motion)
    raw = found(motion, true + noise(len(true), deviation, kept=kept))
    return true, raw.points[:, :KEYPOINT_COUNT], smoothed(raw).points[:, :KEYPOINT_COUNT]


def percentile(keypoints: Floats, true: Floats) -> float:
    return float(np.percentile(np.linalg.norm(keypoints - true, axis=2), 95))


@pytest.mark.parametrize("part", PARTS)
def test_still_people_keep_still(clip: tuple[Floats, Floats, Floats], motion: Motion, part: Part) -> None:
    still = motion.while_(0, 3) | motion.while_(6, 8)
    where = list(PART_RANGES[part])

    def jitter(keypoints: Floats) -> float:
        steps = np.linalg.norm(np.diff(keypoints[:, where], axis=0), axis=2)
        return float(np.sqrt((steps[still[1:]] ** 2).mean()))

    _, raw, filtered = clip
    assert jitter(filtered) <= 0.4 * jitter(raw)


@pytest.mark.parametrize("part", PARTS)
def test_fast_moments_are_as_right_as_before_turning_points_included(
    clip: tuple[Floats, Floats, Floats], motion: Motion, part: Part
) -> None:
    fast = motion.while_(3, 6) | motion.while_(8, 10)
    true, raw, filtered = (keypoints[fast][:, list(PART_RANGES[part])] for keypoints in clip)

    assert percentile(filtered, true) <= 1.15 * percentile(raw, true)


def test_the_whole_clip_is_no_worse(clip: tuple[Floats, Floats, Floats]) -> None:
    true, raw, filtered = clip

    assert percentile(filtered, true) <= 1.05 * percentile(raw, true)
    assert np.abs(filtered - true).mean() < 0.9 * np.abs(raw - true).mean()


def test_nothing_comes_late(clip: tuple[Floats, Floats, Floats], motion: Motion) -> None:
    true, _, filtered = clip
    speed = np.gradient(true, axis=0)
    late = -((filtered - true) * speed).sum() / (speed**2).sum()  # in frames

    assert abs(late) <= 0.1


def test_a_moving_line_without_noise_stays_exactly() -> None:
    motion = Motion.of(4, 25)
    true = keypoints_at(motion) + 7 * np.arange(100)[:, None, None]

    filtered = smoothed(found(motion, true)).points[:, :KEYPOINT_COUNT]

    assert filtered == pytest.approx(true, abs=1e-3)


def test_an_unsure_frame_moves_towards_its_neighbours() -> None:
    motion = Motion.of(4, 25)
    true = keypoints_at(motion)
    raw = found(motion, true + noise(len(true), 2))
    unsure = raw.scores.copy()
    unsure[50] = 0.1
    less_sure = type(raw)(raw.times, raw.points, unsure, raw.states, raw.box_scores)

    def error(filtered: Floats) -> float:
        return float(np.linalg.norm(filtered[50, :KEYPOINT_COUNT] - true[50], axis=1).mean())

    off = raw.points.copy()
    off[50, :KEYPOINT_COUNT] += 8
    assert error(
        smoothed(type(raw)(raw.times, off, unsure, raw.states, raw.box_scores)).points
    ) < 0.5 * error(off)
    assert error(smoothed(less_sure).points) <= error(smoothed(raw).points)


@pytest.mark.parametrize("fps", [2, 4])
def test_frames_far_apart_are_left_as_they_are(fps: int) -> None:
    motion = Motion.of(20, fps)
    raw = found(motion, keypoints_at(motion) + noise(len(motion.times), 2))

    assert np.array_equal(smoothed(raw).points, raw.points)
