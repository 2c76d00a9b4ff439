"""One entry of the prediction cache: what it is called, and its bytes.

The bytes come back from a store that others can write to, so they are never trusted: no pickle, a checksum, and every
length compared. Numbers are kept exactly, not rounded: a score next to a threshold must not change sides, nor an
answer depend on which replica computed it. zlib makes it a third to four fifths of the size.
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
"""Part of every name: replicas of two releases may share a store, and must not read each other's bytes."""
MAX_PEOPLE = 500
"""More people in one picture are not kept, so that the size of an entry has a bound."""

# After the magic: checksum of all that follows it, width and height in pixels, number of people.
_HEADER = struct.Struct("<4sIIII")
_MAGIC = b"rwbp"
_CHECKED_FROM = 8
# Box, score of the box, keypoints, their scores; float32, little endian.
_NUMBERS = 4 + 1 + 2 * KEYPOINT_COUNT + KEYPOINT_COUNT
_NUMBER_BYTES = 4
MAX_ENTRY_BYTES = _HEADER.size + MAX_PEOPLE * _NUMBERS * _NUMBER_BYTES * 101 // 100
"""Longest entry: zlib adds less than a hundredth to what it cannot make smaller."""

PromptBox = tuple[int, int, int, int]
"""x1, y1, x2, y2 of a drawn box, in whole pixels."""


class EntryError(ValueError):
    """Bytes that are no entry."""


@dataclass(frozen=True)
class FoundPeople:
    """The people in one picture, before any threshold.

    Attributes:
        people: Those found, in their order.
        size: Width and height of the upright picture in pixels.
    """

    people: tuple[Person, ...]
    size: tuple[int, int]


def picture_digest(picture: bytes) -> str:
    """Return the digest of a picture's file; blocking, and made to run in a thread."""
    return hashlib.sha256(picture).hexdigest()


def prompt_box(x1: float, y1: float, x2: float, y2: float) -> PromptBox:
    """Round a drawn box to whole pixels: an annotator means no less, and a thin one must stay a box."""
    left, top = round(x1), round(y1)
    return left, top, max(round(x2), left + 1), max(round(y2), top + 1)


def entry_name(digest: str, model_version: str, box: PromptBox | None) -> str:
    """Return the name of an entry.

    The braces make a Redis Cluster place an entry by its picture alone.

    Args:
        digest: Of the picture.
        model_version: Changes whenever the same picture can give other people.
        box: The box that was drawn, or None for the people in the whole picture.
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
    """Return what was encoded. The arrays cannot be written to.

    Raises:
        EntryError: These bytes are no entry, or a damaged one.
    """
    if len(data) < _HEADER.size:
        raise EntryError("too short")
    magic, checksum, width, height, count = _HEADER.unpack_from(data)
    if magic != _MAGIC or checksum != zlib.crc32(data[_CHECKED_FROM:]):
        raise EntryError("another format, or a wrong checksum")
    if count > MAX_PEOPLE or not width or not height:
        raise EntryError("sizes that cannot be")
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
        # One byte more than may come out: what would unfold to gigabytes ends there.
        planes = unpacker.decompress(compressed, length + 1)
    except zlib.error as error:
        raise EntryError("damaged") from error
    if len(planes) != length or not unpacker.eof or unpacker.unused_data:
        raise EntryError("another length than it says")
    octets = np.frombuffer(planes, np.uint8).reshape(_NUMBER_BYTES, -1).T
    numbers = np.ascontiguousarray(octets).view("<f4").reshape(count, _NUMBERS)
    numbers.flags.writeable = False
    return numbers
