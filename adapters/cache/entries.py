"""An entry of the prediction cache: its name and its bytes.

Others can write to the store, so its bytes are not trusted: no pickle, a checksum, and every length is checked. Numbers
are not rounded: a score near a threshold must stay on its side, and a result must not depend on the replica that
computed it. zlib reduces an entry to between a third and four fifths of its size.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT

FORMAT_VERSION = 1
"""Part of every name: replicas of two releases may share a store, but must not read each other's entries."""
MAX_PEOPLE = 500
"""Results with more people are not cached, which limits the size of an entry."""

# After the magic: checksum of the rest, width and height in pixels, number of people.
_HEADER = struct.Struct("<4sIIII")
_MAGIC = b"rwbp"
_CHECKED_FROM = 8
# Box, score of the box, keypoints, their scores; float32, little endian.
_NUMBERS = 4 + 1 + 2 * KEYPOINT_COUNT + KEYPOINT_COUNT
_NUMBER_BYTES = 4
MAX_ENTRY_BYTES = _HEADER.size + MAX_PEOPLE * _NUMBERS * _NUMBER_BYTES * 101 // 100
"""Longest entry: zlib adds less than 1 % to incompressible data."""

PromptBox = tuple[int, int, int, int]
"""x1, y1, x2, y2 of a drawn box, in whole pixels."""


class EntryError(ValueError):
    """The bytes are no valid entry."""


@dataclass(frozen=True)
class FoundPeople:
    """The people in one picture, before any threshold.

    Attributes:
        people: The people, in order of detection.
        size: Width and height of the upright picture in pixels.
    """

    people: tuple[Person, ...]
    size: tuple[int, int]


def picture_digest(picture: bytes) -> str:
    """Return the digest of a picture's file; blocking, to be run in a thread."""
    return hashlib.sha256(picture).hexdigest()


def prompt_box(x1: float, y1: float, x2: float, y2: float) -> PromptBox:
    """Round a drawn box to whole pixels, at least one wide and high."""
    left, top = round(x1), round(y1)
    return left, top, max(round(x2), left + 1), max(round(y2), top + 1)


def entry_name(digest: str, model_version: str, box: PromptBox | None) -> str:
    """Return the name of an entry.

    The braces make a Redis Cluster choose the slot by the picture alone.

    Args:
        digest: Of the picture.
        model_version: Changes whenever results for the same picture can change.
        box: The drawn box, or None for the people in the whole picture.
    """
    prompt = "whole" if box is None else ",".join(map(str, box))
    return f"rtmlib:{FORMAT_VERSION}:{{{digest}}}:{model_version}:{prompt}"


def encode(found: FoundPeople) -> bytes:
    """Return the bytes of an entry, at most MAX_ENTRY_BYTES for at most MAX_PEOPLE."""
    numbers = np.empty((len(found.people), _NUMBERS), "<f4")
    for row, person in zip(numbers, found.people, strict=True):
        row[:4], row[4] = person.box, person.box_score
        row[5 : 5 + 2 * KEYPOINT_COUNT] = person.keypoints.ravel()
        row[5 + 2 * KEYPOINT_COUNT :] = person.scores
    # All first bytes, then all second bytes, ...: signs and exponents repeat, and compress well side by side.
    planes = numbers.view(np.uint8).reshape(-1, _NUMBER_BYTES).T.tobytes()
    body = struct.pack("<III", *found.size, len(found.people)) + zlib.compress(planes, 1)
    return _MAGIC + struct.pack("<I", zlib.crc32(body)) + body


def decode(data: bytes) -> FoundPeople:
    """Return the decoded people. Their arrays are read-only.

    Raises:
        EntryError: The bytes are no entry, or a damaged one.
    """
    if len(data) < _HEADER.size:
        raise EntryError("too short")
    magic, checksum, width, height, count = _HEADER.unpack_from(data)
    if magic != _MAGIC or checksum != zlib.crc32(data[_CHECKED_FROM:]):
        raise EntryError("wrong format or checksum")
    if count > MAX_PEOPLE or not width or not height:
        raise EntryError("impossible sizes")
    numbers = _numbers(data[_HEADER.size :], count)
    people = tuple(
        Person(
            box=row[:4],
            box_score=float(row[4]),
            keypoints=row[5 : 5 + 2 * KEYPOINT_COUNT].reshape(KEYPOINT_COUNT, 2),
            scores=row[5 + 2 * KEYPOINT_COUNT :],
        )
        for row in numbers
    )
    return FoundPeople(people, (width, height))


def _numbers(compressed: bytes, count: int) -> NDArray[np.float32]:
    length = count * _NUMBERS * _NUMBER_BYTES
    unpacker = zlib.decompressobj()
    try:
        # The limit is one byte above the expected size, so a decompression bomb stops there.
        planes = unpacker.decompress(compressed, length + 1)
    except zlib.error as error:
        raise EntryError("damaged") from error
    if len(planes) != length or not unpacker.eof or unpacker.unused_data:
        raise EntryError("wrong length")
    octets = np.frombuffer(planes, np.uint8).reshape(_NUMBER_BYTES, -1).T
    numbers = np.ascontiguousarray(octets).view("<f4").reshape(count, _NUMBERS)
    numbers.flags.writeable = False
    return numbers
