"""Clips looked at from beginning to end, with a detector that knows where people are."""

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.concurrency.memory_budget import MemoryBudget
from adapters.isolation.processes import IsolatedProcesses
from adapters.video.errors import VideoError
from adapters.video.following import FRAMES_IN_HAND, Detect, FollowedPeople, follow_people
from adapters.video.isolated_clip import isolated_clip
from adapters.video.pace import CLOSEST_S, FURTHEST_S, Pace
from tests.support.clips import RATE, counting, encoded
from wholebody.detection import Detections
from wholebody.estimation import InferenceError


class Detector:
    """Finds one person in every frame, after a while."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.running = self.most = self.looks = 0

    async def __call__(self, picture: NDArray[np.uint8]) -> Detections:
        self.looks += 1
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(self.seconds)
        self.running -= 1
        return Detections(np.array([[5, 5, 25, 45]], np.float32), np.array([0.9], np.float32))


def clip(seconds: float) -> bytes:
    return encoded(counting(round(seconds * RATE)))


async def follow(data: bytes, detector: Detect, seconds: float) -> FollowedPeople:
    async with (
        IsolatedProcesses() as processes,
        isolated_clip(data, processes, MemoryBudget(10**8)) as opened,
    ):
        return await follow_people(opened, detector, seconds)


async def test_all_of_a_clip_is_looked_at() -> None:
    people = await follow(clip(3), Detector(), 60)

    gaps = np.diff(people.looks)
    assert people.looks[0] == 0
    assert people.looks[-1] >= 3 - CLOSEST_S - 2 / RATE
    assert gaps.min() >= CLOSEST_S - 1e-6
    assert gaps.max() <= CLOSEST_S + 1 / RATE
    assert [len(track.sightings) for track in people.tracks] == [len(people.looks)]
    assert people.size == (64, 48)


async def test_a_long_clip_is_looked_at_less_often_and_to_its_end() -> None:
    people: FollowedPeople = await follow(clip(12), Detector(0.2), 3)

    assert len(people.looks) < 80
    assert people.looks[-1] >= 12 - CLOSEST_S - 2 / RATE
    assert np.diff(people.looks).max() <= FURTHEST_S + CLOSEST_S


async def test_a_clip_that_is_too_long_is_refused_and_not_answered_in_part() -> None:
    with pytest.raises(VideoError, match=r"Cut it into clips of at most \d+ s") as caught:
        await follow(clip(20), Detector(0.4), 1)

    assert caught.value.reason == "too_long"


async def test_few_frames_wait_for_the_detector() -> None:
    detector = Detector(0.02)

    await follow(clip(2), detector, 60)

    assert 1 < detector.most <= FRAMES_IN_HAND


async def test_a_network_that_fails_ends_it_and_leaves_nothing_running() -> None:
    detector = Detector(0.05)

    async def fails(picture: NDArray[np.uint8]) -> Detections:
        await detector(picture)
        raise InferenceError("no network")

    before = len(asyncio.all_tasks())
    with pytest.raises(InferenceError):
        await follow(clip(2), fails, 60)

    assert len(asyncio.all_tasks()) == before


async def test_a_clip_damaged_for_long_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (4 * RATE, 48, 64, 3), np.uint8)
    data = bytearray(encoded(list(noise)))
    data[len(data) // 4 : 3 * len(data) // 4] = bytes(3 * len(data) // 4 - len(data) // 4)

    with pytest.raises(VideoError) as caught:
        await follow(bytes(data), Detector(), 60)

    assert caught.value.reason == "broken_video"


def test_frames_that_are_shown_for_long_are_all_looked_at() -> None:
    pace = Pace(np.array([0.0, 5.0, 10.0]), 60)

    assert [pace.next_time() for _ in range(4)] == [0.0, 5.0, 10.0, None]
