"""What became of the tasks of a run."""

import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from adapters.prediction.outcome import Failure


class RunEndedError(Exception):
    """The run cannot go on, whatever the task; the message says what to do."""


@dataclass
class Outcome:
    """The counts of a run, kept while it goes on.

    Attributes:
        chosen: Tasks that the run is about.
        had: Of these, those that had a prediction of this model version before the run saw them for the first time.
        created: Those that got one.
        overtaken: Those that somebody else gave one meanwhile.
        gone: Those that were deleted meanwhile.
        failures: Those that got none, and why.
        ended_by: Why the run ended before it was through; empty if it was.
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
        """Tasks of this run that nothing is left to do for."""
        return self.created + self.overtaken + self.gone + len(self.failures)

    @property
    def left(self) -> int:
        """Tasks that the run has not come to."""
        return self.chosen - self.had - self.finished

    def by_reason(self) -> dict[str, list[Failure]]:
        """The failures by their reason, the most frequent first."""
        groups: defaultdict[str, list[Failure]] = defaultdict(list)
        for failure in self.failures:
            groups[failure.reason].append(failure)
        return dict(sorted(groups.items(), key=lambda item: -len(item[1])))

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
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
    """Write what was asked and what became of it as JSON, in one step.

    Raises:
        OSError: The file cannot be written.
    """
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.write_text(
        json.dumps(run | outcome.as_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    unfinished.replace(file)
