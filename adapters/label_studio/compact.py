"""A prediction request in short: what is read of it, and nothing else.

Label Studio sends tasks with all their annotations and predictions. Reading millions of values takes longer than the
event loop may stand still, so it is done in a process of its own, by `compact_request`, with little else to import.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from functools import cache
from html import unescape
from typing import Any

from pydantic import ValidationError

from adapters.label_studio.interactive_context import compact_context
from adapters.label_studio.schemas import PredictRequest
from adapters.label_studio.task_value import UNNAMED_COLUMN

MEBIBYTE = 2**20
MAX_MEMORY = 400 * MEBIBYTE
"""64 MiB of Label Studio's tasks with their annotations take 350."""
MAX_VALUES = 100_000
"""As many are read within 100 ms, whatever they are."""
_NICER = 5
_PROBLEMS_TOLD = 3


class UnreadableError(ValueError):
    """A body is no prediction request; the message is pydantic's problems as JSON, as BentoML answers them."""


class TooManyValuesError(ValueError):
    """What is needed of a body is itself too much to be read at once."""


def values_in(text: bytes | bytearray) -> int:
    """Return about how many values and escapes there are in JSON, at a glance."""
    return sum(text.count(one) for one in (b",", b"{", b"[", b"\\"))


def compact_request(body: bytes) -> bytes:
    """Return the body of a prediction request in short. Changes this process: see `runners.apart`.

    Raises:
        UnreadableError: It is none.
        TooManyValuesError: It would still have more than `MAX_VALUES`.
    """
    _limit_this_process()
    try:
        request = PredictRequest.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise UnreadableError(json.dumps({"detail": problems[:_PROBLEMS_TOLD]})) from None
    short = _written(request, lambda _: True)
    if values_in(short) > MAX_VALUES:
        short = _written(request, _may_be_read(request.label_config))
    if values_in(short) > MAX_VALUES:
        raise TooManyValuesError
    return short


def _written(request: PredictRequest, is_needed: Callable[[str], bool]) -> bytes:
    """Write a request with those keys of the tasks' data that are needed."""
    content: dict[str, Any] = {
        "tasks": [
            {"id": task.id, "data": {key: value for key, value in task.data.items() if is_needed(key)}}
            for task in request.tasks
        ],
        "project": request.project,
        "label_config": request.label_config,
        "params": {"context": compact_context(request.params.context)},
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _may_be_read(label_config: str) -> Callable[[str], bool]:
    """Return what tells of a key of a task's data whether it may be read: others stand nowhere in the label config."""
    text = unescape(label_config) or "$image"  # as what is predicted without a label config has it

    @cache
    def is_needed(key: str) -> bool:
        return key in text or key == UNNAMED_COLUMN

    return is_needed


def _limit_this_process() -> None:
    os.nice(_NICER)
    gc.disable()  # it would look through all values, again and again
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - not everywhere

        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
