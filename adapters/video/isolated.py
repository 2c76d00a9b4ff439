"""The function that an isolated process runs on a clip."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from adapters.isolation.blocking_channel import BlockingChannel
from adapters.isolation.fork_server import limit_memory
from adapters.video.clip import Clip
from adapters.video.errors import VideoError
from adapters.video.limits import ClipLimits


def read_here(channel: BlockingChannel, data: bytes, *, path: str | None, limits: dict[str, Any]) -> None:
    """Send the properties of a clip, then each requested frame, or the error.

    Args:
        channel: To the caller.
        data: The file; empty if there is a path.
        path: Of the file.
        limits: A `ClipLimits` as JSON values.
    """
    try:
        with Clip(data if path is None else Path(path), ClipLimits(**limits)) as clip:
            times = np.ascontiguousarray(clip.times, np.float64)
            said = {"duration": clip.duration, "codec": clip.codec, "decoder_bytes": clip.decoder_bytes}
            channel.send(said, times.data.cast("B"))
            order, _ = channel.receive()
            limit_memory(order["memory_bytes"])
            while True:
                order, _ = channel.receive()
                _send_frame(channel, clip, order["time"])
    except VideoError as error:
        channel.send({"reason": error.reason, "sentence": str(error)})
    except OSError as error:
        channel.send({"reason": "broken_video", "sentence": f"The file cannot be read: {error.strerror}."})
    except EOFError:  # the caller needs no more frames
        return


def _send_frame(channel: BlockingChannel, clip: Clip, time: float) -> None:
    frame = clip.next_frame(time)
    if frame is None:
        channel.send({"damaged": clip.damaged})
        return
    height, width, _ = frame.picture.shape
    channel.send(
        {"damaged": clip.damaged, "time": frame.time, "width": width, "height": height},
        frame.picture.data.cast("B"),
    )


def as_arguments(limits: ClipLimits) -> dict[str, Any]:
    """Return limits as JSON values."""
    return dataclasses.asdict(limits)
