"""Pictures with one, two or three drawn people who the networks take for people."""

import io

import numpy as np
from PIL import Image

from adapters.http.example import HEIGHT, WIDTH, draw_figure

_PLACES = {  # left edge and height of each figure, in a scene of 3 × its width
    1: ((0.33, 1.0),),
    2: ((0.05, 0.95), (0.60, 0.85)),
    3: ((0.00, 0.90), (0.34, 1.0), (0.68, 0.80)),
}
SIZE = (3 * WIDTH, HEIGHT)


def scene(people: int) -> Image.Image:
    """Draw a meadow with so many people: RGB, 720×320."""
    figure = draw_figure()
    sky, grass = figure.getpixel((0, 0)), figure.getpixel((0, HEIGHT - 1))
    picture = Image.new("RGB", SIZE, sky)
    picture.paste(grass, (0, round(0.86 * HEIGHT), *SIZE))
    for left, height in _PLACES[people]:
        size = (round(WIDTH * height), round(HEIGHT * height))
        smaller = figure.resize(size, Image.Resampling.LANCZOS)
        picture.paste(smaller, (round(left * SIZE[0]), HEIGHT - size[1]), _without(smaller, sky, grass))
    return picture


def _without(picture: Image.Image, *colours: tuple[int, ...]) -> Image.Image:
    """Mask what is in none of the background's colours."""
    differences = [np.abs(np.asarray(picture, int) - colour).max(axis=2) for colour in colours]
    return Image.fromarray(np.uint8(255 * (np.min(differences, axis=0) > 8)))


def jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()
