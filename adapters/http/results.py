"""The answer to /predict as JSON."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response


async def results_response(slots: Sequence[Any]) -> Response:
    """Return `{"results": [...]}` with one slot per task.

    Slot by slot, with a breath between them: hundreds of tasks make tens of megabytes, and the event loop, which
    /health answers from, must not stand still meanwhile.
    """
    parts: list[str] = []
    for slot in slots:
        parts.append(json.dumps(slot, allow_nan=False, separators=(",", ":")))
        await asyncio.sleep(0)
    return Response('{"results":[' + ",".join(parts) + "]}", media_type="application/json")
