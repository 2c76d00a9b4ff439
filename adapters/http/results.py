"""The response to /predict as JSON."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.responses import Response

from adapters.prediction.outcome import Failure, Slot

_REGIONS_AT_ONCE = 500
"""Regions serialised in one step, about 5 ms. A clip of a thousand frames has hundreds of thousands."""


async def results_response(slots: Sequence[Slot]) -> Response:
    """Return `{"results": [...], "failures": [...]}`: one slot per task, and one entry for each slot that is `[]`.

    Label Studio reads `results` only. Serialised in pieces that yield to the event loop: hundreds of tasks or frames
    make tens of megabytes, and /health must be answered meanwhile.
    """
    parts: list[str] = []
    failures: list[str] = []
    for number, slot in enumerate(slots):
        if number:
            parts.append(",")
        if isinstance(slot, Failure):
            failures.append(_json(slot.as_dict()))
        for piece in _pieces(slot):
            parts.append(piece)
            await asyncio.sleep(0)
    body = f'{{"results":[{"".join(parts)}],"failures":[{",".join(failures)}]}}'
    return Response(body, media_type="application/json")


def _pieces(slot: Slot) -> Iterator[str]:
    """Write one slot, a few regions at a time."""
    if isinstance(slot, Failure):
        yield "[]"
        return
    regions = slot["result"]
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
