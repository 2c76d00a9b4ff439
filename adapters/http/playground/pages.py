"""The playground: a page for trying the service with one's own pictures.

The page and its files are part of this package and load nothing from other hosts, so it works offline, behind a prefix
and with basic authentication. Keypoints and label configs are embedded as JSON, made from the tables of the service.
"""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from adapters.http.example import example_picture
from adapters.http.gateway import Route
from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.settings import Settings
from wholebody.palette import BOX_COLOUR, keypoint_colour
from wholebody.schema import KEYPOINTS, PART_RANGES
from wholebody.strokes import (
    BOX_PEN,
    EDGE_COLOUR,
    EDGE_OPACITY,
    EDGE_WIDTH,
    POINT_RADIUS,
    STROKES,
    Pen,
)

PATH = "/playground"

_FOLDER = Path(__file__).parent
_TYPES = {".js": "text/javascript", ".css": "text/css"}
_PLACEHOLDER = "{{ schema }}"
_HEADERS = {
    # Pictures may come from any address that the user enters; everything else comes from this service.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob: http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # a new version of the service brings a new page
}


def playground_routes() -> dict[str, Route]:
    """Return the GET routes of the page and its files by path."""
    files = sorted(file for file in _FOLDER.iterdir() if file.suffix in _TYPES)
    return {PATH: _page_route} | {f"{PATH}/{file.name}": _file_route(file) for file in files}


@cache
def page() -> str:
    """Return the page's HTML."""
    # "<" is escaped, so no text can close the script element around it.
    schema = json.dumps(_schema(), separators=(",", ":")).replace("<", "\\u003c")
    return (_FOLDER / "index.html").read_text("utf-8").replace(_PLACEHOLDER, schema)


def request_label_config() -> str:
    """Return the label config of the page's requests: all keypoints, whatever their score.

    So the page's threshold can change without a new request.
    """
    tag = "<KeyPointLabels"
    return label_config_template([Selection.WHOLE]).replace(tag, f'{tag} model_point_threshold="0"')


def _schema() -> dict[str, Any]:
    return {
        "keypoints": [
            {
                "name": keypoint.name,
                "part": keypoint.part.value,
                "colour": keypoint_colour(keypoint.index),
            }
            for keypoint in KEYPOINTS
        ],
        "parts": [part.value for part in PART_RANGES],
        "strokes": [
            {"bones": stroke.bones, "keypoints": stroke.keypoints, **_pen(stroke.pen, stroke.colour)}
            for stroke in STROKES
        ],
        "pointRadius": POINT_RADIUS,
        "edge": {"colour": EDGE_COLOUR, "opacity": EDGE_OPACITY, "width": EDGE_WIDTH},
        "box": _pen(BOX_PEN, BOX_COLOUR),
        "requestLabelConfig": request_label_config(),
        "labelConfigs": {choice.value: label_config_template([choice]) for choice in Selection},
        "example": example_picture(),
        # The default, not the setting: proxies have limits as well, so the page also handles 413.
        "requestBytes": Settings.model_fields["max_request_bytes"].default,
        "threshold": Settings.model_fields["confidence_threshold"].default,
    }


def _pen(pen: Pen, colour: str) -> dict[str, Any]:
    return {"colour": colour, **asdict(pen)}


async def _page_route(_: Request) -> Response:
    return Response(page(), headers=_HEADERS, media_type="text/html")


def _file_route(file: Path) -> Route:
    content = file.read_bytes()

    async def route(_: Request) -> Response:
        return Response(content, headers=_HEADERS, media_type=_TYPES[file.suffix])

    return route
