"""Limits on clips."""

from dataclasses import dataclass

CLIPS_IN_HAND = 2
"""Clips held in memory at once, over all requests."""

LONGEST_SIDE = 1280
"""Pixels: detectors use 640, and a few frames at once fit into any memory."""


@dataclass(frozen=True)
class ClipLimits:
    """Limits on one clip.

    Attributes:
        max_pixels: width × height of a frame.
        max_frames: of the clip.
        index_seconds: CPU time for reading the times of all frames.
        frame_seconds: CPU time for decoding from one processed frame to the next.
        cpu_seconds: CPU time for the whole clip: two threads for the length of a request, and a margin.
        frames_kept: Frames for which there is memory: references, those waiting to be shown, and one for each thread.
        longest_side: Larger frames are scaled down to this, in pixels; None to keep their size.
    """

    max_pixels: int = 16_000_000
    max_frames: int = 200_000
    index_seconds: float = 5.0
    frame_seconds: float = 5.0
    cpu_seconds: int = 300
    frames_kept: int = 16
    longest_side: int | None = LONGEST_SIDE

    @property
    def index_bytes(self) -> int:
        """Memory for opening a clip and reading the times of all frames; 200,000 frames take 40 MB."""
        return max(INDEX_BYTES, _BYTES_PER_FRAME * self.max_frames)

    @property
    def picture_bytes(self) -> int:
        """Largest picture of a frame, 3 bytes a pixel."""
        return 3 * (self.max_pixels if self.longest_side is None else self.longest_side**2)


def file_limits(max_pixels: int) -> ClipLimits:
    """Return the limits on a file that the user names: any length, and frames in their full size."""
    return ClipLimits(
        max_pixels,
        max_frames=5_000_000,
        index_seconds=600,
        frame_seconds=60,
        cpu_seconds=10**7,
        frames_kept=40,
        longest_side=None,
    )


INDEX_BYTES = 96 * 2**20
_BYTES_PER_FRAME = 400
CLIP_BYTES = 280_000_000
"""Memory for decoding all clips at once. FFmpeg took 100 to 245 MB for frames of 3840 × 2160 pixels, by their codec."""
CLIP_BYTES_PER_PIXEL = 30
"""The same for one clip with larger frames."""
