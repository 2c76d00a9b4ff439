"""Shortens a prediction request to the fields that are used.

Label Studio sends tasks with all their annotations and predictions. Parsing millions of values would block the event
loop too long, so `compact_request` runs in its own process, which imports little else.
"""

import gc
import json
import os
import sys
from typing import Any

from pydantic import ValidationError

from adapters.label_studio.interactive.context import compact_context, is_interactive
from adapters.label_studio.label_config.task_value import keys_read
from adapters.label_studio.schemas import PredictRequest

MEBIBYTE = 2**20
MAX_MEMORY = 400 * MEBIBYTE
"""64 MiB of Label Studio's tasks with their annotations take 350 MiB."""
MAX_VALUES = 100_000
"""Parsing this many takes at most 100 ms, whatever they are."""
_RESULT_FIELDS = ("drafts", "annotations", "predictions")
_NICENESS = 5
_PROBLEMS_LISTED = 3


class UnreadableError(ValueError):
    """A body is no prediction request; the message is pydantic's errors as JSON, in BentoML's form."""


class TooManyValuesError(ValueError):
    """The used fields of a body still have more than `MAX_VALUES` values."""


def values_in(text: bytes | bytearray) -> int:
    """Return the approximate number of values and escapes in JSON, without parsing it."""
    return sum(text.count(one) for one in (b",", b"{", b"[", b"\\"))


def compact_request(body: bytes) -> bytes:
    """Return the shortened body of a prediction request. Changes this process: see `runners.startup.apart`.

    Raises:
        UnreadableError: The body is no prediction request.
        TooManyValuesError: It would still have more than `MAX_VALUES`.
    """
    _limit_this_process()
    try:
        request = PredictRequest.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise UnreadableError(json.dumps({"detail": problems[:_PROBLEMS_LISTED]})) from None
    # Smart tools need the people on the page, who are in drafts, annotations and predictions.
    short = _written(request, with_results=is_interactive(request.params.context))
    if values_in(short) > MAX_VALUES:
        short = _written(request)
    if values_in(short) > MAX_VALUES:
        # Without a label config, the picture is in `$image`.
        short = _written(request, keys_read(request.label_config or '<Image value="$image"/>'))
    if values_in(short) > MAX_VALUES:
        raise TooManyValuesError
    return short


def _written(
    request: PredictRequest, keys: frozenset[str] | None = None, *, with_results: bool = False
) -> bytes:
    """Write a request with only the given keys of the tasks' data, and with drafts, annotations and predictions."""
    content: dict[str, Any] = {
        "tasks": [
            {
                "id": task.id,
                "data": {key: value for key, value in task.data.items() if keys is None or key in keys},
                **({name: getattr(task, name) for name in _RESULT_FIELDS} if with_results else {}),
            }
            for task in request.tasks
        ],
        "project": request.project,
        "label_config": request.label_config,
        "params": {"context": compact_context(request.params.context)},
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _limit_this_process() -> None:
    # Out of memory, Rust would write a backtrace, which needs memory and sometimes deadlocks.
    os.environ["RUST_BACKTRACE"] = "0"
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    os.nice(_NICENESS)
    gc.disable()  # it would scan all values repeatedly
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - not everywhere

        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
