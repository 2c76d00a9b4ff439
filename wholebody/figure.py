"""A drawn person: a picture free of rights, which all networks detect as a person."""

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 240, 320
_DRAWN_LARGER = 4  # drawn larger and scaled down, which smooths the edges

_SKY, _GRASS = (196, 214, 226), (150, 160, 130)
_SKIN, _SHADE, _HAIR, _LIPS = (224, 172, 140), (180, 120, 95), (70, 45, 30), (150, 50, 50)
_SHIRT, _TROUSERS, _SHOE, _WHITE, _PUPIL = (
    (52, 92, 160),
    (60, 60, 72),
    (40, 30, 30),
    (255, 255, 255),
    (40, 30, 20),
)

Point = tuple[float, float]
Colour = tuple[int, int, int]


def draw_figure() -> Image.Image:
    """Draw a person who raises one hand: RGB, 240×320."""
    picture = Image.new("RGB", (WIDTH * _DRAWN_LARGER, HEIGHT * _DRAWN_LARGER), _SKY)
    figure = _Figure(ImageDraw.Draw(picture))
    figure.rectangle((0, 0.86), (1, 1), _GRASS)
    for side in (-1, 1):
        hip, knee, ankle = (0.5 + side * 0.06, 0.52), (0.5 + side * 0.08, 0.69), (0.5 + side * 0.09, 0.86)
        figure.limb(hip, knee, 0.042, 0.033, _TROUSERS)
        figure.limb(knee, ankle, 0.033, 0.022, _TROUSERS)
        figure.limb((ankle[0], 0.875), (ankle[0] + side * 0.05, 0.89), 0.018, 0.015, _SHOE)
    figure.polygon([(0.36, 0.25), (0.64, 0.25), (0.60, 0.54), (0.40, 0.54)], _SHIRT)
    for shoulder, elbow, wrist in (
        ((0.37, 0.27), (0.29, 0.39), (0.26, 0.50)),
        ((0.63, 0.27), (0.76, 0.34), (0.80, 0.20)),
    ):
        figure.limb(shoulder, elbow, 0.033, 0.026, _SHIRT)
        figure.limb(elbow, wrist, 0.024, 0.017, _SKIN)
        figure.oval(wrist, 0.024, 0.03, _SKIN)
    figure.limb((0.5, 0.21), (0.5, 0.26), 0.03, 0.03, _SKIN)
    figure.oval((0.5, 0.122), 0.065, 0.0605, _HAIR)
    figure.oval((0.5, 0.153), 0.056, 0.07, _SKIN)
    for side in (-1, 1):
        eye = (0.5 + side * 0.033, 0.146)
        figure.oval(eye, 0.01, 0.0062, _WHITE)
        figure.oval(eye, 0.005, 0.005, _PUPIL)
        figure.line([(0.5 + side * 0.0165, 0.128), (0.5 + side * 0.05, 0.1295)], 0.006, _HAIR)
    figure.line([(0.5, 0.145), (0.495, 0.17), (0.508, 0.171)], 0.005, _SHADE)
    figure.line([(0.475, 0.186), (0.49, 0.191), (0.51, 0.191), (0.525, 0.186)], 0.006, _LIPS)
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


class _Figure:
    """Draws in units of the picture: x in widths, y and thickness in heights."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw

    def polygon(self, points: list[Point], colour: Colour) -> None:
        self._draw.polygon([_pixels(point) for point in points], fill=colour)

    def rectangle(self, low: Point, high: Point, colour: Colour) -> None:
        self._draw.rectangle([_pixels(low), _pixels(high)], fill=colour)

    def oval(self, center: Point, across: float, down: float, colour: Colour) -> None:
        x, y = _pixels(center)
        across, down = across * HEIGHT * _DRAWN_LARGER, down * HEIGHT * _DRAWN_LARGER
        self._draw.ellipse([x - across, y - down, x + across, y + down], fill=colour)

    def line(self, points: list[Point], width: float, colour: Colour) -> None:
        thickness = round(width * HEIGHT * _DRAWN_LARGER)
        self._draw.line([_pixels(point) for point in points], fill=colour, width=thickness, joint="curve")

    def limb(self, start: Point, end: Point, start_radius: float, end_radius: float, colour: Colour) -> None:
        (x1, y1), (x2, y2) = _pixels(start), _pixels(end)
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        across = -(y2 - y1) / length, (x2 - x1) / length
        at_start, at_end = (radius * HEIGHT * _DRAWN_LARGER for radius in (start_radius, end_radius))
        self._draw.polygon(
            [
                (x1 + across[0] * at_start, y1 + across[1] * at_start),
                (x2 + across[0] * at_end, y2 + across[1] * at_end),
                (x2 - across[0] * at_end, y2 - across[1] * at_end),
                (x1 - across[0] * at_start, y1 - across[1] * at_start),
            ],
            fill=colour,
        )
        self.oval(start, start_radius, start_radius, colour)
        self.oval(end, end_radius, end_radius, colour)


def _pixels(point: Point) -> Point:
    return point[0] * WIDTH * _DRAWN_LARGER, point[1] * HEIGHT * _DRAWN_LARGER
