"""Reads single regions of an annotation or a prediction, and the information in their ids."""

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias
from zlib import crc32

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from adapters.label_studio.schemas import null_as_object, null_as_text
from adapters.sentences import first_problem, one_line
from wholebody.schema import keypoint_index

# Ids of predicted points: p0-nose; in interactive use a8f3-p0-nose; p0-nose-2 where two tags have the keypoint.
_PREDICTED_ID = re.compile(r"(.*\bp\d+)-(.+?)(?:-\d+)*")
_JOINED = re.compile(r"-\d{9}(?:-\d+)?$")
_OF_PICTURE = re.compile(r"(i\d+-)?(f\d+-)?p\d+")
_BOX = "-box"
_MAX_SIZE = 1_000_000  # pixels; larger pictures do not exist
_LARGEST = 1e6  # percent, degrees; more would become infinite in pixels

Warn: TypeAlias = Callable[[str], None]


def _text_or_nothing(value: object) -> object:
    return value if isinstance(value, str) else ""


Finite = Annotated[float, Field(allow_inf_nan=False, ge=-_LARGEST, le=_LARGEST)]
Pixels = Annotated[int, Field(gt=0, le=_MAX_SIZE)]


class _Vertex(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = ""
    x: Finite
    y: Finite
    isBezier: Annotated[bool, BeforeValidator(lambda value: value is True)] = False  # noqa: N815 - Label Studio's name


class _Value(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    x: Finite = 0.0
    y: Finite = 0.0
    width: Finite = 0.0
    height: Finite = 0.0
    rotation: Finite = 0.0
    keypointlabels: list[str] = Field(default_factory=list[str])
    rectanglelabels: list[str] = Field(default_factory=list[str])
    vectorlabels: list[str] = Field(default_factory=list[str])
    choices: list[str] = Field(default_factory=list[str])
    vertices: list[_Vertex] = Field(default_factory=list[_Vertex])


class DrawnRegion(BaseModel):
    """A region of an annotation or a prediction; positions and sizes in percent of the picture.

    Its `origin` is "prediction-changed" if Label Studio saw a change to a predicted region, and "" if it is missing.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    id: str
    type: str
    from_name: str = ""
    to_name: str = ""
    parent: Annotated[str, BeforeValidator(null_as_text)] = Field("", alias="parentID")
    original_width: Pixels | None = None
    original_height: Pixels | None = None
    image_rotation: Annotated[Finite, BeforeValidator(lambda value: value or 0)] = 0.0
    item_index: int | None = None
    origin: Annotated[str, BeforeValidator(_text_or_nothing)] = ""
    score: Finite | None = None
    meta: Annotated[dict[str, Any], BeforeValidator(null_as_object)] = Field(default_factory=dict[str, Any])
    value: _Value

    @property
    def labels(self) -> list[str]:
        """Its labels."""
        if self.type == "vectorlabels":
            return self.value.vectorlabels
        return self.value.keypointlabels if self.type == "keypointlabels" else self.value.rectanglelabels


def read_region(item: object, warn: Warn) -> DrawnRegion | None:
    """Read a region; return None, with a warning, if it is unreadable or has no position in the picture."""
    if isinstance(item, dict) and item.get("type") in ("relation", "textarea", "taxonomy"):  # pyright: ignore[reportUnknownMemberType] - JSON
        return None  # no position in the picture
    try:
        region = DrawnRegion.model_validate(item)
    except ValidationError as error:
        warn(one_line(f"a region is left out: {first_problem(error)}"))
        return None
    if region.type not in ("keypointlabels", "rectanglelabels", "vectorlabels"):
        return region
    if region.original_width is None or region.original_height is None:
        warn(one_line(f"region {region.id!r} has no original_width and original_height; it is left out"))
        return None
    if region.image_rotation % 360:
        warn(
            one_line(
                f"region {region.id!r} was drawn on the picture rotated by {region.image_rotation:g} degrees, which is "
                "not supported; it is left out"
            )
        )
        return None
    return region


def predicted_point(region_id: str) -> tuple[str | None, int | None]:
    """Return the person ("p0") and the keypoint in the id of a predicted point; None for what it lacks."""
    match = _PREDICTED_ID.fullmatch(region_id)
    return (match[1], keypoint_index(match[2])) if match else (None, None)


def joined_later(region_id: str) -> bool:
    """Return whether a point or vertex belongs to a part that a smart tool added to an existing person."""
    return _JOINED.search(region_id) is not None


def joining_number(drawn_id: str) -> int:
    """Return the number at the end of the ids of an added part: nine digits, which no other id ends with."""
    return 10**8 + crc32(drawn_id.encode()) % (9 * 10**8)


def predicted_box(person: str) -> str:
    """Return the id of a predicted person's box: "p0-box" for "p0"."""
    return person + _BOX


def person_of_box(region_id: str) -> str | None:
    """Return the person ("p0") in the id of a predicted box; None for other ids."""
    match = _PREDICTED_ID.fullmatch(region_id)
    return match[1] if match and match[2] == _BOX[1:] else None


def is_of_picture(person: str | None) -> bool:
    """Return whether a person was predicted with a whole picture, not for a smart tool."""
    return person is not None and _OF_PICTURE.fullmatch(person) is not None
