"""Pictures with one, two or three drawn people who the networks take for people, and where their points are."""

from pathlib import Path

import av
import numpy as np
from PIL import Image

from adapters.http.example import HEIGHT, WIDTH, draw_figure
from tests.support.pictures import encoded

SIZE = (3 * WIDTH, HEIGHT)
_PLACES = {  # left edge in widths of the scene, height in heights of the scene; everyone stands on its lower edge
    1: ((0.33, 1.0),),
    2: ((0.05, 0.95), (0.60, 0.85)),
    3: ((0.00, 0.90), (0.34, 1.0), (0.68, 0.80)),
}
# Where `draw_figure` draws them, in widths and heights of its picture. The person faces us: their left is our right.
_FIGURE = {
    "nose": (0.50, 0.165),
    "left_shoulder": (0.63, 0.27),
    "right_shoulder": (0.37, 0.27),
    "left_elbow": (0.76, 0.34),
    "right_elbow": (0.29, 0.39),
    "left_wrist": (0.80, 0.20),
    "right_wrist": (0.26, 0.50),
    "left_knee": (0.58, 0.69),
    "right_knee": (0.42, 0.69),
    "left_ankle": (0.59, 0.86),
    "right_ankle": (0.41, 0.86),
}
_PHOTOS = Path(__file__).parents[2].parent / "shared" / "photos"
PHOTO, CLIP = _PHOTOS / "football_demo.jpg", _PHOTOS / "sign_1031.mp4"


def scene(people: int) -> Image.Image:
    """Draw a meadow with so many people: RGB, 720×320."""
    figure = draw_figure()
    sky, grass = figure.getpixel((0, 0)), figure.getpixel((0, HEIGHT - 1))
    assert isinstance(sky, tuple)
    assert isinstance(grass, tuple)
    picture = Image.new("RGB", SIZE, sky)
    picture.paste(grass, (0, round(0.86 * HEIGHT), *SIZE))
    for left, height in _PLACES[people]:
        size = (round(WIDTH * height), round(HEIGHT * height))
        smaller = figure.resize(size, Image.Resampling.LANCZOS)
        picture.paste(smaller, (round(left * SIZE[0]), HEIGHT - size[1]), _without(smaller, sky, grass))
    return picture


def drawn_points(people: int) -> list[dict[str, tuple[float, float]]]:
    """Where the people of a scene have their points, from left to right: name to x, y in percent."""
    return [
        {
            name: (100 * (left + x * height * WIDTH / SIZE[0]), 100 * (1 - height + y * height))
            for name, (x, y) in _FIGURE.items()
        }
        for left, height in _PLACES[people]
    ]


def jpeg(people: int, quality: int = 85) -> bytes:
    """A scene as a file."""
    return encoded(scene(people), "JPEG", quality=quality)


def clip_frame(number: int) -> bytes:
    """A frame of the sign-language clip as JPEG."""
    with av.open(str(CLIP)) as clip:
        frame = next(frame for n, frame in enumerate(clip.decode(video=0)) if n == number)
    return encoded(frame.to_image(), "JPEG", quality=95)


def _without(picture: Image.Image, sky: tuple[int, ...], grass: tuple[int, ...]) -> Image.Image:
    """Mask what is of neither of the background's colours, nor a blend of them as at the horizon."""
    pixels = np.asarray(picture, float) - sky
    blend = np.subtract(grass, sky)
    share = np.clip(pixels @ blend / (blend @ blend), 0, 1)
    return Image.fromarray(np.uint8(255 * (np.abs(pixels - share[..., None] * blend).max(axis=2) > 8)))
