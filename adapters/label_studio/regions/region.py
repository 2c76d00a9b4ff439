"""Regions and predictions as Label Studio stores them; positions and sizes are percent of the upright picture."""

from typing import Literal, NotRequired, TypeAlias, TypedDict


class BoxValue(TypedDict):
    """Upper left corner and size of a box in percent of the picture."""

    x: float
    y: float
    width: float
    height: float
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


class KeyFrame(TypedDict):
    """The position of a box at one frame, in percent of the picture."""

    frame: int
    time: float
    x: float
    y: float
    width: float
    height: float
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
