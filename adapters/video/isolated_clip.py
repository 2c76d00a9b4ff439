"""A clip that an isolated process decodes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.concurrency.memory_budget import MemoryBudget
from adapters.isolation.processes import Channel, IsolatedProcesses, ProcessEndedError
from adapters.video.clip import Frame
from adapters.video.errors import VideoError
from adapters.video.isolated import as_arguments, read_here
from adapters.video.limits import ClipLimits

WALL_FACTOR = 4
"""Wall time limit as a multiple of the CPU time, since the process shares the CPUs."""
_INDEX_BYTES_PER_FRAME = 8


class IsolatedClip:
    """A clip whose frames are decoded one after the other.

    Args:
        channel: To the process that decodes it.
        limits: Limits on the clip.
        times: When each frame is shown, in seconds from the beginning, rising.
        duration: Of the clip in seconds, as a browser's player shows it.
        codec: FFmpeg's name of the codec.

    Attributes:
        damaged: Packets that could not be decoded so far.
    """

    def __init__(
        self,
        channel: Channel,
        limits: ClipLimits,
        times: NDArray[np.float64],
        duration: float,
        codec: str,
    ) -> None:
        self._channel = channel
        self._limits = limits
        self.times = times
        self.duration = duration
        self.codec = codec
        self.damaged = 0

    async def next_frame(self, time: float) -> Frame | None:
        """Decode up to the first frame at or after a time; None at the end of the clip.

        Call it with rising times.

        Raises:
            VideoError: Decoding takes too much time or memory, or a frame is larger than its header.
        """
        said, pixels = await _answer(
            self._channel, {"time": time}, self._limits.frame_seconds, self._limits.picture_bytes
        )
        self.damaged = said["damaged"]
        if "time" not in said:
            return None
        return Frame(said["time"], pixels.reshape(said["height"], said["width"], 3))


@asynccontextmanager
async def isolated_clip(
    source: bytes | Path, processes: IsolatedProcesses, memory: MemoryBudget, limits: ClipLimits | None = None
) -> AsyncGenerator[IsolatedClip]:
    """Open a clip in its own process, which ends with the block.

    Args:
        source: The file, of which the process gets a copy, so the caller need not keep it; or its path.
        processes: Runs the process.
        memory: Budget of all clips.
        limits: Limits on the clip.

    Raises:
        VideoError: The file is no clip, or exceeds the limits.
    """
    limits = limits or ClipLimits()
    try:
        async with processes.run(
            read_here,
            source if isinstance(source, bytes) else b"",
            memory_bytes=limits.index_bytes,
            cpu_seconds=limits.cpu_seconds,
            short=False,
            path=None if isinstance(source, bytes) else str(Path.cwd() / source),
            limits=as_arguments(limits),
        ) as channel:
            del source
            said, times = await _answer(
                channel, None, limits.index_seconds, _INDEX_BYTES_PER_FRAME * limits.max_frames
            )
            async with memory.hold(said["decoder_bytes"]) as held:
                await channel.send({"memory_bytes": held.count})
                yield IsolatedClip(channel, limits, times.view(np.float64), said["duration"], said["codec"])
    except ProcessEndedError as error:
        raise _too_much() from error


async def _answer(
    channel: Channel, order: dict[str, Any] | None, seconds: float, most_bytes: int
) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Send an order, if there is one, and wait for the response."""
    try:
        # At least a second: the process may have to wait for a CPU first.
        async with asyncio.timeout(WALL_FACTOR * max(seconds, 1)):
            if order is not None:
                await channel.send(order)
            said, payload = await channel.receive(most_bytes)
    except (ProcessEndedError, TimeoutError) as error:
        raise _too_much() from error
    if "reason" in said:
        raise VideoError(said["reason"], said["sentence"])
    return said, payload


def _too_much() -> VideoError:
    return VideoError(
        "broken_video",
        "Decoding the clip takes too much memory or time, or crashes. Export it again with: "
        "ffmpeg -i clip -pix_fmt yuv420p clip.mp4",
    )
