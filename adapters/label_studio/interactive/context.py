"""The `params.context` of a smart tool's request, of which only drawn regions are used (see `prompts`)."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

MAX_REGIONS_READ = 20_000
MAX_EARLIER = 1_000

DrawnItem: TypeAlias = Mapping[str, object]


def is_interactive(context: Mapping[str, object]) -> bool:
    """Return whether a request comes from a smart tool.

    Label Studio also sends one when a drawing was deleted, with the remaining ones: there may be none to answer.
    """
    return isinstance(context.get("result"), list)


def last_and_waiting(context: Mapping[str, object]) -> list[DrawnItem]:
    """Return the region drawn last, preceded by those that may wait with it; empty if none was drawn.

    These are the latest few regions drawn with the same tag on the same picture.
    """
    drawn = _drawn(context)
    if not drawn:
        return []
    last = drawn[-1]
    target = _target(last)
    earlier = [other for other in drawn[:-1] if _target(other) == target and _may_wait(other)]
    return [*earlier[-MAX_EARLIER:], last]


def compact_context(context: Mapping[str, object]) -> dict[str, Any]:
    """Return an equivalent context with only the used fields."""
    return {"result": last_and_waiting(context)} if is_interactive(context) else {}


def text_of(region: DrawnItem, key: str) -> str:
    """Return a text field of a region; "" if it is no text."""
    value = region.get(key)
    return value if isinstance(value, str) else ""


def tags_of(region: DrawnItem) -> tuple[str, str]:
    """Return the names of the tag that a region was drawn with and of the one it was drawn on."""
    return text_of(region, "from_name"), text_of(region, "to_name")


def frame_of(region: DrawnItem) -> int:
    """Return the frame that a region was drawn on, from 0."""
    frame = region.get("item_index")
    return frame if isinstance(frame, int) and frame >= 0 else 0


def _target(region: DrawnItem) -> tuple[str, str, int]:
    return (*tags_of(region), frame_of(region))


def _drawn(context: Mapping[str, object]) -> list[DrawnItem]:
    result = context.get("result")
    if not isinstance(result, list):
        return []
    regions: Sequence[object] = cast(list[object], result)[-MAX_REGIONS_READ:]
    mappings = [cast(DrawnItem, region) for region in regions if isinstance(region, Mapping)]
    return [region for region in mappings if region.get("origin") == "manual" and region.get("score") is None]


def _may_wait(region: DrawnItem) -> bool:
    """Return whether a region may wait for a result: only points of a smart tool have `is_positive`.

    Points that were accepted or set by hand earlier are finished work, and no part of the current prompt.
    """
    if text_of(region, "type") not in {"keypointlabels", "keypoint"}:
        return True
    value = region.get("value")
    return "is_positive" in region or (isinstance(value, Mapping) and "is_positive" in value)
