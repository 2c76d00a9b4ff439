"""A clip with its people drawn over it, as MP4 without sound."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from adapters.files.clips.writer import ClipFileError, ClipWriter
from adapters.pictures.overlay import draw_people
from wholebody.posed_clip import PosedClip, PosedFrame

_TICKS = 90_000  # per second: frames keep their times, however long each is shown
_LONGEST_SIDE = 16_384  # of H.264's largest level, and of MPEG-4


class OverlayWriter(ClipWriter):
    """Draws people over frames, or on black, so that a recording need not leave the house.

    H.264 if this build of FFmpeg has it, else MPEG-4. Sides are made even, as both need, by repeating the last row.

    Args:
        path: Of the MP4 file.
        clip: The clip.
        threshold: Lowest score of a keypoint that is drawn.

    Raises:
        ClipFileError: Frames are too large.
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path, clip: PosedClip, threshold: float) -> None:
        super().__init__(path)
        if max(clip.width, clip.height) > _LONGEST_SIDE:
            raise ClipFileError(
                f"An overlay has at most {_LONGEST_SIDE} pixels a side. Make the clip smaller."
            )
        self._threshold = threshold
        self._size = clip.width, clip.height
        self._start: float | None = None
        self._last_tick = -1
        self._container: OutputContainer = av.open(str(self._unfinished), "w", format="mp4")
        self._stream = self._new_stream(clip)

    def write(self, frame: PosedFrame, picture: NDArray[np.uint8] | None = None) -> None:
        """Add a frame.

        Args:
            frame: Its people.
            picture: H×W×3 uint8, BGR, of the clip's size; None to draw on black.
        """
        width, height = self._size
        if picture is None:
            picture = np.zeros((height, width, 3), np.uint8)
        drawn = draw_people(picture, [posed.person for posed in frame.people], self._threshold)
        even = cv2.copyMakeBorder(drawn, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self._start = frame.time if self._start is None else self._start
        self._last_tick = max(round((frame.time - self._start) * _TICKS), self._last_tick + 1)
        encoded = av.VideoFrame.from_ndarray(np.asarray(even, np.uint8), format="bgr24")
        encoded.pts, encoded.time_base = self._last_tick, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(encoded))

    def _new_stream(self, clip: PosedClip) -> VideoStream:
        rate = Fraction(clip.fps).limit_denominator(1001)
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream: VideoStream = self._container.add_stream(codec, rate=rate)
        stream.width, stream.height = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        if codec == "libx264":
            stream.options = {"preset": "veryfast", "crf": "20"}
        else:
            stream.bit_rate = 8_000_000
        return stream

    def _finish(self) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()

    def _release(self) -> None:
        self._container.close()
