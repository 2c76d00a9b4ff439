"""Clips made to cost much: read in a process with a limit of memory and time."""

import asyncio
from collections.abc import AsyncIterator, Callable

import psutil
import pytest

from adapters.concurrency.memory_budget import MemoryBudget
from adapters.isolation.processes import IsolatedProcesses
from adapters.video.errors import VideoError
from adapters.video.isolated_clip import isolated_clip
from adapters.video.limits import CLIP_BYTES, INDEX_BYTES
from tests.conftest import Within
from tests.support import hostile_files
from tests.support.clips import counting, encoded
from tests.unit.conftest import Descendants

SMALL_AND_HUGE = (
    hostile_files.mp4_of_promised_samples,
    hostile_files.mp4_of_promised_samples_in_tracks,
    hostile_files.mp4_of_edits,
    hostile_files.mp4_of_fragments,
    hostile_files.mp4_of_compact_sizes,
    hostile_files.mp4_of_tracks,
    hostile_files.mp4_nested,
    hostile_files.matroska_of_attachments,
    hostile_files.matroska_of_tags,
)
BASE_BYTES = 60_000_000
"""Of a forked process before it reads anything, what it shares included."""


@pytest.fixture
async def processes(descendants: Descendants) -> AsyncIterator[IsolatedProcesses]:
    async with IsolatedProcesses() as opened, asyncio.timeout(120):
        # The server that forks is started before anything is measured: until it runs its own program, it has all the
        # memory of these tests.
        async with isolated_clip(encoded(counting(1)), opened, MemoryBudget(CLIP_BYTES)):
            pass
        yield opened


@pytest.mark.promise("unusual-files-isolated")
@pytest.mark.parametrize("make", SMALL_AND_HUGE, ids=lambda make: make.__name__)
async def test_a_hostile_clip_takes_no_more_memory_than_it_is_given(
    descendants: Descendants, processes: IsolatedProcesses, make: Callable[[], bytes], within: Within
) -> None:
    data, most, done = make(), 0, asyncio.Event()

    async def watch() -> None:
        nonlocal most
        while not done.is_set():
            for process in descendants():
                try:
                    most = max(most, process.memory_info().rss)
                except psutil.Error:
                    continue
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    with within(30), pytest.raises(VideoError) as caught:
        async with isolated_clip(data, processes, MemoryBudget(CLIP_BYTES)):
            pass
    done.set()
    await watching
    assert caught.value.reason == "broken_video"
    assert most < INDEX_BYTES + len(data) + BASE_BYTES + 50_000_000


async def test_other_clips_are_read_beside_one(processes: IsolatedProcesses) -> None:
    budget = MemoryBudget(CLIP_BYTES)
    async with isolated_clip(encoded(counting(20)), processes, budget) as good:
        with pytest.raises(VideoError):
            async with isolated_clip(hostile_files.mp4_of_promised_samples(), processes, budget):
                pass
        frame = await good.next_frame(0.4)
    assert frame is not None
    assert frame.time == pytest.approx(0.4)
    assert frame.picture.shape == (48, 64, 3)


@pytest.mark.parametrize(
    "make", [lambda: hostile_files.h264_bomb(60), hostile_files.av1_bomb], ids=["h264", "av1"]
)
async def test_frames_of_nine_megapixels_have_the_memory_that_they_need(
    processes: IsolatedProcesses, make: Callable[[], bytes]
) -> None:
    async with isolated_clip(make(), processes, MemoryBudget(CLIP_BYTES)) as clip:
        looks = 0
        while (frame := await clip.next_frame(0.3 * looks)) is not None and looks < 6:
            looks += 1
            assert frame.picture.shape == (675, 1280, 3)
    assert looks >= 6
    assert clip.damaged == 0


async def test_a_hundred_thousand_frames_are_counted_and_looked_at(processes: IsolatedProcesses) -> None:
    async with isolated_clip(
        hostile_files.clip_of_100_000_frames(), processes, MemoryBudget(CLIP_BYTES)
    ) as clip:
        assert len(clip.times) == 100_000
        for time_s in (0.0, 2_000.0, 3_999.0):
            frame = await clip.next_frame(time_s)
            assert frame is not None
            assert frame.time == pytest.approx(time_s, abs=0.05)
