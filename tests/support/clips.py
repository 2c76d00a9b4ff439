"""Clips made here: drawn people who the networks take for people, walking where a test wants them."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adapters.http.example import HEIGHT, WIDTH, draw_figure

SIGN_CLIP = Path(__file__).parents[2].parent / "shared" / "photos" / "sign_1031.mp4"
SIZE = (720, 320)
RATE = 25

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Walker:
    """A drawn person.

    Attributes:
        left: Left edge of the figure's picture (240 pixels wide) in pixels at a time in seconds; None while away.
        shirt: Colour of the clothes, RGB.
    """

    left: Callable[[float], float | None]
    shirt: tuple[int, int, int] = (52, 92, 160)


def scene(walkers: Sequence[Walker], time: float) -> Picture:
    """Draw a meadow with the walkers, the last in front: 320×720×3 RGB."""
    figure = draw_figure()
    sky, grass = figure.getpixel((0, 0)), figure.getpixel((0, HEIGHT - 1))
    picture = Image.new("RGB", SIZE, sky)
    picture.paste(grass, (0, round(0.86 * HEIGHT), *SIZE))
    for walker in walkers:
        left = walker.left(time)
        if left is not None:
            drawn, mask = _cut_out(walker.shirt)
            picture.paste(drawn, (round(left), 0), mask)
    return np.asarray(picture)


def encoded(
    pictures: Iterable[Picture],
    *,
    rate: int = RATE,
    container: str = "mp4",
    codec: str = "libx264",
    start_s: float = 0.0,
) -> bytes:
    """Write RGB pictures of one size as a clip with a key frame every second, the first shown at `start_s`."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = None
        for number, picture in enumerate(pictures):
            if stream is None:
                stream = output.add_stream(codec, rate=rate)
                stream.width, stream.height = picture.shape[1], picture.shape[0]
                stream.pix_fmt = "yuv420p"
                stream.gop_size = rate
                if codec == "libx264":
                    stream.options = {"preset": "ultrafast", "crf": "20"}
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(start_s * rate) + number, Fraction(1, rate)
            output.mux(stream.encode(frame))
        assert stream is not None, "a clip has pictures"
        output.mux(stream.encode())
    return file.getvalue()


def displayed(mp4: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """Give an MP4 a display matrix a, b, c, d (ISO/IEC 14496-12): x' = a x + c y, y' = b x + d y."""
    data = bytearray(mp4)
    at = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8  # version and flags, times, ..., volume, matrix
    a, b, c, d = (value % 2**16 << 16 for value in matrix)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big") for value in (a, b, 0, c, d, 0, 0, 0, 0x40000000))
    return bytes(data)


def walking(walkers: Sequence[Walker], seconds: float, *, rate: int = RATE) -> bytes:
    """A clip of a scene as MP4."""
    return encoded((scene(walkers, i / rate) for i in range(round(seconds * rate))), rate=rate)


def counting(frames: int, *, size: tuple[int, int] = (64, 48), rate: int = RATE) -> list[Picture]:
    """Grey pictures of which the n-th has the level 8 × n, so that a test can tell which it got."""
    return [np.full((size[1], size[0], 3), 8 * n % 256, np.uint8) for n in range(frames)]


@cache
def _cut_out(shirt: tuple[int, int, int]) -> tuple[Image.Image, Image.Image]:
    """The figure in clothes of a colour, and the mask that leaves out what is behind it."""
    figure = draw_figure()
    pixels = np.asarray(figure, float)
    sky, grass = pixels[0, 0], pixels[-1, 0]
    blend = grass - sky
    share = np.clip((pixels - sky) @ blend / (blend @ blend), 0, 1)
    mask = np.abs(pixels - sky - share[..., None] * blend).max(axis=2) > 8
    blue = np.array((52, 92, 160.0))
    clothes = np.abs(pixels - blue).max(axis=2) < 40
    pixels[clothes] = np.clip(pixels[clothes] - blue + shirt, 0, 255)
    assert figure.size == (WIDTH, HEIGHT)
    return Image.fromarray(pixels.astype(np.uint8)), Image.fromarray(np.uint8(255 * mask))
