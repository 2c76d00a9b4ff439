"""Headers that are read without a library say what the libraries say, and promise only what is ordinary."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adapters.pictures.decoding.decode import decode, measure_ordinary, measure_other
from adapters.pictures.decoding.ordinary import exif_orientation, ordinary_header
from tests.support import hostile_files
from tests.support.pictures import encoded
from tests.unit.adapters.pictures.decoding.test_decode import scene, turned
from tests.unit.adapters.pictures.decoding.test_fuzz import Kind, kinds, written

NOT_ORDINARY = (
    hostile_files.png_of_empty_texts,
    hostile_files.png_of_empty_texts_behind_the_pixels,
    hostile_files.png_of_unknown_chunks,
    hostile_files.png_of_pixels_byte_by_byte,
    hostile_files.png_of_animation_controls,
    hostile_files.png_of_one_text,
    hostile_files.png_profile_bomb,
    hostile_files.jpeg_of_exif_segments,
    hostile_files.jpeg_of_scans,
    hostile_files.webp_of_frames,
    hostile_files.webp_of_chunks,
    hostile_files.webp_of_largest_canvas,
)


@pytest.mark.promise("ordinary-by-header")
@pytest.mark.parametrize("make", NOT_ORDINARY, ids=lambda make: make.__name__)
def test_a_hostile_file_is_not_ordinary(make: object) -> None:
    header = ordinary_header(make())  # type: ignore[operator]
    assert header is None or not header.as_browsers


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"subsampling": 2}),
        ("PNG", {}),
        ("WEBP", {"quality": 80}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_what_programs_write_is_ordinary(kind: str, options: dict[str, object], orientation: int) -> None:
    header = ordinary_header(encoded(scene(333, 217), kind, exif=turned(orientation), **options))
    assert header is not None
    assert header.as_browsers
    assert (header.width, header.height) == (333, 217)
    assert header.orientation == (1 if kind == "WEBP" else orientation)


@pytest.mark.promise("ordinary-by-header")
@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=200, deadline=None)
@given(kinds)
def test_size_and_orientation_are_those_of_pillow(kind: Kind) -> None:
    data = written(kind)
    if data is None or (quick := measure_ordinary(data, max_pixels=10**8)) is None:
        return
    assert quick.size == measure_other(data, max_pixels=10**8).size


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=300, deadline=None)
@given(
    order=st.sampled_from("<>"),
    entries=st.lists(
        st.tuples(
            st.sampled_from([0x0112, 0x010E, 0x0113, 0]),
            st.integers(0, 13),
            st.integers(0, 2),
            st.binary(min_size=4, max_size=4),
        ),
        max_size=6,
    ),
    tail=st.binary(max_size=8),
)
def test_any_exif_block_has_an_orientation(
    order: str, entries: list[tuple[int, int, int, bytes]], tail: bytes
) -> None:
    magic = b"II*\0" if order == "<" else b"MM\0*"
    packed = b"".join(struct.pack(f"{order}HHI4s", *entry) for entry in entries)
    block = b"Exif\0\0" + magic + struct.pack(f"{order}IH", 8, len(entries)) + packed + tail
    assert 1 <= exif_orientation(block) <= 8
    assert 1 <= exif_orientation(block[: len(block) // 2]) <= 8


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_is_found_among_other_tags(order: str) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[0x010E], exif[0x0112], exif[0x0110] = "a text", 6, "another"
    assert exif_orientation(exif.tobytes()) == 6


@pytest.mark.parametrize(
    ("kind", "options", "bytes_per_pixel"),
    [
        ("JPEG", {"subsampling": 0}, 0),
        ("JPEG", {"subsampling": 0, "progressive": True}, 6),
        ("JPEG", {"subsampling": 2, "progressive": True}, 3),
        ("PNG", {}, 0),
    ],
)
def test_the_memory_of_the_decoder_is_told(
    kind: str, options: dict[str, object], bytes_per_pixel: int
) -> None:
    header = ordinary_header(encoded(scene(320, 160), kind, **options))
    assert header is not None
    assert header.decoder_bytes == bytes_per_pixel * 320 * 160


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_picture_is_decoded_as_a_small_one(kind: str, orientation: int) -> None:
    """Large ones are read without a copy of their pixels, by another function of OpenCV."""
    small = scene(50, 40)
    large = Image.fromarray(np.tile(np.asarray(small), (50, 40, 1)))
    pixels = decode(
        encoded(large, kind, exif=turned(orientation), **({"quality": 95} if kind == "JPEG" else {}))
    )
    upright = np.asarray(large)[:, :, ::-1]
    expected = {1: upright, 3: upright[::-1, ::-1], 6: np.rot90(upright, -1)}[orientation]
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < (6 if kind == "JPEG" else 1e-9)


def test_a_damaged_large_picture_is_an_error() -> None:
    from tests.unit.adapters.pictures.decoding.test_decode import reason_of

    data = encoded(scene(2500, 2000), "JPEG", quality=95)
    assert reason_of(data[: len(data) // 2]) == "broken_picture"
    assert reason_of(data[:1000] + bytes(1000)) == "broken_picture"


def test_a_file_of_one_bit_is_ordinary() -> None:
    assert ordinary_header(encoded(Image.new("1", (1, 1)), "PNG")) is not None
