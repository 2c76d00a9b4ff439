"""All wanted frames of a clip, damaged ones included."""

from collections.abc import Sequence

import numpy as np
import pytest

from adapters.concurrency.memory_budget import MemoryBudget
from adapters.isolation.processes import IsolatedProcesses
from adapters.video.errors import VideoError
from adapters.video.every_frame import clip_frames, wanted_frames
from adapters.video.isolated_clip import isolated_clip
from adapters.video.limits import CLIP_BYTES
from tests.support.clips import RATE, counting, encoded

TIMES = 2 + np.arange(10) / 10
FRAMES = 30


@pytest.mark.parametrize(
    ("start", "end", "every", "frames"),
    [
        (0, None, 1, list(range(10))),
        (2.3, 2.7, 1, [3, 4, 5, 6]),
        (2.25, None, 3, [3, 6, 9]),
        (0, 2.1, 5, [0]),
    ],
)
def test_a_part_begins_at_its_start_and_ends_before_its_end(
    start: float, end: float | None, every: int, frames: list[int]
) -> None:
    assert wanted_frames(TIMES, start, end, every).tolist() == frames


@pytest.mark.parametrize(("start", "end"), [(5.0, None), (0.0, 1.5), (2.31, 2.39)])
def test_a_part_without_frames_is_refused_with_the_clip_s_times(start: float, end: float | None) -> None:
    with pytest.raises(VideoError, match=r"no frame between .* Its frames are shown from 2\.00 to 2\.90 s\."):
        wanted_frames(TIMES, start, end)


async def read(data: bytes, wanted: Sequence[int]) -> list[tuple[int, float, int | None]]:
    """The number, the time and the level of each frame."""
    async with (
        IsolatedProcesses() as processes,
        isolated_clip(data, processes, MemoryBudget(CLIP_BYTES)) as clip,
    ):
        return [
            (
                frame.index,
                round(frame.time, 4),
                None if frame.picture is None else round(float(frame.picture.mean()) / 8),
            )
            async for frame in clip_frames(clip, np.array(wanted, np.intp))
        ]


@pytest.mark.parametrize("wanted", [range(FRAMES), range(3, 20, 4), [29]])
async def test_each_wanted_frame_comes_once(wanted: Sequence[int]) -> None:
    assert await read(encoded(counting(FRAMES)), wanted) == [(i, round(i / RATE, 4), i) for i in wanted]


async def test_a_damaged_frame_comes_without_a_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, 48, 64, 3), np.uint8)
    data = bytearray(encoded(list(noise)))
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)

    frames = await read(bytes(data), range(FRAMES))

    assert [index for index, _, _ in frames] == list(range(FRAMES))
    whole = [level is not None for _, _, level in frames]
    assert whole[0]
    assert not all(whole)


async def test_a_clip_of_damaged_frames_is_refused() -> None:
    data = bytearray(encoded(counting(FRAMES)))
    at = data.index(b"mdat") + 4
    data[at : at + 200_000] = bytes(len(data[at : data.index(b"moov") - 4]))

    with pytest.raises(VideoError, match=r"No frame of the clip can be decoded|damaged|truncated"):
        await read(bytes(data), range(FRAMES))
