"""Draws an evaluation as an SVG: average precision of each part, and PCK over the allowed distance."""

from textwrap import shorten
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from adapters.coco.evaluation import GROUPS, PCK_THRESHOLDS, Evaluation, Group

_WIDTH, _HEIGHT = 1000, 430
_LEFT, _RIGHT = (70, 90, 340, 270), (560, 90, 290, 270)  # x, y, width, height of the two diagrams
_INK, _FAINT = "#222222", "#d8d8d8"
# Distinct for colour-blind people as well: Okabe and Ito, "Color Universal Design", 2008.
_COLOURS = dict(zip(GROUPS, ("#000000", "#0072b2", "#56b4e9", "#e69f00", "#d55e00", "#009e73"), strict=True))


def plot(evaluation: Evaluation, title: str) -> str:
    """Return the SVG."""
    svg = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH} {_HEIGHT}",
            "width": str(_WIDTH),
            "height": str(_HEIGHT),
            "font-family": "sans-serif",
            "font-size": "13",
            "role": "img",
        },
    )
    SubElement(svg, "title").text = title
    SubElement(svg, "rect", width="100%", height="100%", fill="#ffffff")
    _text(svg, 20, 30, shorten(title, 110, placeholder="…"), size=17)
    _bars(svg, evaluation)
    _curves(svg, evaluation)
    indent(svg)
    return tostring(svg, encoding="unicode", xml_declaration=True) + "\n"


def _bars(svg: Element, evaluation: Evaluation) -> None:
    x, y, width, height = _LEFT
    _text(svg, x, y - 28, "Average precision (OKS 0.50 to 0.95), and at OKS 0.50 (light)")
    _scale(svg, _LEFT)
    step = width / len(evaluation.groups)
    for position, (name, group) in enumerate(evaluation.groups.items()):
        centre = x + (position + 0.5) * step
        _text(svg, centre, y + height + 20, name.replace("_", " "), anchor="middle", size=11)
        if group.ap is None or group.ap50 is None:
            _text(svg, centre, y + height - 6, "-", anchor="middle")
            continue
        for value, opacity in ((group.ap50, "0.35"), (group.ap, "1")):
            SubElement(
                svg,
                "rect",
                {"x": _number(centre - 0.3 * step), "y": _number(y + height * (1 - value))},
                width=_number(0.6 * step),
                height=_number(height * value),
                fill=_COLOURS[name],
                opacity=opacity,
            )
        top = y + height * (1 - max(group.ap50, group.ap))
        _text(svg, centre, top - 5, f"{group.ap:.2f}", anchor="middle", size=12)


def _curves(svg: Element, evaluation: Evaluation) -> None:
    x, y, width, height = _RIGHT
    _text(svg, x, y - 28, "PCK: share of keypoints within a distance")
    _scale(svg, _RIGHT)
    farthest = float(PCK_THRESHOLDS[-1])
    for share in (0.0, 0.5, 1.0):
        _text(svg, x + share * width, y + height + 20, f"{share * farthest:g}", anchor="middle", size=11)
    _text(
        svg,
        x + width / 2,
        y + height + 42,
        "distance in lengths of the part (body and feet: of the person's box)",
        anchor="middle",
        size=11,
    )
    drawn = {name: group for name, group in evaluation.groups.items() if group.pck_curve}
    for name, group in drawn.items():
        points = " ".join(
            f"{_number(x + width * float(limit) / farthest)},{_number(y + height * (1 - share))}"
            for limit, share in zip(PCK_THRESHOLDS, group.pck_curve, strict=True)
        )
        SubElement(
            svg, "polyline", {"points": points, "stroke": _COLOURS[name], "fill": "none", "stroke-width": "2"}
        )
    for name, at in _label_heights(drawn, y, height).items():
        _text(svg, x + width + 8, at + 4, name.replace("_", " "), colour=_COLOURS[name], size=12)


def _label_heights(drawn: dict[str, Group], y: float, height: float) -> dict[str, float]:
    """Return the heights of the curves' names: beside their ends, without overlap."""
    heights: dict[str, float] = {}
    lowest = y - 10.0
    for name, group in sorted(drawn.items(), key=lambda item: -item[1].pck_curve[-1]):
        lowest = max(y + height * (1 - group.pck_curve[-1]), lowest + 16)
        heights[name] = lowest
    below = lowest - (y + height)
    return {name: at - max(below, 0) for name, at in heights.items()}


def _scale(svg: Element, place: tuple[int, int, int, int]) -> None:
    x, y, width, height = place
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = _number(y + height * (1 - share))
        SubElement(svg, "line", x1=str(x), x2=str(x + width), y1=at, y2=at, stroke=_FAINT)
        _text(svg, x - 8, float(at) + 4, f"{share:g}", anchor="end", size=11)


def _text(  # noqa: PLR0913 - attributes of the element
    svg: Element,
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    size: int = 13,
    colour: str = _INK,
) -> None:
    attributes = {"x": _number(x), "y": _number(y), "text-anchor": anchor, "font-size": str(size)}
    SubElement(svg, "text", attributes, fill=colour).text = text


def _number(value: float) -> str:
    return f"{value:.1f}"
