"""What an operator wants to know at a glance: what is in hand, what was done, what failed last and why."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FAILURES_KEPT = 20
DETAIL_KEPT = 500


@dataclass
class Status:
    """Counts of this process since it started; kept by the predictor, shown by `GET /status`.

    Attributes:
        mode: Which networks run.
        device: What they run on.
        model_version: The version that predictions carry; set when the networks are there.
        waiting: Tasks that wait for their turn.
        in_hand: Tasks being worked on.
    """

    mode: str
    device: str
    model_version: str = ""
    waiting: int = 0
    in_hand: int = 0
    _done: Counter[str] = field(default_factory=Counter[str])
    _failures: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=FAILURES_KEPT))
    _config_problems: tuple[str, ...] = ()
    _started: float = field(default_factory=time.monotonic)

    def succeeded(self) -> None:
        """Count a task that got its prediction."""
        self._done["succeeded"] += 1

    def failed(self, *, project: str | None, task: int | str | None, reason: str, detail: str) -> None:
        """Count a task that got none, and keep why."""
        self._done["failed"] += 1
        self._failures.append(
            {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "project": project,
                "task": task,
                "reason": reason,
                "detail": detail[:DETAIL_KEPT],
            }
        )

    def label_config_read(self, problems: Sequence[str]) -> None:
        """Keep what the label config of the project that was announced last lacks."""
        self._config_problems = tuple(problems)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "status": "UP",
            "model_version": self.model_version,
            "mode": self.mode,
            "device": self.device,
            "uptime_seconds": round(time.monotonic() - self._started),
            "tasks": {
                "waiting": self.waiting,
                "in_hand": self.in_hand,
                "succeeded": self._done["succeeded"],
                "failed": self._done["failed"],
            },
            "label_config_problems": list(self._config_problems),
            "last_failures": list(self._failures),
        }
