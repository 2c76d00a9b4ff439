"""From the bytes of a picture to its upright pixels.

What the annotator sees in the browser is what is decoded: EXIF orientation applied, transparency on white, the
first frame of an animation. Ordinary 8-bit pictures come out exactly as ``cv2.imread`` gives them; it differs
for transparent pictures (it shows the colour under the transparency) and for turned WEBP (it turns them).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base as ExifTag
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from adapters.pictures.errors import PictureError
from adapters.pictures.limits import PictureLimits

# What a file is, is told by how it begins; names and media types are not asked. The classes are used directly
# since Image.open would also try every other format that Pillow knows (some run external programs), and has a
# pixel limit of its own that is global to the process.
_FORMATS: tuple[tuple[re.Pattern[bytes], Callable[[BytesIO], ImageFile.ImageFile]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
    (re.compile(rb"GIF8[79]a"), GifImageFile),
    (re.compile(rb"BM"), BmpImageFile),
    (re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"), TiffImageFile),
)
_OTHERS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (
        re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE),
        "a web page, perhaps the login page of its server",
    ),
    (re.compile(rb"\s*<(\?xml|svg)"), "XML or SVG"),
    (re.compile(rb"....ftyp(avif|avis)", re.DOTALL), "an AVIF file"),
    (re.compile(rb"....ftyp(heic|heix|mif1|msf1)", re.DOTALL), "a HEIC file"),
    (re.compile(rb"%PDF"), "a PDF file"),
    (re.compile(rb"\s*[{\[]"), "JSON"),
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer, not the file itself"),
)
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # no byte stuffing, fill or restart marker
# Encoders write about ten scans. Each further one costs a pass over the whole picture and a few bytes only.
_MAX_JPEG_SCANS = 100
_MAX_JPEG_SEGMENTS = 10_000


@dataclass(frozen=True)
class PictureSize:
    """Width and height in pixels, of the upright picture."""

    width: int
    height: int


def decode(data: bytes, *, max_pixels: int = PictureLimits.max_pixels) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, WEBP, GIF, BMP or TIFF file; blocking, and made to run in a thread.

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
    picture = _open(data, max_pixels)
    orientation = _orientation(picture)
    pixels = _decode_fast(data, picture)
    if pixels is None:
        try:
            picture.load()
            pixels = _to_bgr(picture)
        # Files are hostile and parsers raise what they happen to trip over: OSError, SyntaxError, struct.error,
        # IndexError, zlib.error, MemoryError...
        except Exception as error:
            raise PictureError(
                "broken_picture",
                f"The {picture.format} picture is truncated or damaged ({_words(error)}); export it anew.",
            ) from error
    return _turn_upright(pixels, orientation)


def measure(data: bytes, *, max_pixels: int = PictureLimits.max_pixels) -> PictureSize:
    """Return the size that ``decode`` would give, from the header alone.

    Raises:
        PictureError: as ``decode``, where the header shows it.
    """
    picture = _open(data, max_pixels)
    width, height = picture.size
    return PictureSize(height, width) if _orientation(picture) >= 5 else PictureSize(width, height)


def _open(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header, and refuse what would cost too much."""
    open_header = next((open_ for signature, open_ in _FORMATS if signature.match(data)), None)
    if open_header is None:
        kind = next((name for signature, name in _OTHERS if signature.match(data)), None)
        found = f"is {kind}" if kind else "is none of them" if data else "is empty"
        raise PictureError(
            "not_a_picture",
            f"Pictures may be JPEG, PNG, WEBP, GIF, BMP or TIFF files, and this file {found}.",
        )
    if open_header is JpegImageFile:
        _check_jpeg_structure(data)
    try:
        picture = open_header(BytesIO(data))
    except Image.DecompressionBombError as error:
        raise PictureError(
            "too_many_pixels", f"The picture is too large to be decoded ({_words(error)})."
        ) from error
    except Exception as error:  # as in decode
        raise PictureError(
            "broken_picture", f"The picture's header is damaged ({_words(error)}); export it anew."
        ) from error
    width, height = picture.size
    if width < 1 or height < 1:
        raise PictureError(
            "broken_picture", f"The picture says it has {width} x {height} pixels; export it anew."
        )
    if width * height > max_pixels:
        raise PictureError(
            "too_many_pixels",
            f"The picture has {width} x {height} pixels; at most {max_pixels} in all are decoded, so make it smaller.",
        )
    return picture


def _check_jpeg_structure(data: bytes) -> None:
    """Refuse JPEG files made to keep a decoder busy: a few bytes of scan cost a pass over all pixels.

    Segments are skipped by their length (ITU-T T.81 annex B), so that thumbnails inside are not counted.
    """
    position, scans, segments = 2, 0, 0
    while (marker := _JPEG_MARKER.search(data, position)) is not None and marker[0] != b"\xff\xd9":
        position = marker.end()
        segments += 1
        if marker[0] not in {b"\xff\x01", b"\xff\xd8"}:  # these two have no length
            scans += marker[0] == b"\xff\xda"
            position += max(int.from_bytes(data[position : position + 2]), 2)
        if scans > _MAX_JPEG_SCANS or segments > _MAX_JPEG_SEGMENTS:
            raise PictureError(
                "broken_picture",
                f"The JPEG picture has more than {_MAX_JPEG_SCANS} scans or {_MAX_JPEG_SEGMENTS} segments, as no "
                "camera or program writes them; export it anew.",
            )


def _decode_fast(data: bytes, picture: ImageFile.ImageFile) -> NDArray[np.uint8] | None:
    """Decode with OpenCV what it shows as browsers do, two to three times as fast; None if it does not."""
    plain = picture.mode in {"RGB", "L", "1"} or (picture.mode == "P" and isinstance(picture, PngImageFile))
    if not (
        isinstance(picture, JpegImageFile | PngImageFile | WebPImageFile)
        and plain
        and "transparency" not in picture.info
        and not getattr(picture, "is_animated", False)
    ):
        return None
    try:
        # The orientation is applied by us for all formats and both decoders alike.
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    # OpenCV and Pillow must have read the same header.
    if pixels is None or pixels.shape != (picture.height, picture.width, 3):  # pyright: ignore[reportUnnecessaryComparison] - its type hides the None
        return None
    return np.asarray(pixels, np.uint8)


def _to_bgr(picture: Image.Image) -> NDArray[np.uint8]:
    """Convert any of Pillow's modes to (height, width, 3) BGR."""
    if picture.mode.startswith("I;16"):
        return _grey_to_bgr((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in {"I", "F"}:
        return _grey_to_bgr(_stretched(np.asarray(picture, np.float64)))
    if picture.has_transparency_data:
        # Browsers draw transparent pictures on the page, and Label Studio's canvas is white; the colour stored
        # under transparent pixels, which cv2.imread shows, is seen by nobody.
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema() != (255, 255):  # screenshots are often RGBA, and opaque
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    rgb = np.asarray(picture.convert("RGB"))
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)


def _grey_to_bgr(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def _stretched(grey: NDArray[np.float64]) -> NDArray[np.uint8]:
    finite = np.isfinite(grey)
    if not finite.any():
        return np.zeros(grey.shape, np.uint8)
    low, high = float(grey[finite].min()), float(grey[finite].max())
    # Divided before they are subtracted: the range of two large floats may not be one.
    scale = max(abs(low), abs(high), 1e-300)
    span = high / scale - low / scale
    if span == 0:
        return np.zeros(grey.shape, np.uint8)
    levels = (np.where(finite, grey, low) / scale - low / scale) * (255 / span)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _orientation(picture: ImageFile.ImageFile) -> int:
    """Return the EXIF orientation, 1 to 8.

    Chromium 156, measured: it turns JPEG and PNG by an EXIF block in front of the pixels, and neither WEBP (which
    cv2.imread does turn) nor by XMP (which Pillow's getexif takes too). TIFF files are turned by Pillow itself.
    """
    block = picture.info.get("exif")
    if not isinstance(block, bytes) or not isinstance(picture, JpegImageFile | PngImageFile):
        return 1
    exif = Image.Exif()
    try:
        exif.load(block)
        orientation = exif.get(ExifTag.Orientation, 1)
    except Exception:  # a damaged EXIF block, in whatever way, says nothing; the picture may still be fine
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _turn_upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (CIPA DC-008, tag 0x0112)."""
    if orientation >= 5:
        pixels = cv2.transpose(pixels)  # pyright: ignore[reportAssignmentType] - OpenCV keeps the dtype
    # What is left to mirror then: 1 left and right, 0 top and bottom, -1 both.
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    if flip is not None:
        pixels = cv2.flip(pixels, flip)  # pyright: ignore[reportAssignmentType]
    return pixels


def _words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in text)[:120]
