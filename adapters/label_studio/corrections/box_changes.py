"""Detects changes of an annotator to the boxes of a prediction, on pictures and in clips."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

NOTICEABLE = 0.01
"""Least shift of an edge that counts, in diagonals of the predicted box: selecting a box may shift it slightly."""
_TURNED_DEGREES = 1.0

_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Box(BaseModel):
    """Position and size in percent, of a rectangle or at a key frame."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    x: _Finite
    y: _Finite
    width: _Finite
    height: _Finite
    rotation: _Finite = 0.0


class _KeyFrame(_Box):
    frame: int
    enabled: bool = True


class _Sequence(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    sequence: list[_KeyFrame]


class _Rectangle(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    id: str
    type: Literal["rectanglelabels", "rectangle"]
    original_width: Annotated[int, Field(gt=0)]
    original_height: Annotated[int, Field(gt=0)]
    value: _Box


class _VideoRectangle(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    id: str
    type: Literal["videorectangle"]
    value: _Sequence


BoxRegion = _Rectangle | _VideoRectangle


def read_boxes(result: Sequence[object]) -> dict[str, BoxRegion]:
    """Read the boxes of an annotation or a prediction, by id; unreadable ones are skipped."""
    boxes: dict[str, BoxRegion] = {}
    for item in result:
        kind = cast("Mapping[str, Any]", item).get("type") if isinstance(item, dict) else None
        if kind not in ("rectanglelabels", "rectangle", "videorectangle"):
            continue
        model = _VideoRectangle if kind == "videorectangle" else _Rectangle
        try:
            box = model.model_validate(item)
        except ValidationError:
            continue
        boxes[box.id] = box
    return boxes


def boxes_changed(predicted: Mapping[str, BoxRegion], now: Mapping[str, BoxRegion]) -> bool:
    """Return whether a box was removed or added, or noticeably moved, resized or rotated."""
    return predicted.keys() != now.keys() or any(_changed(box, now[name]) for name, box in predicted.items())


def _changed(box: BoxRegion, now: BoxRegion) -> bool:
    if isinstance(box, _Rectangle):
        return not isinstance(now, _Rectangle) or _moved(
            box.value, now.value, box.original_width, box.original_height
        )
    if not isinstance(now, _VideoRectangle):
        return True
    frames = {key.frame: key for key in box.value.sequence}
    frames_now = {key.frame: key for key in now.value.sequence}
    # The region does not have the clip's size; in percent of it the share is about the same.
    return frames.keys() != frames_now.keys() or any(
        key.enabled != frames_now[frame].enabled or _moved(key, frames_now[frame], 100, 100)
        for frame, key in frames.items()
    )


def _moved(box: _Box, now: _Box, width: float, height: float) -> bool:
    across, down = width / 100, height / 100
    most = max(
        abs(box.x - now.x) * across,
        abs(box.y - now.y) * down,
        abs(box.x + box.width - now.x - now.width) * across,
        abs(box.y + box.height - now.y - now.height) * down,
    )
    turned = abs((box.rotation - now.rotation + 180) % 360 - 180)
    return most > NOTICEABLE * math.hypot(box.width * across, box.height * down) or turned > _TURNED_DEGREES
