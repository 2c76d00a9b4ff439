"""What an operator wants to know at a glance: what is in hand, what was done, what failed last and why."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.observability import metrics

FAILURES_KEPT = 20
DETAIL_KEPT = 500
PROJECTS_KEPT = 20
MINUTE_S = 60


@dataclass(frozen=True)
class NetworkInUse:
    """A network that runs.

    Attributes:
        name: What it looks for: `person`, `body`, `hand`, `face`, `face_mesh`.
        weights: The name of its weights.
        engine: What runs it.
        precision: What it is computed in: `f32`, or what makes it faster (`bf16`, `mixed`, …).
    """

    name: str
    weights: str
    engine: str
    precision: str


@dataclass
class LastMinute:
    """How many there were in the last minute. Keeps a number for each second, however many come."""

    _seconds: deque[list[int]] = field(default_factory=deque[list[int]])

    def add(self) -> None:
        """Count one now."""
        now = int(time.monotonic())
        self._forget(now)
        if not self._seconds or self._seconds[-1][0] != now:
            self._seconds.append([now, 0])
        self._seconds[-1][1] += 1

    @property
    def count(self) -> int:
        """How many there were."""
        self._forget(int(time.monotonic()))
        return sum(count for _, count in self._seconds)

    def _forget(self, now: int) -> None:
        while self._seconds and self._seconds[0][0] <= now - MINUTE_S:
            self._seconds.popleft()


@dataclass
class Status:
    """Counts of this process since it started; kept by the predictor, shown by `GET /status`.

    Attributes:
        mode: Which networks run.
        device: What they run on.
        model_version: The version that predictions carry; set when the networks are there.
        networks: The networks, likewise.
        waiting: Tasks that wait for their turn.
        in_hand: Tasks being worked on.
    """

    mode: str
    device: str
    model_version: str = ""
    networks: tuple[NetworkInUse, ...] = ()
    waiting: int = 0
    in_hand: int = 0
    _done: Counter[str] = field(default_factory=Counter[str])
    _finished: LastMinute = field(default_factory=LastMinute)
    _refused: LastMinute = field(default_factory=LastMinute)
    _failures: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=FAILURES_KEPT))
    _config_problems: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    _started: float = field(default_factory=time.monotonic)

    def serving(self, model_version: str, networks: Sequence[NetworkInUse]) -> None:
        """Take note of what answers, here and in the metrics."""
        self.model_version = model_version
        self.networks = tuple(networks)
        metrics.model_info().labels(
            mode=self.mode,
            device=self.device,
            engine="+".join(sorted({network.engine for network in networks})),
            precision="+".join(sorted({network.precision for network in networks})),
            model_version=model_version,
        ).set(1)

    def succeeded(self) -> None:
        """Count a task that got its prediction."""
        self._done["succeeded"] += 1
        self._finished.add()

    def failed(self) -> None:
        """Count a task that got none."""
        self._done["failed"] += 1
        self._finished.add()

    def keep_failure(  # noqa: PLR0913 - what makes up a failure, each part named by its caller
        self,
        *,
        project: str | None,
        task: int | str | None,
        reason: str,
        detail: str,
        request: str = "-",
        stage: str = "",
    ) -> None:
        """Keep why a task got no prediction, or what was left out of one."""
        self._failures.append(
            {
                "at": _now(),
                "request": request,
                "project": project,
                "task": task,
                "stage": stage,
                "reason": reason,
                "detail": detail[:DETAIL_KEPT],
            }
        )

    def refused(self) -> None:
        """Count a request that was sent away because too much work was waiting."""
        self._done["refused"] += 1
        self._refused.add()

    def label_config_read(self, project: str, problems: Sequence[str]) -> bool:
        """Keep what a project's label config lacks, of the projects announced last.

        Returns:
            Whether that is other than when the project was announced before: Label Studio does it for every task
            that is opened.
        """
        known = self._config_problems.pop(project, ())
        if problems:
            self._config_problems[project] = tuple(problems)
        if len(self._config_problems) > PROJECTS_KEPT:
            del self._config_problems[next(iter(self._config_problems))]
        return known != tuple(problems)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "status": "UP",
            "model_version": self.model_version,
            "mode": self.mode,
            "device": self.device,
            "networks": [asdict(network) for network in self.networks],
            "uptime_seconds": round(time.monotonic() - self._started),
            "tasks": {
                "waiting": self.waiting,
                "in_hand": self.in_hand,
                "succeeded": self._done["succeeded"],
                "failed": self._done["failed"],
                "finished_in_last_minute": self._finished.count,
            },
            "requests_refused": {"total": self._done["refused"], "in_last_minute": self._refused.count},
            "label_config_problems": {
                project: list(problems) for project, problems in self._config_problems.items()
            },
            "last_failures": list(self._failures),
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
