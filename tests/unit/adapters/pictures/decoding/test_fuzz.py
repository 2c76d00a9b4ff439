"""Pictures of every mode, format, odd size, profile and orientation that Pillow can write."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from adapters.pictures.decoding.decode import decode, measure
from tests.support.pictures import encoded

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MODES = (
    *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"),
    *("I", "I;16", "F"),
)
ORIENTATION = 0x0112
PROFILES = (
    None,
    ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    b"no profile",
    b"\0" * 5000,
)


def drawn(mode: str, width: int, height: int) -> Image.Image:
    """A picture whose left upper corner is dark and whose right lower is light, as far as the mode can say it."""
    ramp = np.add.outer(np.linspace(0, 100, height), np.linspace(0, 155, width))
    grey = Image.fromarray(ramp.astype(np.uint8))
    if mode in {"PA", "La", "RGBa"}:
        return grey.convert({"PA": "P", "La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
    if mode == "LAB":
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(
            grey.convert("RGB"), srgb, ImageCms.createProfile("LAB"), outputMode="LAB"
        )  # type: ignore[return-value]
    if mode == "I;16":
        return Image.fromarray(ramp.astype(np.uint16) * 257)
    return (
        grey.convert("RGB").convert(mode) if mode in {"HSV", "YCbCr", "CMYK", "RGBX"} else grey.convert(mode)
    )


@dataclass(frozen=True)
class Kind:
    """What a picture is like."""

    format: str
    mode: str
    width: int = 9
    height: int = 7
    frames: int = 1
    orientation: int | None = None
    profile: bytes | None = None

    @property
    def turned(self) -> bool:
        return (self.orientation or 1) in range(5, 9) and self.format in {"JPEG", "PNG", "TIFF"}


kinds = st.builds(
    Kind,
    format=st.sampled_from(FORMATS),
    mode=st.sampled_from(MODES),
    width=st.integers(1, 67),
    height=st.integers(1, 67),
    frames=st.sampled_from([1, 1, 2, 5]),
    orientation=st.one_of(st.none(), st.integers(0, 9)),
    profile=st.sampled_from(PROFILES),
)


def written(kind: Kind) -> bytes | None:
    """The file, or None where Pillow does not write such a picture in this format."""
    picture = drawn(kind.mode, kind.width, kind.height)
    options: dict[str, object] = {}
    if kind.orientation is not None and kind.format in {"JPEG", "PNG", "WEBP", "TIFF"}:
        exif = Image.Exif()
        exif[ORIENTATION] = kind.orientation
        options["exif"] = exif
    if kind.profile is not None and kind.format != "BMP":
        options["icc_profile"] = kind.profile
    if kind.frames > 1 and kind.format in {"GIF", "WEBP", "PNG", "TIFF"}:
        options |= {"save_all": True, "append_images": [picture.copy() for _ in range(kind.frames - 1)]}
    try:
        return encoded(picture, kind.format, **options)
    except (OSError, ValueError, KeyError, SystemError):
        return None


@pytest.mark.promise("damaged-file-fails-its-task")
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about profiles and metadata
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kinds)
def test_every_kind_of_picture_is_decoded_upright(kind: Kind) -> None:
    data = written(kind)
    if data is None:
        return
    pixels = decode(data)
    size = measure(data)

    assert (size.width, size.height) == (
        (kind.height, kind.width) if kind.turned else (kind.width, kind.height)
    )
    assert pixels.shape == (size.height, size.width, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


def test_most_modes_and_formats_are_written() -> None:
    """Or the test above would show little."""
    kinds = [Kind(format_, mode) for format_, mode in itertools.product(FORMATS, MODES)]
    done = [kind for kind in kinds if written(kind) is not None]

    assert {kind.format for kind in done} == set(FORMATS)
    assert {kind.mode for kind in done} >= {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F"}
