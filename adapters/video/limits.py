"""How much clips may cost."""

from dataclasses import dataclass

CLIPS_IN_HAND = 2
"""Clips held in memory at once, over all requests."""


@dataclass(frozen=True)
class ClipLimits:
    """Bounds on what one clip may cost.

    Attributes:
        max_pixels: width × height of a frame.
        max_frames: of the clip.
        index_seconds: for finding out when each frame is shown.
        frame_seconds: for decoding from one frame that is looked at to the next.
    """

    max_pixels: int = 9_000_000
    max_frames: int = 200_000
    index_seconds: float = 5.0
    frame_seconds: float = 5.0
