"""Writes the result of the checks into task data, where the data manager shows and sorts it.

Observed with Label Studio 1.23.2: a new field of task data becomes a column, and columns of task data are sorted as
text unless the user sets their type. Numbers below 1 with three decimals are in order either way. Annotations and
predictions do not change.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.label_checks.report import Report
from adapters.label_studio.client.api import LabelStudioApi

SCORE_FIELD, REASON_FIELD = "label_check", "label_check_reason"
"""Names of the written fields of task data."""

_LONGEST = 500  # characters of a reason
_AT_ONCE = 100  # tasks that are read before they are written, so that their data is recent


class ColumnTakenError(Exception):
    """A task has a field of this name with other content; the message says what to do."""


@dataclass(frozen=True)
class Verdict:
    """What the column shows for a task: the highest score, and the reasons."""

    score: float
    reason: str


def verdicts(report: Report) -> dict[int, Verdict]:
    """Return what the column shows for each checked task; 0 and no reason without a probable mistake."""
    reasons: dict[int, list[str]] = {task: [] for task in report.tasks}
    scores = dict.fromkeys(report.tasks, 0.0)
    for one in report.suspicions:
        if one.task is None:
            continue
        scores[one.task] = max(scores[one.task], one.score)
        where = [] if one.frame is None else [f"frame {one.frame}"]
        reasons[one.task].append(
            ", ".join([*where, *one.people]) + (": " if where or one.people else "") + one.reason
        )
    return {task: Verdict(scores[task], _shortened("; ".join(texts))) for task, texts in reasons.items()}


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


async def write_column(
    api: LabelStudioApi, project: int, found: Mapping[int, Verdict]
) -> AsyncGenerator[bool]:
    """Write the column, and yield for each task whether it changed.

    Raises:
        LabelStudioApiError: A request failed.
        ColumnTakenError: A task has other content in one of the fields.
    """
    numbers = list(found)
    for start in range(0, len(numbers), _AT_ONCE):
        async for task in api.tasks(project, ids=numbers[start : start + _AT_ONCE]):
            data = _with_verdict(task.id, task.data, found[task.id])
            if data != task.data:
                await api.replace_task_data(task.id, data)
            yield data != task.data


def _with_verdict(task: int, data: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    _refuse_others(task, data, SCORE_FIELD, (int, float))
    _refuse_others(task, data, REASON_FIELD, (str,))
    return {**data, SCORE_FIELD: verdict.score, REASON_FIELD: verdict.reason}


def _refuse_others(task: int, data: Mapping[str, Any], name: str, types: Sequence[type]) -> None:
    if name in data and (isinstance(data[name], bool) or not isinstance(data[name], tuple(types))):
        raise ColumnTakenError(
            f"Task {task} has a field {name!r} with other content in its data. Rename it, or run without --write."
        )
