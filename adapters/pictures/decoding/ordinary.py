"""The headers of ordinary pictures, read without a library.

Nearly all pictures are JPEG, PNG or WEBP files with few segments, which OpenCV decodes as browsers do. Their header
and structure bound time and memory, so they are decoded in a thread. An isolated process decodes all others: see
`decoder`.
"""

import math
import re
import struct
from dataclasses import dataclass

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_WEBP = re.compile(rb"RIFF....WEBP", re.DOTALL)
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # no byte stuffing, fill or restart marker
_JPEG_BARE = frozenset({0x01, 0xD8})  # without a length
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the others are tables
_JPEG_HUFFMAN = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive; browsers show no others
_ORIENTATION = 0x0112
_TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_INTEGERS = {3: "H", 4: "I"}  # types of EXIF values

# More than cameras and programs write, and little enough: each takes well under 2 s, most take milliseconds.
_MAX_SEGMENTS = 1_000
_MAX_SCANS = 25
_MAX_SCANNED_PIXELS = 600_000_000
_MAX_CHUNKS = 30_000
_MAX_ANCILLARY_CHUNKS = 200
_MAX_PACKED_BYTES = 100_000
_MAX_UNPACKED_BYTES = 400_000_000
_MAX_WEBP_CHUNKS = 100
_MAX_WEBP_PIXELS = 30_000_000
_LOSSLESS_BYTES_PER_PIXEL = 5


@dataclass(frozen=True)
class OrdinaryHeader:
    """The header of an ordinary picture.

    Attributes:
        width: In pixels, as stored.
        height: In pixels, as stored.
        orientation: By EXIF, 1 to 8.
        decoder_bytes: Memory that the decoder needs in addition to the returned pixels.
        as_browsers: Whether OpenCV decodes it as browsers do; it is then decoded in a thread.
    """

    width: int
    height: int
    orientation: int
    decoder_bytes: int
    as_browsers: bool = True


def ordinary_header(data: bytes) -> OrdinaryHeader | None:
    """Read the header of an ordinary picture; None for every other file.

    Blocking: some milliseconds for large files.
    """
    try:
        if data.startswith(_JPEG):
            return _jpeg(data)
        if data.startswith(_PNG):
            return _png(data)
        if _WEBP.match(data):
            return _webp(data)
    except (struct.error, IndexError):  # truncated
        return None
    return None


def exif_orientation(block: bytes) -> int:
    """Return the orientation in an EXIF block, 1 to 8; 1 without any. CIPA DC-008, tag 0x0112.

    Only this tag is read: there may be thousands of others, and each may claim the whole block as its value.
    """
    tiff = block.removeprefix(b"Exif\0\0")
    order = _TIFF_ORDERS.get(tiff[:4])
    if order is None or len(tiff) < 10:
        return 1
    (offset,) = struct.unpack_from(f"{order}I", tiff, 4)
    if offset > len(tiff) - 2:
        return 1
    (count,) = struct.unpack_from(f"{order}H", tiff, offset)
    entries = tiff[offset + 2 : offset + 2 + 12 * count]
    found = 1
    for tag, kind, values, value in struct.iter_unpack(f"{order}HHI4s", entries[: len(entries) // 12 * 12]):
        if tag == _ORIENTATION and values == 1 and kind in _INTEGERS:
            (found,) = struct.unpack_from(order + _INTEGERS[kind], value)
    return found if 1 <= found <= 8 else 1


def _jpeg(data: bytes) -> OrdinaryHeader | None:
    """ITU-T T.81 annex B. Segments are skipped by their length, so embedded thumbnails are not read."""
    frame: tuple[int, bytes] | None = None
    exif: list[bytes] = []
    position, scans, segments = 2, 0, 0
    while (found := _JPEG_MARKER.search(data, position)) is not None and found[0] != b"\xff\xd9":
        marker, position = found[0][1], found.end()
        segments += 1
        if segments > _MAX_SEGMENTS:
            return None
        if marker in _JPEG_BARE:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if marker in _JPEG_FRAMES:
            if frame is not None or scans:
                return None
            frame = marker, data[position + 2 : position + length]
        elif marker == 0xE1 and data.startswith(b"Exif\0\0", position + 2):
            exif.append(data[position + 2 : position + length])
        scans += marker == 0xDA
        position += max(length, 2)
    if found is None:  # no end marker: truncated, which OpenCV may hide
        return None
    if frame is None or frame[0] not in _JPEG_HUFFMAN or not 1 <= scans <= _MAX_SCANS or len(exif) > 1:
        return None
    depth, height, width, components = struct.unpack_from(">BHHB", frame[1])
    sampling = [(pair >> 4, pair & 15) for pair in frame[1][7 : 6 + 3 * components : 3]]
    pixels = width * height
    if (
        (depth != 8 or not pixels)
        or (components not in {1, 3} or len(sampling) != components)
        or not all(1 <= x <= 4 and 1 <= y <= 4 for x, y in sampling)
        or pixels * scans > _MAX_SCANNED_PIXELS
    ):
        return None
    # With more than one scan, the decoder keeps all coefficients, 16 bits each, until the last scan.
    several = frame[0] == 0xC2 or scans > 1
    finest = max(x for x, _ in sampling) * max(y for _, y in sampling)
    coefficients = math.ceil(pixels * sum(x * y for x, y in sampling) / finest) if several else 0
    return OrdinaryHeader(width, height, exif_orientation(exif[0]) if exif else 1, 2 * coefficients)


def _png(data: bytes) -> OrdinaryHeader | None:
    """PNG, third edition, 5.3 and 11.2. OpenCV drops transparency, and scales 16-bit grey differently."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    pixels, channels = width * height, _PNG_CHANNELS.get(colour, 0)
    if data[12:16] != b"IHDR" or not 0 < pixels * channels * depth < 8 * _MAX_UNPACKED_BYTES:
        return None
    transparent = colour in {4, 6}
    position, pixels_begun, ancillary, packed, orientation = 8, False, 0, 0, 1
    for _ in range(_MAX_CHUNKS):
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"IEND":
            if not pixels_begun:
                return None
            if not transparent and (colour, depth) != (0, 16):
                return OrdinaryHeader(width, height, orientation, 0)
            pillow_bytes = pixels * (1 if colour == 3 else 4)
            return OrdinaryHeader(width, height, orientation, pillow_bytes, as_browsers=False)
        if name == b"IDAT":
            pixels_begun = True
        else:
            ancillary += 1
            packed += length * (name in {b"zTXt", b"iTXt", b"iCCP"})
        transparent |= name == b"tRNS"
        if name == b"acTL" or ancillary > _MAX_ANCILLARY_CHUNKS or packed > _MAX_PACKED_BYTES:
            return None
        if name == b"eXIf" and not pixels_begun:  # browsers ignore it after the pixels
            orientation = exif_orientation(data[position + 8 : position + 8 + length])
        position += 12 + length
    return None


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of any WEBP picture in pixels; None for every other file."""
    if not _WEBP.match(data):
        return None
    try:
        frame = _webp_frame(data)
    except (struct.error, IndexError):
        return None
    return (frame.width, frame.height) if frame else None


@dataclass(frozen=True)
class _WebpFrame:
    """The size of a frame; `plain` if it has neither transparency nor animation."""

    width: int
    height: int
    plain: bool
    lossless: bool


def _webp(data: bytes) -> OrdinaryHeader | None:
    """Browsers ignore the EXIF orientation of WEBP."""
    frame = _webp_frame(data)
    if frame is None or not frame.plain or frame.width * frame.height > _MAX_WEBP_PIXELS:
        return None
    working = _LOSSLESS_BYTES_PER_PIXEL if frame.lossless else 0
    return OrdinaryHeader(frame.width, frame.height, 1, working * frame.width * frame.height)


def _webp_frame(data: bytes) -> _WebpFrame | None:
    """RFC 9649, 2.7: the canvas, and the first frame outside an animation."""
    position, canvas = 12, None
    for _ in range(_MAX_WEBP_CHUNKS):
        name, length = struct.unpack_from("<4sI", data, position)
        content = position + 8
        if name == b"VP8X":
            flags = data[content]
            canvas = tuple(
                int.from_bytes(data[content + at : content + at + 3], "little") + 1 for at in (4, 7)
            )
            if flags & 0x12:  # transparency, animation
                return _WebpFrame(*canvas, plain=False, lossless=False)
        elif name == b"VP8 ":
            code, width, height = struct.unpack_from("<3sHH", data, content + 3)
            width, height = width & 0x3FFF, height & 0x3FFF
            plain = code == b"\x9d\x01\x2a" and canvas in {None, (width, height)} and width > 0 < height
            return _WebpFrame(width, height, plain, lossless=False)
        elif name == b"VP8L":
            code, bits = struct.unpack_from("<BI", data, content)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
            plain = code == 0x2F and canvas in {None, (width, height)} and not bits >> 28 & 1
            return _WebpFrame(width, height, plain, lossless=True)
        position = content + length + length % 2
    return None
