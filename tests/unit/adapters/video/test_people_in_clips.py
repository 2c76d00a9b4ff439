"""Several clips at once: a few are worked on, and those whose turn does not come in time are not begun."""

import asyncio
import base64
import gc
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from adapters.isolation.processes import IsolatedProcesses
from adapters.label_studio.schemas import PredictRequest
from adapters.prediction.outcome import Failure
from adapters.settings import Settings
from adapters.video import people_in_clips
from adapters.video.errors import VideoError
from adapters.video.limits import CLIPS_IN_HAND
from adapters.video.people_in_clips import LEAST_SHARE, PeopleInClips
from tests.conftest import Within
from tests.support.clips import RATE, counting, encoded
from tests.support.predictor import picture_source, predicting
from wholebody.detection import Detections
from wholebody.person import Person

IN_TIME = 60.0
LIMITS = Settings().video_limits


class Detector:
    """Finds one person in every frame, once it is let."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.looks = 0
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, picture: NDArray[np.uint8]) -> Detections:
        self.looks += 1
        await self.free.wait()
        await asyncio.sleep(self.seconds)
        return Detections(np.array([[5, 5, 25, 45]], np.float32), np.array([0.9], np.float32))


def clip(seconds: float = 0.4) -> str:
    file = encoded(counting(round(seconds * RATE)))
    return "data:video/mp4;base64," + base64.b64encode(file).decode()


@asynccontextmanager
async def looking(detector: Detector) -> AsyncGenerator[PeopleInClips]:
    async with picture_source(LIMITS) as clips, IsolatedProcesses() as processes, asyncio.timeout(20):
        yield PeopleInClips(clips, detector, processes)


@asynccontextmanager
async def all_places_taken(clips: PeopleInClips, detector: Detector) -> AsyncGenerator[None]:
    """As many clips as are worked on at once, until the block ends."""
    detector.free.clear()
    others = [
        asyncio.create_task(clips.find(clip(), n, share_s=IN_TIME, ends_at=time.monotonic() + IN_TIME))
        for n in range(CLIPS_IN_HAND)
    ]
    while detector.looks < CLIPS_IN_HAND:  # noqa: ASYNC110 - what is counted sets no event
        await asyncio.sleep(0.01)
    yield
    detector.free.set()
    await asyncio.gather(*others)


async def test_a_clip_waits_for_its_turn_and_has_it() -> None:
    detector = Detector()
    async with looking(detector) as clips:
        async with all_places_taken(clips, detector):
            ends_at = time.monotonic() + IN_TIME
            waiting = asyncio.create_task(clips.find(clip(), 9, share_s=IN_TIME, ends_at=ends_at))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        people = await waiting

    assert len(people.tracks) == 1


async def test_one_whose_turn_does_not_come_in_time_is_told_so_before_the_time_is_over(
    within: Within,
) -> None:
    detector, share_s = Detector(), 2.0
    async with looking(detector) as clips, all_places_taken(clips, detector):
        began = time.monotonic()
        with within(share_s), pytest.raises(VideoError, match="Retry this one") as caught:
            await clips.find("data:,never fetched", 9, share_s=share_s, ends_at=began + share_s)
        took_s = time.monotonic() - began

    assert caught.value.reason == "time_budget"
    assert took_s > LEAST_SHARE * share_s - 0.1


async def test_with_too_little_time_left_it_is_told_so_at_once() -> None:
    detector = Detector()
    async with looking(detector) as clips:
        with pytest.raises(VideoError, match="Retry this one") as caught:
            await clips.find(clip(), 9, share_s=90, ends_at=time.monotonic() + 40)

    assert (caught.value.reason, detector.looks) == ("time_budget", 0)


@pytest.mark.promise("clips-leave-no-memory")
async def test_ten_clips_are_let_go_of_without_garbage_collection() -> None:
    padding = 10 * 2**20
    file = encoded(counting(10)) + (padding + 8).to_bytes(4, "big") + b"free" + bytes(padding)
    address = "data:video/mp4;base64," + base64.b64encode(file).decode()
    async with picture_source(LIMITS) as files, IsolatedProcesses() as processes, asyncio.timeout(120):
        clips = PeopleInClips(files, Detector(), processes)

        async def look() -> int:
            people = await clips.find(address, 9, share_s=IN_TIME, ends_at=time.monotonic() + IN_TIME)
            assert len(people.tracks) == 1
            return psutil.Process().memory_info().rss

        gc.disable()
        try:
            first = await look()
            last = [await look() for _ in range(10)][-1]
        finally:
            gc.enable()
    assert last - first < 6 * padding, "ten clips that stay take ten times the padding"


async def test_its_place_is_free_again_for_others() -> None:
    detector = Detector()
    async with looking(detector) as clips:
        for _ in range(2 * CLIPS_IN_HAND):
            with pytest.raises(VideoError):
                await clips.find(clip(), 9, share_s=90, ends_at=time.monotonic())
        people = await clips.find(clip(), 9, share_s=90, ends_at=time.monotonic() + 90)

    assert len(people.tracks) == 1


async def test_a_clip_that_is_too_long_for_what_is_left_may_be_had_the_next_time() -> None:
    long, share_s = clip(20), 2.0

    async def reason(left_s: float) -> str:
        async with looking(Detector(0.4)) as clips:
            with pytest.raises(VideoError) as caught:
                await clips.find(long, 9, share_s=share_s, ends_at=time.monotonic() + left_s)
        return caught.value.reason

    assert await reason(0.6 * share_s) == "time_budget"
    assert await reason(5 * share_s) == "too_long", "however slowly it is fetched and decoded here"


async def test_of_the_clips_of_one_request_those_beyond_the_first_are_left_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(people_in_clips, "LEAST_SHARE", 0.9)  # the last is told after a second of ten
    detector = Detector()
    detector.free.clear()
    config = (
        '<View><Video name="video" value="$video"/><VideoRectangle name="box" toName="video"/>'
        '<Labels name="labels" toName="video"><Label value="person"/></Labels></View>'
    )
    tasks = [{"id": number, "data": {"video": clip()}} for number in range(CLIPS_IN_HAND + 1)]

    async def nobody(picture: object, boxes: object) -> list[Person]:
        return []

    async with predicting(nobody, detect=detector, limits=LIMITS) as (predictor, status):
        request = PredictRequest.model_validate({"tasks": tasks, "label_config": config})

        async def free_the_others() -> None:
            while detector.looks < CLIPS_IN_HAND or status.in_hand > CLIPS_IN_HAND:  # noqa: ASYNC110 - the status sets no event
                await asyncio.sleep(0.02)
            detector.free.set()

        _, slots = await asyncio.gather(free_the_others(), predictor.predict(request, time_budget_s=10))

    *done, failure = slots
    assert all(isinstance(slot, dict) for slot in done)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.frames_done) == ("time_budget", None)
    assert "Other clips used up the time" in failure.detail


async def test_a_frame_rate_that_is_not_the_clip_s_is_logged_with_the_one_to_write(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = (
        '<View><Video name="video" value="$video"/><VideoRectangle name="box" toName="video"/>'
        '<Labels name="labels" toName="video"><Label value="person"/></Labels></View>'
    )
    asked = PredictRequest.model_validate(
        {"tasks": [{"id": 7, "data": {"video": clip(2)}}], "project": "1.1", "label_config": config}
    )

    async def nobody(picture: object, boxes: object) -> list[Person]:
        return []

    async with predicting(nobody, detect=Detector(), limits=LIMITS) as (predictor, _):
        (slot,) = await predictor.predict(asked, time_budget_s=IN_TIME)

    assert not isinstance(slot, Failure)
    said = [line for line in caplog.messages if "clip is shown otherwise" in line]
    assert len(said) == 1
    assert "task=7" in said[0]
    assert 'frameRate="25"' in said[0]
