"""Limits on clips."""

from dataclasses import dataclass

CLIPS_IN_HAND = 2
"""Clips held in memory at once, over all requests."""


@dataclass(frozen=True)
class ClipLimits:
    """Limits on one clip.

    Attributes:
        max_pixels: width × height of a frame.
        max_frames: of the clip.
        index_seconds: CPU time for reading the times of all frames.
        frame_seconds: CPU time for decoding from one processed frame to the next.
    """

    max_pixels: int = 9_000_000
    max_frames: int = 200_000
    index_seconds: float = 5.0
    frame_seconds: float = 5.0


INDEX_BYTES = 96 * 2**20
"""Memory for opening a clip and reading the times of all frames; 200,000 frames take 40 MB."""
CLIP_BYTES = 280_000_000
"""Memory for decoding all clips at once. FFmpeg took 100 to 245 MB for frames of 3840 × 2160 pixels, by their codec."""
