"""A prediction request in short: what is read of it, and nothing else.

Label Studio sends tasks with all their annotations and predictions. Reading millions of values takes longer than the
event loop may stand still, so it is done in a process of its own, by `compact_request`, with little else to import.
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
"""64 MiB of Label Studio's tasks with their annotations take 350."""
MAX_VALUES = 100_000
"""As many are read within 100 ms, whatever they are."""
_WORKS = ("drafts", "annotations", "predictions")
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
    """Return the body of a prediction request in short. Changes this process: see `runners.startup.apart`.

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
    # Smart tools add to the people on the page, who are in these.
    short = _written(request, with_works=is_interactive(request.params.context))
    if values_in(short) > MAX_VALUES:
        short = _written(request)
    if values_in(short) > MAX_VALUES:
        # Without a label config, what is predicted has `$image`.
        short = _written(request, keys_read(request.label_config or '<Image value="$image"/>'))
    if values_in(short) > MAX_VALUES:
        raise TooManyValuesError
    return short


def _written(
    request: PredictRequest, keys: frozenset[str] | None = None, *, with_works: bool = False
) -> bytes:
    """Write a request; with those keys of the tasks' data only, if some are given, and with what was made of tasks."""
    content: dict[str, Any] = {
        "tasks": [
            {
                "id": task.id,
                "data": {key: value for key, value in task.data.items() if keys is None or key in keys},
                **({name: getattr(task, name) for name in _WORKS} if with_works else {}),
            }
            for task in request.tasks
        ],
        "project": request.project,
        "label_config": request.label_config,
        "params": {"context": compact_context(request.params.context)},
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _limit_this_process() -> None:
    # Where memory ends, Rust would write down where it was, for which it needs memory, and sometimes wait for ever.
    os.environ["RUST_BACKTRACE"] = "0"
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    os.nice(_NICER)
    gc.disable()  # it would look through all values, again and again
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - not everywhere

        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
