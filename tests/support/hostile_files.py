"""Files made to cost much: small to send, expensive to read. Each is made when a test asks for it."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
from PIL import Image

from tests.support.pictures import encoded

MEBIBYTE = 2**20
MOST_BYTES = 48 * MEBIBYTE
"""About as much as MAX_IMAGE_BYTES, and a request with it as a data: URI, allow."""
SIDE = 10_000
"""Of a square picture with as many pixels as MAX_IMAGE_PIXELS."""


# --- PNG ---------------------------------------------------------------------------------------------------------


def png_chunk(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    size: tuple[int, int],
    colour: int,
    *middle: bytes,
    depth: int = 8,
    rows: bytes | None = None,
    interlaced: int = 0,
) -> bytes:
    """A PNG file of one colour, with chunks in front of its pixels."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    width, height = size
    if rows is None:
        packing = zlib.compressobj(9)
        row = bytes(1 + (width * channels * depth + 7) // 8)
        rows = b"".join(packing.compress(row) for _ in range(height)) + packing.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    palette = png_chunk(b"PLTE", bytes(range(48))) if colour == 3 else b""
    pixels = b"".join(png_chunk(b"IDAT", rows[at : at + 2**20]) for at in range(0, len(rows), 2**20))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + b"".join(middle)
        + palette
        + pixels
        + png_chunk(b"IEND")
    )


def png_of_empty_texts() -> bytes:
    chunk = png_chunk(b"tEXt")
    return png((1, 1), 2, chunk * (MOST_BYTES // len(chunk)))


def png_of_empty_texts_behind_the_pixels() -> bytes:
    chunk = png_chunk(b"tEXt")
    whole = png((8, 8), 2)
    return whole[:-12] + chunk * (MOST_BYTES // len(chunk)) + whole[-12:]


def png_of_unknown_chunks() -> bytes:
    chunk = png_chunk(b"aaAa", b"x")
    return png((8, 8), 2, chunk * (MOST_BYTES // len(chunk)))


def png_of_pixels_byte_by_byte() -> bytes:
    whole = png((8, 8), 6)
    at = whole.index(b"IDAT") - 4
    rows = zlib.compress(np.random.default_rng(0).bytes((1 + 8 * 4) * 8))
    pieces = b"".join(png_chunk(b"IDAT", rows[i : i + 1]) for i in range(len(rows)))
    empty = png_chunk(b"IDAT")
    return whole[:at] + pieces[:13] + empty * (MOST_BYTES // len(empty)) + pieces[13:] + whole[-12:]


def png_of_animation_controls() -> bytes:
    control = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 1, 0, 0))
    whole = png((8, 8), 6, png_chunk(b"acTL", struct.pack(">II", 1_000_000, 0)))
    return whole[:-12] + control * (MOST_BYTES // len(control)) + whole[-12:]


def png_of_one_text() -> bytes:
    return png((8, 8), 2, png_chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(2**27), 9)))


def png_profile_bomb() -> bytes:
    return png((8, 8), 2, png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(2**29), 9)))


def png_transparent() -> bytes:
    return png((SIDE, SIDE), 6)


def png_transparent_16_bits() -> bytes:
    return png((SIDE, SIDE), 6, depth=16)


def png_grey_16_bits() -> bytes:
    return png((SIDE, SIDE), 0, depth=16)


def png_interlaced() -> bytes:
    width = SIDE
    passes = [(8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2)]  # columns and rows apart, about
    packing = zlib.compressobj(9)
    rows = b"".join(
        packing.compress(bytes(1 + -(-width // x) * 3)) for x, y in passes for _ in range(-(-width // y))
    )
    return png((width, width), 2, rows=rows + packing.flush(), interlaced=1)


def png_palette_transparent() -> bytes:
    return png((SIDE, SIDE), 3, png_chunk(b"PLTE", bytes(48)), png_chunk(b"tRNS", b"\0"))


# --- JPEG --------------------------------------------------------------------------------------------------------


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def small_jpeg() -> bytes:
    return encoded(Image.new("RGB", (64, 48), "red"), "JPEG")


def jpeg_of_exif_segments() -> bytes:
    whole, segment = small_jpeg(), jpeg_segment(0xE1, b"Exif\0\0" + bytes(MOST_BYTES // 9_900))
    return whole[:2] + segment * (MOST_BYTES // len(segment)) + whole[2:]


def jpeg_of_photoshop_segments() -> bytes:
    resource = b"8BIM" + struct.pack(">H", 1037) + b"\0\0" + struct.pack(">I", 0)
    whole, segment = small_jpeg(), jpeg_segment(0xED, b"Photoshop 3.0\0" + resource * 5_000)
    return whole[:2] + segment * (MOST_BYTES // len(segment)) + whole[2:]


def jpeg_of_overlapping_exif() -> bytes:
    """Each of 5,000 tags takes nearly the whole block for its own value."""
    tags = 5_000
    entries = b"".join(struct.pack("<HHII", 0x9000 + n, 7, 60_000, 0) for n in range(tags))
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", tags) + entries
    whole = small_jpeg()
    return whole[:2] + jpeg_segment(0xE1, block) + whole[2:]


def jpeg_large(mode: str = "RGB", **options: object) -> bytes:
    return encoded(Image.new(mode, (SIDE, SIDE)), "JPEG", **options)


def jpeg_progressive() -> bytes:
    return jpeg_large(progressive=True, subsampling=0)


def jpeg_of_scans() -> bytes:
    """As many scans over all pixels as are let through."""
    data = jpeg_large(progressive=True, subsampling=0)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * 90 + b"\xff\xd9"


def jpeg_cmyk() -> bytes:
    return jpeg_large("CMYK")


# --- GIF, BMP, WEBP, TIFF ----------------------------------------------------------------------------------------


def gif_large() -> bytes:
    return encoded(Image.new("P", (SIDE, SIDE)), "GIF")


def gif_of_comments() -> bytes:
    whole = encoded(Image.new("P", (8, 8)), "GIF")
    at = whole.index(b",\0\0\0\0")
    comment = b"\x21\xfe" + b"\x01x" + b"\0"
    return whole[:at] + comment * (MOST_BYTES // len(comment)) + whole[at:]


def gif_of_sub_blocks() -> bytes:
    whole = encoded(Image.new("P", (8, 8)), "GIF")
    at = whole.index(b",\0\0\0\0")
    return whole[:at] + b"\x21\xff" + b"\x01x" * (MOST_BYTES // 2) + b"\0" + whole[at:]


def gif_of_frames() -> bytes:
    whole = encoded(Image.new("P", (8, 8)), "GIF")
    at = whole.index(b",\0\0\0\0")
    frame = whole[at:-1]
    return whole[:at] + frame * (MOST_BYTES // len(frame)) + whole[-1:]


def bmp_header(  # noqa: PLR0917 - the fields of one header
    width: int, height: int, bits: int, compression: int, size: int, colours: int
) -> bytes:
    offset = 14 + 40 + 4 * colours
    return (
        b"BM"
        + struct.pack("<IHHI", offset + size, 0, 0, offset)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, size, 1, 1, colours, 0)
        + bytes(4 * colours)
    )


def bmp_of_runs(width: int = 1, height: int = 1) -> bytes:
    """Run-length coded; each run is longer than the row that it is in."""
    return bmp_header(width, height, 8, 1, MOST_BYTES, 256) + b"\0\0" * (MOST_BYTES // 2)


def bmp_of_runs_in_large() -> bytes:
    return bmp_header(SIDE, SIDE, 8, 1, SIDE * SIDE // 100, 256) + b"\x02\1" * (SIDE * SIDE // 200)


def bmp_of_jumps() -> bytes:
    """Each jump is three bytes, and may skip 255 rows of pixels that are then written out."""
    return bmp_header(SIDE, SIDE, 8, 1, 4_000, 256) + b"\0\x02\xff\xff" * 1_000


def webp_large(**options: object) -> bytes:
    return encoded(Image.new("RGBA", (SIDE, SIDE), (1, 2, 3, 4)), "WEBP", **options)


def webp_transparent() -> bytes:
    return webp_large(lossless=True, method=0)


def webp_of_largest_canvas() -> bytes:
    """2 GB for an animation that is never shown."""
    frame = encoded(Image.new("RGB", (8, 8)), "WEBP", lossless=True)[12:]
    canvas = (2**14 - 1 - 1).to_bytes(3, "little")
    header = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas + canvas
    control = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    content = bytes(6) + (7).to_bytes(3, "little") * 2 + (100).to_bytes(3, "little") + b"\0" + frame
    body = b"WEBP" + header + control + (b"ANMF" + struct.pack("<I", len(content)) + content) * 2
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_of_frames() -> bytes:
    frame = encoded(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    header = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + bytes(6)
    control = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    content = bytes(12) + (100).to_bytes(3, "little") + b"\0" + frame
    one = b"ANMF" + struct.pack("<I", len(content)) + content
    body = b"WEBP" + header + control + one * (MOST_BYTES // len(one))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_of_chunks() -> bytes:
    frame = encoded(Image.new("RGB", (8, 8)), "WEBP", lossless=True)[12:]
    header = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + (7).to_bytes(3, "little") * 2
    body = b"WEBP" + header + b"abcd\0\0\0\0" * (MOST_BYTES // 8) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(entries: list[tuple[int, int, int, int]], tail: bytes = b"") -> bytes:
    """A TIFF file of one directory: tag, type, count, value or offset. What follows begins at 10 + 12 n + 4."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + bytes(4) + tail


def tiff_basics(width: int, height: int, bits: int = 8, samples: int = 1) -> list[tuple[int, int, int, int]]:
    return [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, bits),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, samples),
        (278, 4, 1, height),
        (279, 4, 1, width * height * bits // 8 * samples),
    ]


def tiff_of_overlapping_tags() -> bytes:
    """60,000 tags, each of which takes 40 MB of the file for its value."""
    tags = [(30_000 + n % 30_000, 7, 40_000_000, 8) for n in range(55_000)]
    return tiff(tiff_basics(8, 8) + tags, bytes(MOST_BYTES - 800_000))


def tiff_of_warnings() -> bytes:
    """Tags of numbers that are not in the file, each with a warning."""
    tags = [(30_000 + n % 30_000, 4, 100_000, 2**31) for n in range(50_000)]
    return tiff(tiff_basics(8, 8) + tags, bytes(100))


def tiff_of_strips() -> bytes:
    """A strip for each of ten million rows, of a byte each."""
    rows = 4_000_000
    entries = [entry for entry in tiff_basics(1, rows) if entry[0] not in {273, 278, 279}]
    at = 10 + 12 * (len(entries) + 3) + 4
    entries += [(273, 4, rows, at), (278, 4, 1, 1), (279, 4, rows, at + 4 * rows)]
    return tiff(entries, struct.pack("<I", 8) * rows + struct.pack("<I", 1) * rows)


def tiff_of_floats() -> bytes:
    return encoded(Image.new("F", (SIDE, SIDE)), "TIFF", compression="tiff_deflate")


def tiff_transparent() -> bytes:
    return encoded(Image.new("RGBA", (SIDE, SIDE)), "TIFF", compression="tiff_deflate")


def tiff_of_directories() -> bytes:
    return encoded(Image.new("L", (SIDE, SIDE)), "TIFF", compression="tiff_lzw")


def avif_transparent() -> bytes:
    return encoded(Image.new("RGBA", (3500, 3000), (1, 2, 3, 128)), "AVIF", speed=10)


def avif_of_frames() -> bytes:
    frames = [Image.new("RGB", (64, 64), (i, 0, 0)) for i in range(200)]
    return encoded(frames[0], "AVIF", speed=10, save_all=True, append_images=frames[1:])


def avif_of_a_false_size() -> bytes:
    """The header gives 60,000 x 60,000 pixels, of which there are none."""
    data = encoded(Image.new("RGB", (64, 64)), "AVIF", speed=10)
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", 60_000, 60_000) + data[at + 8 :]


PICTURES: dict[str, Callable[[], bytes]] = {
    make.__name__: make
    for make in (
        png_of_empty_texts,
        png_of_empty_texts_behind_the_pixels,
        png_of_unknown_chunks,
        png_of_pixels_byte_by_byte,
        png_of_animation_controls,
        png_of_one_text,
        png_profile_bomb,
        png_transparent,
        png_transparent_16_bits,
        png_grey_16_bits,
        png_interlaced,
        png_palette_transparent,
        jpeg_of_exif_segments,
        jpeg_of_photoshop_segments,
        jpeg_of_overlapping_exif,
        jpeg_large,
        jpeg_progressive,
        jpeg_of_scans,
        jpeg_cmyk,
        gif_large,
        gif_of_comments,
        gif_of_sub_blocks,
        gif_of_frames,
        bmp_of_runs,
        bmp_of_runs_in_large,
        bmp_of_jumps,
        webp_transparent,
        webp_of_largest_canvas,
        webp_of_frames,
        webp_of_chunks,
        tiff_of_overlapping_tags,
        tiff_of_warnings,
        tiff_of_strips,
        tiff_of_floats,
        tiff_transparent,
        tiff_of_directories,
        avif_transparent,
        avif_of_frames,
        avif_of_a_false_size,
    )
}


# --- MP4 ---------------------------------------------------------------------------------------------------------


def box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", len(body) + 8) + name + body


def full_box(name: bytes, *content: bytes, flags: int = 0) -> bytes:
    return box(name, struct.pack(">I", flags), *content)


_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def mp4_track(
    number: int, samples: int, *, sizes: bytes | None = None, edits: bytes = b"", chunks: int = 1
) -> bytes:
    entry = box(
        b"mp4v",
        bytes(6),
        struct.pack(">H", 1),
        bytes(16),
        struct.pack(">HH", 64, 48),
        bytes(14),
        bytes(32),
        b"\0\x18\xff\xff",
    )
    sizes = full_box(b"stsz", struct.pack(">II", 1, samples)) if sizes is None else sizes
    table = box(
        b"stbl",
        full_box(b"stsd", struct.pack(">I", 1), entry),
        full_box(b"stts", struct.pack(">III", 1, samples, 1)),
        full_box(b"stsc", struct.pack(">IIII", 1, 1, samples // chunks, 1)),
        sizes,
        full_box(b"stco", struct.pack(">I", chunks), struct.pack(">I", 100) * chunks),
    )
    media = box(
        b"mdia",
        full_box(b"mdhd", struct.pack(">IIIIHH", 0, 0, 25, samples % 2**32, 0, 0)),
        full_box(b"hdlr", bytes(4), b"vide", bytes(13)),
        box(b"minf", full_box(b"vmhd", bytes(8), flags=1), table),
    )
    header = full_box(
        b"tkhd",
        struct.pack(">IIIII", 0, 0, number, 0, samples % 2**32),
        bytes(16),
        _MATRIX,
        bytes(8),
        flags=3,
    )
    return box(b"trak", header, edits, media)


def mp4(*tracks: bytes, more: bytes = b"") -> bytes:
    header = full_box(
        b"mvhd",
        struct.pack(">IIII", 0, 0, 25, 25),
        struct.pack(">IH", 0x10000, 0x100),
        bytes(10),
        _MATRIX,
        bytes(24),
        struct.pack(">I", 9),
    )
    return box(b"ftyp", b"isom\0\0\2\0isom") + box(b"moov", header, *tracks, more) + box(b"mdat", bytes(64))


def mp4_of_promised_samples() -> bytes:
    """30 million samples of a byte each, by one number."""
    return mp4(mp4_track(1, 30_000_000))


def mp4_of_promised_samples_in_tracks() -> bytes:
    return mp4(*(mp4_track(n, 150_000_000) for n in range(1, 4)))


def mp4_of_edits() -> bytes:
    """Each edit shows all samples once more."""
    samples, edits = 200_000, 2_000
    entry = struct.pack(">IIHH", samples, 0, 1, 0)
    return mp4(
        mp4_track(1, samples, edits=box(b"edts", full_box(b"elst", struct.pack(">I", edits), entry * edits)))
    )


def mp4_of_fragments() -> bytes:
    """Runs of samples that take their size and time from the defaults, and no byte each."""
    defaults = full_box(b"trex", struct.pack(">IIIII", 1, 1, 1, 1, 0))
    head = mp4(mp4_track(1, 0), more=box(b"mvex", defaults))
    run = full_box(b"trun", struct.pack(">I", 20_000_000))
    fragment = box(
        b"moof",
        full_box(b"mfhd", struct.pack(">I", 1)),
        box(b"traf", full_box(b"tfhd", struct.pack(">I", 1)), run * 4),
    )
    return head + fragment


def mp4_of_compact_sizes() -> bytes:
    samples = 90_000_000
    sizes = full_box(b"stz2", struct.pack(">II", 4, samples), b"\x11" * (samples // 2))
    return mp4(mp4_track(1, samples, sizes=sizes))


def mp4_of_tracks() -> bytes:
    track = mp4_track(1, 1)
    return mp4(track * (4 * MEBIBYTE // len(track)))


def mp4_nested() -> bytes:
    inner = b""
    for _ in range(20_000):
        inner = box(b"moov", inner)
    return box(b"ftyp", b"isom\0\0\2\0isom") + inner


# --- real frames -------------------------------------------------------------------------------------------------


def clip(
    pictures: Iterator[np.ndarray], size: tuple[int, int], codec: str, container: str = "mp4", **options: str
) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 250
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return file.getvalue()


def black(size: tuple[int, int], frames: int) -> Iterator[np.ndarray]:
    picture = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
    return (picture for _ in range(frames))


_LARGE = (4096, 2160)


def h264_bomb(frames: int = 200) -> bytes:
    """Frames of nine million pixels, in a few bytes each, with as many references as there may be."""
    return clip(
        black(_LARGE, frames),
        _LARGE,
        "libx264",
        preset="ultrafast",
        x264_params="ref=16:bframes=16:level=6.2",
    )


def hevc_bomb() -> bytes:
    return clip(
        black(_LARGE, 60), _LARGE, "libx265", preset="ultrafast", **{"x265-params": "log-level=none:ref=6"}
    )


def av1_bomb() -> bytes:
    return clip(black(_LARGE, 60), _LARGE, "libsvtav1", preset="12")


def vp9_bomb() -> bytes:
    return clip(black(_LARGE, 60), _LARGE, "libvpx-vp9", "webm", deadline="realtime", **{"cpu-used": "8"})


def clip_of_100_000_frames() -> bytes:
    size = (64, 48)
    return clip(black(size, 100_000), size, "libx264", preset="ultrafast")


# --- Matroska ----------------------------------------------------------------------------------------------------


def element(identity: int, *content: bytes) -> bytes:
    body = b"".join(content)
    length = (identity.bit_length() + 7) // 8
    return identity.to_bytes(length, "big") + (0x0100000000000000 | len(body)).to_bytes(8, "big") + body


def matroska(*parts: bytes) -> bytes:
    header = element(0x1A45DFA3, element(0x4282, b"webm"))
    video = element(0xE0, element(0xB0, b"\x40"), element(0xBA, b"\x30"))
    track = element(
        0xAE,
        element(0xD7, b"\1"),
        element(0x73C5, b"\1"),
        element(0x83, b"\1"),
        element(0x86, b"V_VP8"),
        video,
    )
    cluster = element(0x1F43B675, element(0xE7, b"\0"), element(0xA3, b"\x81\0\0\x80" + bytes(16)))
    information = element(0x1549A966, element(0x2AD7B1, (1_000_000).to_bytes(3, "big")))
    return header + element(0x18538067, information, element(0x1654AE6B, track), *parts, cluster)


def matroska_of_attachments() -> bytes:
    one = element(
        0x61A7,
        element(0x466E, b"a"),
        element(0x4660, b"image/png"),
        element(0x46AE, b"\1"),
        element(0x465C, b"x"),
    )
    return matroska(element(0x1941A469, one * (MOST_BYTES // len(one))))


def matroska_of_a_large_attachment() -> bytes:
    one = element(
        0x61A7,
        element(0x466E, b"a"),
        element(0x4660, b"font/ttf"),
        element(0x46AE, b"\1"),
        element(0x465C, bytes(MOST_BYTES)),
    )
    return matroska(element(0x1941A469, one))


def matroska_of_cues() -> bytes:
    one = element(0xBB, element(0xB3, b"\0"), element(0xB7, element(0xF7, b"\1"), element(0xF1, b"\0")))
    return matroska(element(0x1C53BB6B, one * (MOST_BYTES // len(one))))


def matroska_of_tags() -> bytes:
    tag = element(0x67C8, element(0x45A3, b"a"), element(0x4487, b"b"))
    one = element(0x7373, tag * 4)
    return matroska(element(0x1254C367, one * (MOST_BYTES // len(one))))


CLIPS: dict[str, Callable[[], bytes]] = {
    make.__name__: make
    for make in (
        mp4_of_promised_samples,
        mp4_of_promised_samples_in_tracks,
        mp4_of_edits,
        mp4_of_fragments,
        mp4_of_compact_sizes,
        mp4_of_tracks,
        mp4_nested,
        h264_bomb,
        hevc_bomb,
        av1_bomb,
        vp9_bomb,
        clip_of_100_000_frames,
        matroska_of_attachments,
        matroska_of_a_large_attachment,
        matroska_of_cues,
        matroska_of_tags,
    )
}
