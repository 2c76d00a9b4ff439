"""The outcome of a task: a prediction, or a failure with its reason."""

from dataclasses import dataclass
from typing import Any

from adapters.label_studio.regions.region import Prediction
from adapters.observability.status import DETAIL_KEPT

OUT_OF_TIME = "time_budget"
"""Reason of a task that exceeded the request's time. Finished frames are cached: a retry continues."""


class TaskError(Exception):
    """A task cannot be predicted. `reason` is a metric label; the message says what to do."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Failure:
    """Why a task has no prediction.

    Attributes:
        task: The task's id; None if it has none.
        reason: One of a fixed set of words, listed in docs/operation.md.
        detail: What is wrong and what to do.
        frames_done: Finished frames of a task that ran out of time; None for all other failures.
    """

    task: int | str | None
    reason: str
    detail: str
    frames_done: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the entry in the response to `/predict` and in reports, as plain JSON values."""
        entry = {"task": self.task, "reason": self.reason, "detail": self.detail[:DETAIL_KEPT]}
        return entry if self.frames_done is None else {**entry, "frames_done": self.frames_done}


Slot = Prediction | Failure
"""The outcome of one task. In `results`, a failure is `[]`."""
