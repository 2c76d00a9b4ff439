"""`.pose` files of sign-language-processing, version 0.2: opened by the library pose-format.

Format: https://github.com/sign-language-processing/pose/blob/master/docs/specs/v0.2.md. The library writes a clip that
is in memory as a whole; here frames go to a temporary file, and only their places in the final one are computed at the
end. Person and frame are places in two blocks: all positions, then all confidences.
"""

import struct
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions
from pose_format.utils.cocowholebody133_header import cocowholebody_components

from adapters.files.clips.visible import visible
from adapters.files.clips.writer import ClipFileError, ClipWriter
from wholebody.posed_clip import PosedClip, PosedFrame
from wholebody.schema import KEYPOINT_COUNT

VERSION = 0.2
_MOST = 0xFFFF
"""Largest side of a picture, and largest number of people: both are 16 bits."""
_BODY = struct.Struct("<fIH")  # frames per second, number of frames, number of people
_RECORD = np.dtype(
    [
        ("frame", "<u4"),
        ("person", "<u2"),
        ("points", "<f4", (KEYPOINT_COUNT, 2)),
        ("scores", "<f4", (KEYPOINT_COUNT,)),
    ]
)
_RECORDS_AT_ONCE = 512


class DotPoseWriter(ClipWriter):
    """Writes a `.pose` file with the COCO-WholeBody header of pose-format.

    Each id of the clip is one person of the file, by first appearance. Where a person or a keypoint is missing,
    positions and confidence are 0, which the library reads as masked.

    Raises:
        ClipFileError: The picture is too large for the format.
    """

    def __init__(self, path: Path, clip: PosedClip) -> None:
        super().__init__(path)
        if max(clip.width, clip.height) > _MOST:
            raise ClipFileError(f"A .pose file has at most {_MOST} pixels a side. Choose another format.")
        self._clip = clip
        self._places: dict[str, int] = {}
        self._frames = 0
        self._first = self._last = 0
        self._records: BinaryIO = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed by the writer

    def write(self, frame: PosedFrame) -> None:
        """Add a frame."""
        self._first = self._first if self._frames else frame.index
        self._last = frame.index
        records = np.zeros(len(frame.people), _RECORD)
        for record, posed in zip(records, frame.people, strict=True):
            place = self._places.setdefault(posed.id, len(self._places))
            if place >= _MOST:
                raise ClipFileError(f"A .pose file has at most {_MOST} people. Choose another format.")
            record["frame"], record["person"] = self._frames, place
            record["points"], record["scores"] = visible(posed)
        self._records.write(records.tobytes())
        self._frames += 1

    def _finish(self) -> None:
        people = max(len(self._places), 1)
        with self._unfinished.open("wb") as file:
            file.write(_header(self._clip))
            file.write(_BODY.pack(self._rate(), self._frames, people))
            points = file.tell()
            scores = points + self._frames * people * KEYPOINT_COUNT * 8
            file.truncate(scores + self._frames * people * KEYPOINT_COUNT * 4)  # zeros, which take no room
            for records in self._read():
                places = records["frame"].astype(np.int64) * people + records["person"]
                for place, record in zip(places.tolist(), records, strict=True):
                    file.seek(points + place * KEYPOINT_COUNT * 8)
                    file.write(record["points"].tobytes())
                    file.seek(scores + place * KEYPOINT_COUNT * 4)
                    file.write(record["scores"].tobytes())
        self._release()

    def _rate(self) -> float:
        """Return the frames per second of what was written, which may be every n-th frame only."""
        steps = self._last - self._first
        return self._clip.fps * (self._frames - 1) / steps if steps else self._clip.fps

    def _read(self) -> Iterator[NDArray[np.void]]:
        self._records.seek(0)
        while data := self._records.read(_RECORDS_AT_ONCE * _RECORD.itemsize):
            yield np.frombuffer(data, _RECORD)

    def _release(self) -> None:
        self._records.close()


def _header(clip: PosedClip) -> bytes:
    size = PoseHeaderDimensions(width=clip.width, height=clip.height, depth=0)
    buffer = BytesIO()
    PoseHeader(version=VERSION, dimensions=size, components=cocowholebody_components()).write(buffer)
    return buffer.getvalue()
