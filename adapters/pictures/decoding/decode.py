"""From the bytes of a picture to its upright pixels.

Decoding matches what browsers show: EXIF orientation applied, transparency on white, the first frame of an animation.
Ordinary 8-bit pictures equal those of ``cv2.imread``. It differs for transparent pictures (it shows the colour under
the transparency) and for WEBP with an orientation (it applies it).
"""

import math
import os
import re
import struct
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from adapters.pictures.decoding.ordinary import OrdinaryHeader, exif_orientation, ordinary_header, webp_size
from adapters.pictures.decoding.other_formats import what_it_is
from adapters.pictures.errors import PictureError
from adapters.pictures.limits import PictureLimits
from adapters.sentences import printable

# The first bytes determine the format; names and media types are ignored. The classes are used directly, since
# Image.open would try every format that Pillow knows (some run external programs), and its pixel limit is global to
# the process.
_FORMATS: tuple[tuple[re.Pattern[bytes], Callable[[BytesIO], ImageFile.ImageFile], str], ...] = (
    (re.compile(rb"\xff\xd8\xff"), JpegImageFile, ".jpg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile, ".png"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile, ".webp"),
    (re.compile(rb"GIF8[79]a"), GifImageFile, ".gif"),
    (re.compile(rb"BM"), BmpImageFile, ".bmp"),
    (re.compile(rb"II\*\0(?!....CR)|MM\0\*|II\+\0|MM\0\+"), TiffImageFile, ".tif"),
    (re.compile(rb"....ftyp(?:....){0,20}?avi[fs]", re.DOTALL), AvifImageFile, ".avif"),
)
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each thread of its decoder takes memory for a frame
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # no byte stuffing, fill or restart marker
# Encoders write about ten scans. Each further one costs a pass over the whole picture and a few bytes only.
_MAX_JPEG_SCANS = 100
_MAX_JPEG_SEGMENTS = 10_000
_MAX_EXIF_SEGMENTS = 100  # each is appended to those before it
_MAX_PNG_CHUNKS = 200_000
_MAX_PNG_TEXTS = 10_000  # and other chunks without pixels
_BMP_BYTES_PER_PIXEL = 16  # four, or run lengths; each byte more costs a step in Python
_BMP_HEADER_BYTES = 4_000_000  # colour profiles included
_AVIF_BYTES_PER_PIXEL = (
    16  # planes of 16 bits with transparency, and two copies of the pixels; 12 with 8 bits
)
_WEBP_BYTES_PER_PIXEL = 17  # two canvases, one as bytes, one as pixels
_TURNED = (JpegImageFile, PngImageFile, AvifImageFile)
_STRIP_PIXELS = 250_000
"""Pixels converted in one step, so intermediate arrays stay small."""
_SMALL_PIXELS = 3_000_000
"""Up to this size, OpenCV may briefly hold two copies of its result."""


@dataclass(frozen=True)
class PictureSize:
    """Width and height in pixels, of the upright picture."""

    width: int
    height: int


@dataclass(frozen=True)
class PictureHeader:
    """The properties of a picture that are known before it is decoded.

    Attributes:
        size: Of the upright picture.
        decoder_bytes: Memory that decoding needs beside the file and the decoded pixels.
        pixel_bytes: Memory of the decoded pixels while they are turned upright.
        ordinary: Its header, if OpenCV can decode it in a thread; see `ordinary`.
    """

    size: PictureSize
    decoder_bytes: int
    pixel_bytes: int
    ordinary: OrdinaryHeader | None


def decode(data: bytes, *, max_pixels: int = PictureLimits.max_pixels) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, WEBP, AVIF, GIF, BMP or TIFF file; blocking, without a time limit.

    Truncated files are errors, although browsers show their upper part: an annotator should not correct people
    on half a picture. Colour profiles are not applied, as in ``cv2.imread``. 16-bit channels keep their upper
    byte, as in browsers; float and 32-bit grey, which no browser shows, is stretched from its minimum to its
    maximum.

    Args:
        data: the whole file.
        max_pixels: width x height that is decoded at most.

    Returns:
        (height, width, 3) BGR, contiguous, upright.

    Raises:
        PictureError: ``not_a_picture``, ``broken_picture`` or ``too_many_pixels``.
    """
    header = ordinary_header(data)
    if header is not None and header.as_browsers:
        _check_pixels(header.width, header.height, max_pixels)
        pixels = decode_ordinary(data, header)
        if pixels is not None:
            return pixels
    stored = decode_stored(data, max_pixels=max_pixels)
    pixels = np.empty((stored.height, stored.width, 3), np.uint8)
    top = 0
    for rows in stored.rows:
        pixels[top : top + len(rows)] = rows
        top += len(rows)
    return turn_upright(pixels, stored.orientation)


def measure(data: bytes, *, max_pixels: int = PictureLimits.max_pixels) -> PictureSize:
    """Return the size that ``decode`` would give, from the header alone.

    Raises:
        PictureError: as ``decode``, where the header shows it.
    """
    header = measure_ordinary(data, max_pixels=max_pixels) or measure_other(data, max_pixels=max_pixels)
    return header.size


def measure_ordinary(data: bytes, *, max_pixels: int) -> PictureHeader | None:
    """Read the header of an ordinary picture; None for every other picture.

    Raises:
        PictureError: ``not_a_picture`` or ``too_many_pixels``.
    """
    _format_of(data)
    header = ordinary_header(data)
    if header is None:
        return None
    _check_pixels(header.width, header.height, max_pixels)
    pixels = header.width * header.height
    one_copy = header.orientation == 1 and (pixels > _SMALL_PIXELS or not header.as_browsers)
    ordinary = header if header.as_browsers else None
    return PictureHeader(_upright_size(header), header.decoder_bytes, 3 * pixels * (2 - one_copy), ordinary)


def measure_other(data: bytes, *, max_pixels: int) -> PictureHeader:
    """Read the header of any picture with Pillow.

    Raises:
        PictureError: as ``decode``, where the header shows it.
    """
    size = webp_size(data)
    if size is not None:  # Pillow takes 8 bytes for each of its pixels only to open it
        _check_pixels(*size, max_pixels)
        header = OrdinaryHeader(*size, 1, _WEBP_BYTES_PER_PIXEL * size[0] * size[1])
        return PictureHeader(
            _upright_size(header), header.decoder_bytes, 3 * size[0] * size[1], ordinary=None
        )
    picture = _open(data, max_pixels)
    header = OrdinaryHeader(
        picture.width, picture.height, _orientation(picture), _pillow_bytes(picture, data)
    )
    copies = 1 if header.orientation == 1 else 2
    pixel_bytes = 3 * picture.width * picture.height * copies
    return PictureHeader(_upright_size(header), header.decoder_bytes, pixel_bytes, ordinary=None)


def _upright_size(header: OrdinaryHeader) -> PictureSize:
    if header.orientation >= 5:
        return PictureSize(header.height, header.width)
    return PictureSize(header.width, header.height)


def decode_ordinary(data: bytes, header: OrdinaryHeader) -> NDArray[np.uint8] | None:
    """Decode an ordinary picture with OpenCV, 2 to 3 times as fast as Pillow; return None if OpenCV fails."""
    flags = (
        cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )  # we apply it, for all formats and decoders alike
    try:
        if header.width * header.height > _SMALL_PIXELS and sys.platform == "linux":
            pixels = _read_large(data, flags)
        else:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    # Two readers of one header must have read the same.
    if pixels is None or pixels.shape != (header.height, header.width, 3):  # pyright: ignore[reportUnnecessaryComparison] - its type hides the None
        return None
    return turn_upright(np.asarray(pixels, np.uint8), header.orientation)


def _read_large(data: bytes, flags: int) -> NDArray[np.uint8] | None:
    """Decode without `imdecode`'s extra copy of the pixels: `imread` can write to a given array."""
    file = os.memfd_create("picture")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
        return cv2.imread(f"/proc/self/fd/{file}", None, flags)  # pyright: ignore - its types know one form only
    finally:
        os.close(file)


@dataclass(frozen=True)
class StoredPicture:
    """A picture as stored, before its orientation is applied.

    Attributes:
        width: In pixels.
        height: In pixels.
        orientation: By EXIF, 1 to 8.
        rows: Its rows from the top in blocks of (n, width, 3) BGR, contiguous. Iterating may raise `PictureError`.
    """

    width: int
    height: int
    orientation: int
    rows: Iterator[NDArray[np.uint8]]


def decode_stored(data: bytes, *, max_pixels: int) -> StoredPicture:
    """Decode any picture with Pillow.

    Raises:
        PictureError: as ``decode``.
    """
    picture = _open(data, max_pixels)
    orientation = _orientation(picture)
    with _damage_named(picture):
        picture.load()
    # Pillow applies the orientation of TIFF files while it loads them.
    return StoredPicture(picture.width, picture.height, orientation, _rows(picture))


@contextmanager
def _damage_named(picture: ImageFile.ImageFile) -> Generator[None]:
    """Turn any error within the block into a `PictureError`."""
    try:
        yield
    # Files may be hostile, and parsers raise many kinds of errors: OSError, SyntaxError, struct.error, IndexError,
    # zlib.error, MemoryError...
    except Exception as error:
        raise PictureError(
            "broken_picture",
            f"The {picture.format} picture is truncated or damaged ({_words(error)}). Export it again.",
        ) from error


def _rows(picture: ImageFile.ImageFile) -> Iterator[NDArray[np.uint8]]:
    with _damage_named(picture):
        convert = _converter(picture)
        for piece in _pieces(picture):
            yield convert(piece)


def _pieces(picture: Image.Image) -> Iterator[Image.Image]:
    rows = max(1, _STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        yield picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def suffix_of(data: bytes) -> str | None:
    """Return the usual ending of a picture's file, such as `.jpg`; None for no supported format."""
    return next((suffix for signature, _, suffix in _FORMATS if signature.match(data)), None)


def _format_of(data: bytes) -> Callable[[BytesIO], ImageFile.ImageFile]:
    open_header = next((open_ for signature, open_, _ in _FORMATS if signature.match(data)), None)
    if open_header is None:
        raise PictureError("not_a_picture", f"The file {what_it_is(data)}.")
    return open_header


def _open(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header, and reject pictures that take too much time or memory."""
    open_header = _format_of(data)
    if open_header is JpegImageFile:
        _check_jpeg_structure(data)
    if open_header is PngImageFile:
        _check_png_structure(data)
    try:
        picture = open_header(BytesIO(data))
    except Image.DecompressionBombError as error:
        raise PictureError(
            "too_many_pixels", f"The picture is too large to be decoded ({_words(error)}). Make it smaller."
        ) from error
    except Exception as error:  # as in decode
        raise PictureError(
            "broken_picture", f"The picture's header is damaged ({_words(error)}). Export it again."
        ) from error
    width, height = picture.size
    if width < 1 or height < 1:
        raise PictureError(
            "broken_picture",
            f"The header gives a size of {width} x {height} pixels. Export the picture again.",
        )
    _check_pixels(width, height, max_pixels)
    if open_header is BmpImageFile and len(data) > _BMP_BYTES_PER_PIXEL * width * height + _BMP_HEADER_BYTES:
        raise PictureError(
            "broken_picture",
            f"The BMP picture of {width} x {height} pixels has {len(data)} bytes, too many. Export it again.",
        )
    return picture


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PictureError(
            "too_many_pixels",
            f"The picture has {width} x {height} pixels; the limit is {max_pixels} in total. Make it smaller.",
        )


def _pillow_bytes(picture: ImageFile.ImageFile, data: bytes) -> int:
    """Return the memory that Pillow needs to decode a picture, measured for each format."""
    per_pixel = 1 if picture.mode in {"1", "L", "P"} else 2 if picture.mode.startswith("I;16") else 4
    if isinstance(picture, TiffImageFile):
        per_pixel *= 2  # it may be one strip, or be turned
    elif isinstance(picture, JpegImageFile) and (
        "progressive" in picture.info or data.count(b"\xff\xda") > 1
    ):
        per_pixel += 2 * len(picture.getbands())  # all coefficients, until the last scan
    elif isinstance(picture, AvifImageFile):
        per_pixel = _AVIF_BYTES_PER_PIXEL
    elif isinstance(picture, BmpImageFile) and picture.tile and picture.tile[0][0] == "bmp_rle":
        per_pixel += 2
    return per_pixel * picture.width * picture.height


def _check_jpeg_structure(data: bytes) -> None:
    """Reject JPEG files that keep a decoder busy: a scan of a few bytes costs a pass over all pixels.

    Segments are skipped by their length (ITU-T T.81 annex B), so embedded thumbnails are not counted.
    """
    position, scans, segments, exifs = 2, 0, 0, 0
    while (marker := _JPEG_MARKER.search(data, position)) is not None and marker[0] != b"\xff\xd9":
        position = marker.end()
        segments += 1
        if marker[0] not in {b"\xff\x01", b"\xff\xd8"}:  # these two have no length
            scans += marker[0] == b"\xff\xda"
            exifs += marker[0] == b"\xff\xe1" and data.startswith(b"Exif", position + 2)
            position += max(int.from_bytes(data[position : position + 2]), 2)
        if scans > _MAX_JPEG_SCANS or segments > _MAX_JPEG_SEGMENTS or exifs > _MAX_EXIF_SEGMENTS:
            raise PictureError(
                "broken_picture",
                f"The JPEG picture has more than {_MAX_JPEG_SCANS} scans, {_MAX_JPEG_SEGMENTS} segments or "
                f"{_MAX_EXIF_SEGMENTS} EXIF blocks. Export it again.",
            )


def _check_png_structure(data: bytes) -> None:
    """Reject PNG files with too many chunks, each of which costs time (PNG, third edition, 5.3)."""
    position, chunks, texts = 8, 0, 0
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        chunks += 1
        texts += name != b"IDAT"
        if chunks > _MAX_PNG_CHUNKS or texts > _MAX_PNG_TEXTS:
            raise PictureError(
                "broken_picture",
                f"The PNG picture has more than {_MAX_PNG_CHUNKS} chunks, or {_MAX_PNG_TEXTS} without pixels. Export "
                "it again.",
            )


def _converter(picture: Image.Image) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """Return a function that converts a piece of the picture from its mode to (height, width, 3) BGR."""
    if picture.mode not in {"I", "F"}:
        return _to_bgr
    ranges = [_finite_range(piece) for piece in _pieces(picture)]
    low = min((low for low, _ in ranges), default=math.inf)
    high = max((high for _, high in ranges), default=-math.inf)
    return lambda piece: _grey_to_bgr(_stretched(np.asarray(piece, np.float64), low, high))


def _to_bgr(picture: Image.Image) -> NDArray[np.uint8]:
    """Convert any of Pillow's modes to (height, width, 3) BGR."""
    if picture.mode.startswith("I;16"):
        return _grey_to_bgr((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        # Browsers draw transparent pictures on the page, and Label Studio's canvas is white. Annotators never see the
        # colour stored under transparent pixels, which cv2.imread shows.
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema() != (255, 255):  # screenshots are often RGBA, and opaque
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    rgb = np.asarray(picture.convert("RGB"))
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)


def _grey_to_bgr(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def _finite_range(piece: Image.Image) -> tuple[float, float]:
    """Return the minimum and maximum of a piece; (inf, -inf) if it has no finite number."""
    levels = np.asarray(piece)
    finite = levels[np.isfinite(levels)]
    return (float(finite.min()), float(finite.max())) if finite.size else (math.inf, -math.inf)


def _stretched(grey: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    """Stretch grey levels from the range of the whole picture to 0..255."""
    if low >= high:
        return np.zeros(grey.shape, np.uint8)
    # Divide before subtracting: the difference of two large floats may overflow.
    scale = max(abs(low), abs(high), 1e-300)
    span = high / scale - low / scale
    if span == 0:
        return np.zeros(grey.shape, np.uint8)
    levels = (np.where(np.isfinite(grey), grey, low) / scale - low / scale) * (255 / span)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _orientation(picture: ImageFile.ImageFile) -> int:
    """Return the EXIF orientation, 1 to 8.

    Measured with Chromium 156: it applies the EXIF block of JPEG and PNG if it precedes the pixels. It ignores the
    orientation of WEBP (which cv2.imread applies) and in XMP (which Pillow's getexif reads). Pillow itself turns TIFF.
    For AVIF it replaces the orientation of the EXIF block by that of the container (irot, imir), as browsers do.
    """
    block = picture.info.get("exif")
    if not isinstance(block, bytes) or not isinstance(picture, _TURNED):
        return 1
    return exif_orientation(block)


def turn_upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (CIPA DC-008, tag 0x0112)."""
    if orientation >= 5:
        pixels = cv2.transpose(pixels)  # pyright: ignore[reportAssignmentType] - OpenCV keeps the dtype
    # The remaining flip: 1 horizontal, 0 vertical, -1 both.
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    if flip is not None:
        pixels = cv2.flip(pixels, flip)  # pyright: ignore[reportAssignmentType]
    return pixels


def _words(error: Exception) -> str:
    return printable(str(error) or type(error).__name__, 120)
