"""The outcome of a run: counts and failures."""

import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from adapters.prediction.outcome import Failure


class RunEndedError(Exception):
    """No further task of the run can succeed; the message says what to do."""


@dataclass
class Outcome:
    """The counts of a run, updated while it runs.

    Attributes:
        chosen: Selected tasks.
        had: Tasks that had a prediction of this model version at the start.
        created: Tasks for which the run stored a prediction.
        overtaken: Tasks for which another client stored one during the run.
        gone: Tasks that were deleted during the run.
        failures: Tasks without a prediction, with the reason.
        ended_by: Why the run ended early; empty if it did not.
    """

    chosen: int = 0
    had: int = 0
    created: int = 0
    overtaken: int = 0
    gone: int = 0
    failures: list[Failure] = field(default_factory=list[Failure])
    ended_by: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def finished(self) -> int:
        """Number of tasks that are done."""
        return self.created + self.overtaken + self.gone + len(self.failures)

    @property
    def left(self) -> int:
        """Number of tasks that remain."""
        return self.chosen - self.had - self.finished

    def by_reason(self) -> dict[str, list[Failure]]:
        """Return the failures by reason, the most frequent first."""
        groups: defaultdict[str, list[Failure]] = defaultdict(list)
        for failure in self.failures:
            groups[failure.reason].append(failure)
        return dict(sorted(groups.items(), key=lambda item: -len(item[1])))

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "tasks": self.chosen,
            "had_a_prediction": self.had,
            "created": self.created,
            "predicted_by_others_meanwhile": self.overtaken,
            "deleted_meanwhile": self.gone,
            "failed": len(self.failures),
            "left": self.left,
            "ended_by": self.ended_by,
            "seconds": round(time.monotonic() - self.started, 1),
            "failures": [failure.as_dict() for failure in sorted(self.failures, key=attrgetter("task"))],
        }


def write_report(file: Path, run: dict[str, Any], outcome: Outcome) -> None:
    """Write the run's options and its outcome as JSON, atomically.

    Raises:
        OSError: The file cannot be written.
    """
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.write_text(
        json.dumps(run | outcome.as_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    unfinished.replace(file)
