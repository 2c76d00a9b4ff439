"""All wanted frames of a clip, in order."""

from collections.abc import AsyncGenerator

import numpy as np
from numpy.typing import NDArray

from adapters.video.clip import Frame
from adapters.video.errors import VideoError
from adapters.video.isolated_clip import IsolatedClip
from wholebody.clips.pipeline import ClipFrame

_SAME_S = 1e-4  # times are rational numbers in the file, and floats here


def wanted_frames(
    times: NDArray[np.float64], start: float = 0.0, end: float | None = None, every: int = 1
) -> NDArray[np.intp]:
    """Return the numbers of the frames that are shown from `start` until before `end`, and of these every n-th.

    Args:
        times: Of all frames, in seconds, rising.
        start: In seconds.
        end: In seconds; None for the clip's end.
        every: 1 for all.

    Raises:
        VideoError: There are none.
    """
    first = int(np.searchsorted(times, start - _SAME_S))
    last = len(times) if end is None else int(np.searchsorted(times, end - _SAME_S))
    wanted = np.arange(first, last, every, dtype=np.intp)
    if not len(wanted):
        until = f"{times[-1]:.2f} s" if end is None else f"{end:.2f} s"
        raise VideoError(
            "broken_video",
            f"The clip has no frame between {start:.2f} and {until}. Its frames are shown from {times[0]:.2f} to "
            f"{times[-1]:.2f} s.",
        )
    return wanted


async def clip_frames(clip: IsolatedClip, wanted: NDArray[np.intp]) -> AsyncGenerator[ClipFrame]:
    """Decode frames of a clip that was not read before.

    Args:
        clip: The clip.
        wanted: Numbers of the frames, rising.

    Yields:
        Each wanted frame; without a picture if it is damaged.

    Raises:
        VideoError: None of them can be decoded, or decoding takes too much time or memory.
    """
    decoded: Frame | None = None
    ended = any_decoded = False
    for index in wanted.tolist():
        time = float(clip.times[index])
        if not ended and (decoded is None or decoded.time < time - _SAME_S):
            decoded = await clip.next_frame(time)
            ended = decoded is None
        here = decoded is not None and decoded.time <= time + _SAME_S
        any_decoded |= here
        yield ClipFrame(index, time, decoded.picture if decoded is not None and here else None)
    if not any_decoded:
        raise VideoError("broken_video", "No frame of the clip can be decoded. Export it again.")
