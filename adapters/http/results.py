"""The response to /predict as JSON."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.responses import Response

_REGIONS_AT_ONCE = 500
"""Regions serialised in one step, about 5 ms. A clip of a thousand frames has hundreds of thousands."""


async def results_response(slots: Sequence[Any]) -> Response:
    """Return `{"results": [...]}` with one slot per task.

    Serialised in pieces that yield to the event loop: hundreds of tasks or frames make tens of megabytes, and /health
    must be answered meanwhile.
    """
    parts: list[str] = []
    for number, slot in enumerate(slots):
        for piece in _pieces(slot):
            parts.append(piece)
            await asyncio.sleep(0)
        if number + 1 < len(slots):
            parts.append(",")
    return Response('{"results":[' + "".join(parts) + "]}", media_type="application/json")


def _pieces(slot: Any) -> Iterator[str]:
    """Write one slot, a few regions at a time."""
    regions: list[Any] = slot["result"] if slot else []
    if len(regions) <= _REGIONS_AT_ONCE:
        yield _json(slot)
        return
    before, after = _json({**slot, "result": None}).rsplit('"result":null', 1)
    yield before + '"result":['
    for start in range(0, len(regions), _REGIONS_AT_ONCE):
        some = _json(regions[start : start + _REGIONS_AT_ONCE])[1:-1]
        yield f",{some}" if start else some
    yield "]" + after


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
