"""A file becomes the upright BGR picture that the annotator sees, or a PictureError."""

import struct
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from adapters.pictures.decoding.decode import PictureSize, decode, measure
from adapters.pictures.errors import PictureError
from tests.conftest import Within
from tests.support.pictures import encoded

PHOTOS = Path(__file__).parents[5].parent / "shared" / "photos"


def scene(width: int = 90, height: int = 60) -> Image.Image:
    """A smooth picture without any symmetry, so that each turn of it is another picture."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    rgb = np.stack([255 * x, 255 * y, 127 * x * x + 60 * y], axis=2)
    return Image.fromarray(rgb.astype(np.uint8))


def bgr(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("RGB"))[:, :, ::-1]


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8, colour: int = 2) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*c) for c in chunks) + chunk(b"IEND", b"")


def reason_of(data: bytes, **limits: int) -> str:
    with pytest.raises(PictureError) as caught:
        decode(data, **limits)
    assert "\n" not in str(caught.value)
    return caught.value.reason


class TestParity:
    """rtmlib users read their pictures with cv2.imread; ours are the same, to the pixel."""

    @pytest.mark.parametrize("name", ["football_demo.jpg", "coco_000000147979.jpg"])
    def test_a_photograph_is_what_imread_gives(self, name: str) -> None:
        path = PHOTOS / name
        if not path.exists():
            pytest.skip(f"the photograph {name} is not part of the project")
        assert np.array_equal(decode(path.read_bytes()), cv2.imread(str(path)))

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("JPEG", {"quality": 90}),
            ("JPEG", {"progressive": True}),
            ("JPEG", {"subsampling": 0}),
            ("PNG", {}),
            ("WEBP", {"quality": 80}),
            ("BMP", {}),
            ("TIFF", {}),
        ],
    )
    @pytest.mark.parametrize("mode", ["RGB", "L"])
    def test_every_ordinary_file_is_what_imread_gives(
        self, tmp_path: Path, kind: str, options: dict[str, object], mode: str
    ) -> None:
        path = tmp_path / "picture"
        path.write_bytes(encoded(scene(333, 217).convert(mode), kind, **options))
        assert np.array_equal(decode(path.read_bytes()), cv2.imread(str(path)))

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_a_turned_jpeg_is_what_imread_gives(self, tmp_path: Path, orientation: int) -> None:
        path = tmp_path / "picture.jpg"
        path.write_bytes(encoded(scene(), "JPEG", exif=turned(orientation)))
        assert np.array_equal(decode(path.read_bytes()), cv2.imread(str(path)))

    def test_the_result_is_contiguous_uint8(self) -> None:
        for orientation in range(1, 9):
            pixels = decode(encoded(scene(), "JPEG", exif=turned(orientation)))
            assert pixels.dtype == np.uint8
            assert pixels.flags.c_contiguous


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
    def test_all_eight_are_undone(self, kind: str, orientation: int) -> None:
        exif = turned(orientation)
        options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
        upright = scene()
        expected = bgr(ImageOps.exif_transpose(upright_with(upright, exif)))
        pixels = decode(encoded(upright, kind, exif=exif, **options))
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).max() <= 3  # JPEG rounds

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
    def test_the_measured_size_is_the_decoded_one(self, kind: str, orientation: int) -> None:
        data = encoded(scene(), kind, exif=turned(orientation))
        height, width, _ = decode(data).shape
        assert measure(data) == PictureSize(width, height)

    @pytest.mark.parametrize("orientation", [0, 9, 65535])
    def test_an_orientation_that_does_not_exist_is_ignored(self, orientation: int) -> None:
        assert decode(encoded(scene(), "JPEG", exif=turned(orientation))).shape == (60, 90, 3)

    @pytest.mark.filterwarnings(
        "ignore:.*corrupt EXIF data:UserWarning", "ignore:Corrupt EXIF data:UserWarning"
    )
    def test_a_damaged_exif_block_is_ignored(self) -> None:
        data = encoded(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff nothing of it is true")
        assert decode(data).shape == (60, 90, 3)

    def test_webp_stays_as_it_is_since_browsers_do_not_turn_it(self) -> None:
        picture = scene()
        data = encoded(picture, "WEBP", exif=turned(6), lossless=True)
        assert np.array_equal(decode(data), bgr(picture))

    def test_exif_behind_the_pixels_of_a_png_is_not_asked_since_browsers_do_not_ask_it(self) -> None:
        data = encoded(scene(), "PNG", exif=turned(6))
        start = data.index(b"eXIf") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4])
        moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
        assert decode(moved).shape == (60, 90, 3)
        assert decode(data).shape == (90, 60, 3)

    def test_xmp_is_not_asked_since_browsers_do_not_ask_it(self) -> None:
        xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
        assert decode(encoded(scene(), "JPEG", xmp=xmp)).shape == (60, 90, 3)


def upright_with(picture: Image.Image, exif: Image.Exif) -> Image.Image:
    return Image.open(BytesIO(encoded(picture, "PNG", exif=exif)))


class TestAvif:
    @pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
    def test_is_what_it_was_but_for_losses(self, mode: str) -> None:
        pixels = decode(encoded(scene().convert(mode), "AVIF", quality=95))
        assert np.abs(pixels.astype(int) - bgr(scene().convert(mode))).max() <= 12

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_is_turned_upright(self, orientation: int) -> None:
        data = encoded(scene(), "AVIF", exif=turned(orientation), quality=95)
        expected = bgr(ImageOps.exif_transpose(upright_with(scene(), turned(orientation))))
        pixels = decode(data)
        assert measure(data) == PictureSize(*pixels.shape[1::-1])
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).max() <= 12

    def test_of_a_sequence_the_first_frame_counts(self) -> None:
        frames = [Image.new("RGB", (32, 16), (value, 0, 0)) for value in (200, 0)]
        data = encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:])
        assert decode(data)[0, 0, 2] > 150

    def test_what_is_transparent_is_white(self) -> None:
        assert decode(encoded(Image.new("RGBA", (8, 8), (9, 9, 9, 0)), "AVIF")).min() > 250

    @pytest.mark.parametrize("cut", [40, 200, -1])
    def test_a_truncated_one_is_broken(self, cut: int) -> None:
        assert reason_of(encoded(scene(), "AVIF")[:cut]) == "broken_picture"

    def test_its_size_is_checked_before_it_is_decoded(self) -> None:
        assert reason_of(encoded(scene(), "AVIF"), max_pixels=90 * 60 - 1) == "too_many_pixels"


@pytest.mark.parametrize(
    "start",
    [b"<!---->", b"<!--", b"<?a?>", b"<!doctype a[", b"<!doctype a[]>", b" ", b"<!-- -->\n ", b"<!doctype "],
)
def test_a_hostile_beginning_is_named_at_once(start: bytes) -> None:
    data = start * (5_000_000 // len(start))
    for _ in range(20):  # an exponential pattern would not end
        assert reason_of(data) == "not_a_picture"


class TestModes:
    def test_grey_becomes_three_equal_channels(self) -> None:
        pixels = decode(encoded(scene().convert("L"), "PNG"))
        assert (pixels == pixels[:, :, :1]).all()

    @pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
    def test_a_palette_is_looked_up(self, kind: str) -> None:
        picture = scene().quantize(64)
        assert np.array_equal(decode(encoded(picture, kind)), bgr(picture))

    @pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
    def test_one_bit_becomes_black_and_white(self, kind: str) -> None:
        picture = scene().convert("1")
        pixels = decode(encoded(picture, kind))
        assert set(np.unique(pixels)) == {0, 255}
        assert np.array_equal(pixels, bgr(picture))

    @pytest.mark.parametrize(
        ("mode", "kind"), [("RGBA", "PNG"), ("RGBA", "WEBP"), ("LA", "PNG"), ("RGBA", "TIFF")]
    )
    def test_what_is_transparent_is_white(self, mode: str, kind: str) -> None:
        picture = Image.new("RGBA", (4, 2), (10, 10, 10, 0))
        picture.paste((10, 10, 10, 255), (2, 0, 4, 2))
        options = {"lossless": True} if kind == "WEBP" else {}
        pixels = decode(encoded(picture.convert(mode), kind, **options))
        assert (pixels[:, :2] == 255).all()
        assert (pixels[:, 2:] == 10).all()

    def test_an_opaque_alpha_channel_changes_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "screenshot.png"
        path.write_bytes(encoded(scene().convert("RGBA"), "PNG"))
        assert np.array_equal(decode(path.read_bytes()), cv2.imread(str(path)))

    def test_half_transparent_is_mixed_with_white(self) -> None:
        pixels = decode(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 128)), "PNG"))
        assert pixels[0, 0].tolist() == [127, 127, 127]

    @pytest.mark.parametrize("kind", ["PNG", "GIF"])
    def test_a_transparent_palette_entry_is_white(self, kind: str) -> None:
        picture = Image.new("P", (3, 1))
        picture.putpalette([9, 9, 9, 200, 0, 0, 0, 0, 200])
        picture.putdata([0, 1, 2])
        pixels = decode(encoded(picture, kind, transparency=1))
        assert pixels[0].tolist() == [[9, 9, 9], [255, 255, 255], [200, 0, 0]]

    def test_cmyk_is_converted(self) -> None:
        picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
        blue, green, red = decode(encoded(picture, "JPEG", quality=95))[8, 8]
        assert red > 200
        assert max(blue, green) < 60

    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_sixteen_bits_keep_their_upper_byte(self, kind: str) -> None:
        levels = np.array([[0, 255, 256, 0x1234, 0xFFFF]], np.uint16)
        pixels = decode(encoded(Image.fromarray(levels), kind))
        assert pixels[0, :, 0].tolist() == [0, 0, 1, 0x12, 0xFF]

    def test_sixteen_bit_colour_keeps_its_upper_byte(self) -> None:
        row = struct.pack(">BHHH", 0, 0x1234, 0x5678, 0xFFFF)
        data = png(1, 1, (b"IDAT", zlib.compress(row)), depth=16)
        assert decode(data)[0, 0].tolist() == [0xFF, 0x56, 0x12]

    @pytest.mark.parametrize("dtype", [np.float32, np.int32])
    def test_values_without_a_range_are_stretched(self, dtype: type) -> None:
        levels = np.array([[-1000, 0, 1000]], dtype)
        assert decode(encoded(Image.fromarray(levels), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]

    def test_floats_that_are_no_numbers_are_black(self) -> None:
        levels = np.array([[np.nan, np.inf, 1, 2]], np.float32)
        assert decode(encoded(Image.fromarray(levels), "TIFF"))[0, :, 0].tolist() == [0, 0, 0, 255]

    def test_a_constant_float_picture_is_black(self) -> None:
        assert not decode(encoded(Image.fromarray(np.full((2, 2), 7, np.float32)), "TIFF")).any()

    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
    def test_an_animation_gives_its_first_frame(self, kind: str) -> None:
        frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert decode(data)[4, 4].tolist() == [0, 0, 255]

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
    def test_one_pixel_is_a_picture(self, kind: str) -> None:
        assert decode(encoded(Image.new("RGB", (1, 1), "white"), kind)).tolist() == [[[255, 255, 255]]]


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "is empty"),
            (b"just some text", "none of the supported formats"),
            (b"<!DOCTYPE html><html>log in</html>", "web page"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
            (b"\0\0\0\x20ftypheic", "HEIC"),
            (b"\0\0\0\x20ftypmif1\0\0\0\0mif1heic", "HEIC"),
            (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- made by <svg> --><!DOCTYPE svg>\n<svg>", "SVG"),
            ("\ufeff<!-- drawn --><svg:svg xmlns:svg='x'>".encode("utf-16-le"), "SVG"),
            (b"<?xml version='1.0'?><!-- <svg> --><data>", "XML"),
            (b"<!-- a page --><html>", "web page"),
            (b"\xff\x0a\xfa\x1f", "JPEG XL"),
            (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
            (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
            (b"8BPS\0\x01", "Photoshop"),
            (b"II*\0\x10\0\0\0CR\x02\0", "Canon"),
            (b"\0\0\0\x20ftypisom\0\0\0\0isomavc1", "MP4 or MOV clip. Use a Video tag"),
            (b"\x1a\x45\xdf\xa3", "WebM"),
            (b"PK\x03\x04", "ZIP"),
            (b"%PDF-1.7", "PDF"),
            (b'{"detail": "no"}', "JSON"),
            (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
            (
                b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
                "PostScript document. Convert it to JPEG or PNG",
            ),
        ],
    )
    def test_other_files_are_named(self, data: bytes, words: str) -> None:
        with pytest.raises(PictureError, match=words) as caught:
            decode(data)
        assert caught.value.reason == "not_a_picture"

    @pytest.mark.parametrize("kind", ["ICNS", "PPM", "TGA", "PCX", "JPEG2000", "EPS", "ICO", "SGI"])
    def test_a_format_that_browsers_do_not_show_is_refused(self, kind: str) -> None:
        assert reason_of(encoded(scene(64, 64), kind)) == "not_a_picture"

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
    def test_a_truncated_picture_is_an_error(self, kind: str) -> None:
        data = encoded(scene(300, 200), kind)
        assert reason_of(data[: len(data) // 2]) == "broken_picture"

    def test_a_jpeg_without_its_last_part_is_an_error_even_with_a_thumbnail_that_is_whole(self) -> None:
        exif = turned(1)
        thumbnail = encoded(scene(30, 20), "JPEG")
        data = encoded(scene(600, 400), "JPEG", exif=exif.tobytes() + thumbnail, quality=95)
        assert decode(data).shape == (400, 600, 3)
        assert reason_of(data[:-500]) == "broken_picture"

    def test_a_jpeg_followed_by_other_data_is_a_picture(self) -> None:
        data = encoded(scene(), "JPEG")
        assert np.array_equal(decode(data + b"appended by a phone" * 100), decode(data))

    def test_a_png_with_a_wrong_checksum_is_an_error(self) -> None:
        data = bytearray(encoded(scene(), "PNG"))
        data[data.index(b"IDAT") + 20] ^= 0xFF
        assert reason_of(bytes(data)) == "broken_picture"

    @pytest.mark.promise("bombs-refused")
    def test_a_bomb_costs_neither_time_nor_memory(self, within: Within) -> None:
        line = zlib.compress(b"\0" * (1 + 30_000 * 3))
        bomb = png(30_000, 30_000, (b"IDAT", line))
        tracemalloc.start()
        try:
            with within(0.5), pytest.raises(PictureError, match="30000 x 30000") as caught:
                decode(bomb)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()
        assert caught.value.reason == "too_many_pixels"

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
    def test_the_pixel_limit_is_exact(self, kind: str) -> None:
        data = encoded(scene(90, 60), kind)
        assert decode(data, max_pixels=90 * 60).shape == (60, 90, 3)
        assert reason_of(data, max_pixels=90 * 60 - 1) == "too_many_pixels"
        with pytest.raises(PictureError):
            measure(data, max_pixels=90 * 60 - 1)

    def test_a_picture_beyond_pillows_own_limit_is_the_business_of_ours(self) -> None:
        # 90 million pixels: Image.open would warn, and here warnings are errors.
        assert measure(png(10_000, 9_000, (b"IDAT", zlib.compress(b"")))) == PictureSize(10_000, 9_000)

    def test_a_gif_frame_cannot_exceed_what_was_measured(self) -> None:
        data = bytearray(encoded(Image.new("P", (4, 4)), "GIF"))
        descriptor = data.index(b",\0\0\0\0")
        data[descriptor + 5 : descriptor + 9] = struct.pack("<HH", 65535, 65535)
        assert reason_of(bytes(data)) == "too_many_pixels"

    @pytest.mark.promise("bombs-refused")
    def test_a_jpeg_of_thousands_of_scans_is_refused_at_once(self, within: Within) -> None:
        data = encoded(scene(400, 400), "JPEG", progressive=True)
        start = data.rindex(b"\xff\xda")
        scan = data[start:-2]
        with within(0.5), pytest.raises(PictureError, match="scans") as caught:
            decode(data[:start] + scan * 5_000 + b"\xff\xd9")
        assert caught.value.reason == "broken_picture"

    def test_a_jpeg_of_a_million_empty_segments_is_refused_at_once(self, within: Within) -> None:
        data = encoded(scene(), "JPEG")
        with within(0.5):
            assert reason_of(data[:2] + b"\xff\xe5\x00\x02" * 1_000_000 + data[2:]) == "broken_picture"

    @pytest.mark.promise("bombs-refused")
    def test_a_text_bomb_in_a_png_is_refused(self) -> None:
        text = b"note\0\0" + zlib.compress(b"\0" * 2**27, 9)
        data = png(1, 1, (b"zTXt", text), (b"IDAT", zlib.compress(b"\0\0\0\0")))
        tracemalloc.start()
        try:
            assert reason_of(data) == "broken_picture"
            assert tracemalloc.get_traced_memory()[1] < 2**24
        finally:
            tracemalloc.stop()


SMALL = {
    kind: encoded(scene(40, 30), kind, **({"exif": turned(6)} if kind not in {"GIF", "BMP"} else {}))
    for kind in ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damage, and a server goes on
class TestHostileFiles:
    """Whatever the bytes, the answer is a picture or a PictureError."""

    @pytest.mark.promise("damaged-file-fails-its-task")
    @settings(max_examples=300, deadline=None)
    @given(kind=st.sampled_from(sorted(SMALL)), data=st.data())
    def test_truncated_anywhere(self, kind: str, data: st.DataObject) -> None:
        whole = SMALL[kind]
        cut = data.draw(st.integers(0, len(whole) - 1))
        self.expect_picture_or_error(whole[:cut])

    @pytest.mark.promise("damaged-file-fails-its-task")
    @settings(max_examples=500, deadline=None)
    @given(kind=st.sampled_from(sorted(SMALL)), data=st.data())
    def test_damaged_anywhere(self, kind: str, data: st.DataObject) -> None:
        damaged = bytearray(SMALL[kind])
        for _ in range(data.draw(st.integers(1, 8))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        self.expect_picture_or_error(bytes(damaged))

    @settings(max_examples=200, deadline=None)
    @given(kind=st.sampled_from(sorted(SMALL)), tail=st.binary(max_size=300))
    def test_random_after_a_true_signature(self, kind: str, tail: bytes) -> None:
        self.expect_picture_or_error(SMALL[kind][:12] + tail)

    def expect_picture_or_error(self, data: bytes) -> None:
        try:
            pixels = decode(data, max_pixels=1_000_000)
        except PictureError:
            return
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert pixels.dtype == np.uint8
