"""From the bytes of a clip to its upright frames.

Supported are the formats that browsers play, since Label Studio shows clips with the browser's player: MP4 (also called
MOV, M4V and 3GP) and WebM (Matroska). FFmpeg supports hundreds more, some of which open other files or addresses named
in the file. It is restricted to one format and a few codecs, and may open nothing else.
"""

import io
import re
import time as clock
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NoReturn, Self, TypeGuard

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from adapters.sentences import printable
from adapters.video.errors import VideoError
from adapters.video.limits import ClipLimits
from adapters.video.orientation import Orientation

_FORMATS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"....(ftyp|moov|mdat|wide|free|skip)", re.DOTALL), "mov"),
    (re.compile(rb"\x1a\x45\xdf\xa3"), "matroska"),
)
_SIGNATURE_BYTES = 12
_CODECS = "h264,hevc,av1,libdav1d,vp8,vp9,mpeg4"
_PROBED_BYTES = 5_000_000
_PROBED_US = 5_000_000
_DECODER_THREADS = 2
_WORKING_BYTES = 64 * 2**20  # the threads' stacks, the decoder's tables, the frame that is scaled down
_NO_TIME = -(2**62)  # FFmpeg encodes an unknown time as the smallest number
_WHOLE = 0.9  # of the duration in the header; less means a truncated file
_NEARLY_S = 1e-4  # times are rational numbers in the file, and floats here


@dataclass(frozen=True)
class Frame:
    """A frame of a clip.

    Attributes:
        time: When it is shown, in seconds from the clip's beginning.
        picture: H×W×3 uint8, BGR, upright, with at most `ClipLimits.longest_side` pixels on a side.
    """

    time: float
    picture: NDArray[np.uint8]


class Clip:
    """A clip whose frames are decoded one after the other, in an isolated process: see `isolated`.

    A context manager: FFmpeg's memory is freed at its end, not at the next garbage collection.

    Args:
        source: The file, or its path: it is then read as it is needed.
        limits: Limits on the clip.

    Attributes:
        times: When each frame is shown, in seconds from the beginning, rising.
        duration: Of the clip in seconds, as a browser's player shows it.
        codec: FFmpeg's name of the codec.
        damaged: Packets that could not be decoded so far.
        decoder_bytes: Memory that decoding needs: FFmpeg keeps reference frames.

    Raises:
        VideoError: The file is no clip, or exceeds the limits.
    """

    def __init__(self, source: bytes | Path, limits: ClipLimits | None = None) -> None:
        self._limits = limits or ClipLimits()
        self.damaged = 0
        self._file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        container, stream = _opened(self._file, self._limits)
        try:
            start_us = container.start_time
            pts, key_pts = _index(container, stream, self._limits)
            assert stream.time_base is not None, "the index needs it"
            self._unit = float(stream.time_base)
            said = container.duration
        finally:
            container.close()
        # A stream that starts late is shown late. Only times before 0 are moved, sound included (as in Chromium).
        self._start = min(start_us / 1e6 if _known(start_us) else pts[0] * self._unit, 0.0)
        self.times = np.maximum(np.array(pts) * self._unit - self._start, 0.0)
        self._key_pts = np.array(key_pts)
        self._key_times = self._key_pts * self._unit - self._start
        frame_s = _frame_length(pts) * self._unit
        self.duration = max(said / 1e6 if _known(said) else 0.0, float(self.times[-1]) + frame_s)
        # Opened again: not every file can seek to its beginning.
        self._container, self._stream = _opened(self._file, self._limits)
        self.codec = self._stream.codec_context.name
        self.decoder_bytes = _decoder_bytes(self._stream, self._limits)
        self._frames = self._decoded()
        self._decoded_until = -np.inf
        self._orientation: Orientation | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frames = iter(())
        self._container.close()
        self._file.close()

    def next_frame(self, time: float) -> Frame | None:
        """Decode up to the first frame at or after a time; None at the end of the clip.

        Call it with rising times. Damaged packets are counted and skipped.

        Raises:
            VideoError: Decoding takes too long, or a frame is larger than its header.
        """
        self._skip_to(time)
        deadline = clock.process_time() + self._limits.frame_seconds
        for frame in self._frames:
            if clock.process_time() > deadline:
                raise VideoError(
                    "too_long",
                    f"Decoding a frame takes more than {self._limits.frame_seconds:.0f} s. "
                    "Make the clip smaller, or its key frames more frequent.",
                )
            if frame is None or frame.pts is None or frame.is_corrupt:
                continue
            at = max(frame.pts * self._unit - self._start, 0.0)
            self._decoded_until = at
            if at >= time - _NEARLY_S:
                if self._orientation is None:  # once: a frame whose side data was read is freed late
                    self._orientation = Orientation.of(frame)
                return Frame(at, _upright(frame, self._orientation, self._limits))
        return None

    def _skip_to(self, time: float) -> None:
        """Seek to the last key frame before a time, unless decoding has passed it or the next frame is wanted."""
        following = int(np.searchsorted(self.times, self._decoded_until + _NEARLY_S, side="right"))
        if following < len(self.times) and time <= self.times[following] + _NEARLY_S:
            return
        key = int(np.searchsorted(self._key_times, time + _NEARLY_S, side="right")) - 1
        if key >= 0 and self._key_times[key] > self._decoded_until + _NEARLY_S:
            try:
                self._container.seek(int(self._key_pts[key]), stream=self._stream)
            except (FFmpegError, OSError):
                return  # decoding on without seeking gives the same frames, but later
            self._frames = self._decoded()

    def _decoded(self) -> Iterator[VideoFrame | None]:
        """Yield each decoded frame, and None after every packet, so the caller can check the time."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:  # the file ends within a packet, or contains something else
                self.damaged += 1
                return
            if packet is None:
                return
            yield None
            try:
                yield from packet.decode()
            except FFmpegError:
                self.damaged += 1


def _opened(file: BinaryIO, limits: ClipLimits) -> tuple[InputContainer, VideoStream]:
    file.seek(0)
    head = file.read(_SIGNATURE_BYTES)
    file.seek(0)
    kind = next((name for signature, name in _FORMATS if signature.match(head)), None)
    if kind is None:
        raise VideoError(
            "not_a_video",
            f"The file is {'neither MP4 (MOV) nor WebM (Matroska)' if head else 'empty'}. "
            "Convert it with: ffmpeg -i clip -pix_fmt yuv420p clip.mp4",
        )
    options = {
        "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm",
        "codec_whitelist": _CODECS,
        "protocol_whitelist": "",
        "probesize": str(_PROBED_BYTES),
        "analyzeduration": str(_PROBED_US),
        "max_pixels": str(limits.max_pixels),
    }
    try:
        container = av.open(
            file, "r", format=kind, options=options, metadata_errors="ignore", io_open=_refuse
        )
    except (FFmpegError, ValueError, OSError, MemoryError) as error:
        raise VideoError(
            "broken_video", f"The clip is truncated or damaged ({_words(error)}). Export it again."
        ) from error
    try:
        return container, _pictures_of(container, limits)
    except VideoError:
        container.close()
        raise


def _pictures_of(container: InputContainer, limits: ClipLimits) -> VideoStream:
    """Return the stream that is shown, ready to be decoded."""
    stream = next(
        (one for one in container.streams.video if Disposition.attached_pic not in one.disposition), None
    )
    if stream is None:
        raise VideoError("not_a_video", "The clip has no video stream, only sound or text. Export it again.")
    codec = stream.codec_context
    if codec is None or codec.name not in _CODECS.split(","):  # pyright: ignore[reportUnnecessaryComparison] - None where FFmpeg has no decoder
        raise VideoError(
            "not_a_video",
            "The clip has none of the supported codecs (H.264, H.265, VP8, VP9, AV1, MPEG-4). "
            "Convert it with: ffmpeg -i clip -pix_fmt yuv420p clip.mp4",
        )
    if codec.width * codec.height > limits.max_pixels:
        raise _too_many_pixels(codec.width, codec.height, limits)
    codec.options = {"max_pixels": str(limits.max_pixels)}
    codec.thread_count = _DECODER_THREADS
    return stream


def _decoder_bytes(stream: VideoStream, limits: ClipLimits) -> int:
    codec = stream.codec_context
    bits = codec.format.padded_bits_per_pixel if codec.format else 24
    return limits.frames_kept * codec.width * codec.height * bits // 8 + _WORKING_BYTES


def _index(container: InputContainer, stream: VideoStream, limits: ClipLimits) -> tuple[list[int], list[int]]:
    """Return the times of all frames and of the key frames, without decoding; the header's index is not used."""
    shown: list[int] = []
    keys: list[int] = []
    deadline = clock.process_time() + limits.index_seconds
    try:
        for packet in container.demux(stream):
            if packet.pts is not None and packet.size and not packet.is_discard:
                shown.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
            if len(shown) > limits.max_frames or clock.process_time() > deadline:
                raise VideoError(
                    "too_long",
                    f"The clip has more than {limits.max_frames} frames, or counting them takes more than "
                    f"{limits.index_seconds:.0f} s. Cut it into shorter clips.",
                )
    except FFmpegError as error:
        raise VideoError(
            "broken_video",
            f"The clip is damaged after {len(shown)} frames ({_words(error)}). Export it again.",
        ) from error
    shown.sort()
    promised = (stream.duration or 0) if len(shown) > 1 else 0  # a single frame may be shown for long
    if not shown or shown[-1] - shown[0] + _frame_length(shown) < _WHOLE * promised:
        raise VideoError(
            "broken_video",
            f"The clip is truncated: it ends after {len(shown)} frames. Upload or export it again.",
        )
    return list(dict.fromkeys(shown)), sorted(keys)


def _frame_length(pts: list[int]) -> int:
    """Return the median duration of a frame in the file's units of time."""
    return sorted(b - a for a, b in pairwise(pts))[(len(pts) - 1) // 2] if len(pts) > 1 else 0


def _upright(frame: VideoFrame, orientation: Orientation, limits: ClipLimits) -> NDArray[np.uint8]:
    if frame.width * frame.height > limits.max_pixels:
        raise _too_many_pixels(frame.width, frame.height, limits)
    longest = max(frame.width, frame.height)
    ratio = min(1.0, (limits.longest_side or longest) / longest)
    small = frame.reformat(
        width=max(1, round(frame.width * ratio)),
        height=max(1, round(frame.height * ratio)),
        format="bgr24",
        interpolation="AREA" if ratio < 1 else "BILINEAR",
        threads=1,
    )
    return orientation.applied(np.asarray(small.to_ndarray(), np.uint8))


def _too_many_pixels(width: int, height: int, limits: ClipLimits) -> VideoError:
    return VideoError(
        "too_many_pixels",
        f"The clip's frames have {width} x {height} pixels; the limit is MAX_VIDEO_PIXELS={limits.max_pixels}. "
        "Make them smaller, or raise it.",
    )


def _refuse(*what: object, **options: object) -> NoReturn:
    """Refuse to open the files or addresses that a clip refers to."""
    raise PermissionError("a clip may not refer to other files")


def _known(microseconds: int | None) -> TypeGuard[int]:
    return microseconds is not None and microseconds > _NO_TIME


def _words(error: Exception) -> str:
    return printable(str(error) or type(error).__name__, 120)
