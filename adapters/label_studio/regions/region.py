"""Regions and predictions as Label Studio stores them; positions and sizes are percent of the upright picture."""

import math
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from numpy.typing import NDArray

DECIMALS = 4
"""Of a percentage: a hundredth of a pixel in a picture 10,000 pixels wide."""


class PercentBox(TypedDict):
    """Upper left corner and size of a box in percent of the picture."""

    x: float
    y: float
    width: float
    height: float


class BoxValue(PercentBox):
    """A box that is rotated clockwise around its upper left corner, in degrees."""

    rotation: float
    rectanglelabels: list[str]


class KeypointValue(TypedDict):
    """Centre and width of a keypoint in percent of the picture."""

    x: float
    y: float
    width: float
    keypointlabels: list[str]


class VertexValue(TypedDict):
    """A vertex of a skeleton in percent of the picture; `prevPointId` names its parent, null for the root."""

    id: str
    x: float
    y: float
    isBezier: bool
    prevPointId: str | None


class BonesValue(TypedDict):
    """A tree of bones, its root first, parents before their children."""

    closed: bool
    vertices: list[VertexValue]
    vectorlabels: list[str]


class RegionMeta(TypedDict):
    """Data about a person: a note that Label Studio shows with a region, and the person's uncertainty."""

    text: list[str]
    uncertainty: float


class NoteValue(TypedDict):
    """The text of a region in the region panel."""

    text: list[str]


RegionType: TypeAlias = Literal["rectanglelabels", "keypointlabels", "vectorlabels", "textarea"]
RegionValue: TypeAlias = BoxValue | KeypointValue | BonesValue | NoteValue


class Region(TypedDict):
    """A region; `item_index` is the index of its frame, from 0, if the tag shows several."""

    id: str
    parentID: NotRequired[str]
    from_name: str
    to_name: str
    type: RegionType
    score: float
    original_width: int
    original_height: int
    image_rotation: int
    item_index: NotRequired[int]
    meta: NotRequired[RegionMeta]
    value: RegionValue


class KeyFrame(PercentBox):
    """The position of a box at one frame, in percent of the picture."""

    frame: int
    time: float
    rotation: float
    enabled: bool


class VideoBoxValue(TypedDict):
    """A box through a clip."""

    framesCount: int
    duration: float
    sequence: list[KeyFrame]
    labels: NotRequired[list[str]]


class VideoRegionMeta(TypedDict):
    """A note that Label Studio shows with a region."""

    text: list[str]


class VideoRegion(TypedDict):
    """A person through a clip."""

    id: str
    from_name: str
    to_name: str
    type: Literal["videorectangle"]
    score: float
    meta: VideoRegionMeta
    value: VideoBoxValue


class Prediction(TypedDict):
    """A prediction of one task."""

    model_version: str
    score: float
    result: list[Region | VideoRegion]


def percent(pixels: float, length: int) -> float:
    """Return pixels in percent of a picture's width or height."""
    return round(100 * pixels / length, DECIMALS)


def percent_box(box: NDArray[Any], size: tuple[int, int]) -> PercentBox | None:
    """Return a box clipped to the picture, or None if it is not finite or nothing of it is left.

    Args:
        box: x1, y1, x2, y2 in pixels, shape (4,).
        size: Width and height of the picture in pixels.
    """
    x1, y1, x2, y2 = (float(edge) for edge in box)
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        return None
    width, height = size
    x1, x2 = max(x1, 0.0), min(x2, float(width))
    y1, y2 = max(y1, 0.0), min(y2, float(height))
    thinnest = 10**-DECIMALS / 100  # an edge thinner than this would be rounded to nothing
    if x2 - x1 <= width * thinnest or y2 - y1 <= height * thinnest:
        return None
    x, y = percent(x1, width), percent(y1, height)
    return {
        "x": x,
        "y": y,
        "width": min(percent(x2 - x1, width), round(100 - x, DECIMALS)),
        "height": min(percent(y2 - y1, height), round(100 - y, DECIMALS)),
    }
