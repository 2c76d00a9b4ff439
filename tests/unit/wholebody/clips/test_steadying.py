"""Frames in, steadied frames out: with a bounded delay, the same whatever is kept in memory."""

import numpy as np
import pytest

from tests.support.moving_people import Motion, keypoints_at, noise, people_at, unseen
from wholebody.clips.steadying import BLOCK_S, CONTEXT_S, FoundFrame, FoundPerson, Steadying, steadied
from wholebody.clips.trajectories import Trajectories
from wholebody.person import Person
from wholebody.posed_clip import KeypointState, PosedFrame
from wholebody.schema import KEYPOINT_COUNT

MOTION = Motion.of(14, 25, (2.0, 5.0, "waves"), (6.0, 9.0, "shakes"))


def found_frames(motion: Motion, *people: list[Person | None], looks: int = 2) -> list[FoundFrame]:
    return [
        FoundFrame(
            i,
            float(time),
            {n: FoundPerson(person, looks) for n, one in enumerate(people) if (person := one[i]) is not None},
        )
        for i, time in enumerate(motion.times)
    ]


def all_of(frames: list[FoundFrame], *, raw: bool = False) -> list[PosedFrame]:
    steadying = Steadying(raw=raw)
    return [posed for frame in frames for posed in steadying.add(frame)] + steadying.finish()


def noisy(motion: Motion, seed: int = 1) -> list[Person | None]:
    return people_at(motion, keypoints_at(motion) + noise(len(motion.times), 2, seed=seed))


def ids(frames: list[PosedFrame]) -> list[tuple[str, ...]]:
    return [tuple(posed.id for posed in frame.people) for frame in frames]


def test_block_by_block_is_the_same_as_the_whole_clip_at_once() -> None:
    people = noisy(MOTION)
    for i in (*range(30, 36), *range(180, 184)):
        people[i] = unseen(people[i], range(91, KEYPOINT_COUNT))
    for i in range(240, 246):
        people[i] = None
    whole = steadied(Trajectories.of(MOTION.times, people))

    frames = all_of(found_frames(MOTION, people))

    assert [frame.index for frame in frames] == list(range(len(people)))
    assert [frame.time for frame in frames] == MOTION.times.tolist()
    got = np.stack([frame.people[0].person.keypoints for frame in frames])
    states = np.stack([frame.people[0].states for frame in frames])
    assert np.array_equal(states, whole.states[:, :KEYPOINT_COUNT])
    assert got == pytest.approx(np.nan_to_num(whole.points[:, :KEYPOINT_COUNT]), abs=1e-3)
    assert (states == KeypointState.INTERPOLATED).sum() == 10 * 42 + 6 * KEYPOINT_COUNT


def test_frames_come_out_a_few_seconds_later_and_are_then_forgotten() -> None:
    steadying = Steadying()
    waiting = most = 0
    for frame in found_frames(MOTION, noisy(MOTION)):
        waiting += 1 - len(steadying.add(frame))
        most = max(most, waiting)

    assert most <= 25 * (CONTEXT_S + BLOCK_S) + 1
    assert waiting > 0, "the last ones need the clip's end"
    assert len(steadying.finish()) == waiting
    assert steadying.finish() == []


def test_raw_keypoints_are_as_found() -> None:
    people = noisy(MOTION)
    people[100] = None
    frames = all_of(found_frames(MOTION, people), raw=True)

    assert frames[100].people == ()
    for frame, person in zip(frames, people, strict=True):
        if person is not None:
            (posed,) = frame.people
            assert np.array_equal(posed.person.keypoints, person.keypoints)
            assert np.array_equal(posed.person.box, person.box)
            assert (posed.states == KeypointState.SEEN).all()


def test_ids_are_by_first_appearance_and_from_left_to_right() -> None:
    right, left, late = noisy(MOTION), noisy(MOTION, seed=2), noisy(MOTION, seed=3)
    shifted = [
        None if one is None else Person(one.box - np.float32(500), 0.9, one.keypoints, one.scores)
        for one in left
    ]
    late = [None] * 50 + late[50:]
    frames = all_of(found_frames(MOTION, right, shifted, late))

    assert ids(frames)[:50] == [("p0", "p1")] * 50
    assert set(ids(frames)[50:]) == {("p0", "p1", "p2")}
    assert frames[0].people[0].person.box[0] < frames[0].people[1].person.box[0]


def test_somebody_whom_the_detector_saw_once_is_a_false_detection() -> None:
    frames = found_frames(MOTION, noisy(MOTION))
    blob = noisy(MOTION, seed=2)[0]
    assert blob is not None
    frames[60] = FoundFrame(60, frames[60].time, {**frames[60].people, 7: FoundPerson(blob, 1)})

    assert set(ids(all_of(frames))) == {("p0",)}


def test_in_a_clip_of_one_frame_everybody_counts() -> None:
    frame = found_frames(MOTION, noisy(MOTION), looks=1)[:1]

    assert ids(all_of(frame)) == [("p0",)]


def test_an_empty_clip_has_empty_frames() -> None:
    frames = [FoundFrame(i, i / 25, {}) for i in range(200)]

    assert ids(all_of(frames)) == [()] * 200
    assert Steadying().finish() == []
