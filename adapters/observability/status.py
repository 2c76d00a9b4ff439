"""The state for operators: tasks in progress, counts, and the last failures with their reasons."""

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
        name: Its task: `person`, `body`, `hand`, `palm`, `face`, `face_mesh`.
        weights: The name of its weights.
        engine: Its inference engine.
        precision: Its precision: `f32`, or a faster one (`bf16`, `mixed`, …).
    """

    name: str
    weights: str
    engine: str
    precision: str


@dataclass
class LastMinute:
    """Counts events in the last minute, with one number per second."""

    _seconds: deque[list[int]] = field(default_factory=deque[list[int]])

    def add(self) -> None:
        """Count one event now."""
        now = int(time.monotonic())
        self._forget(now)
        if not self._seconds or self._seconds[-1][0] != now:
            self._seconds.append([now, 0])
        self._seconds[-1][1] += 1

    @property
    def count(self) -> int:
        """The number of events in the last minute."""
        self._forget(int(time.monotonic()))
        return sum(count for _, count in self._seconds)

    def _forget(self, now: int) -> None:
        while self._seconds and self._seconds[0][0] <= now - MINUTE_S:
            self._seconds.popleft()


@dataclass
class Status:
    """Counts of this process since it started; kept by the predictor, shown by `GET /status`.

    Attributes:
        mode: The set of networks.
        device: Their device.
        model_version: The version of predictions; set at start-up.
        networks: The running networks; set at start-up.
        waiting: Queued tasks.
        in_hand: Tasks in progress.
        webhooks_without_payload: Webhooks about annotations that did not say which.
    """

    mode: str
    device: str
    model_version: str = ""
    networks: tuple[NetworkInUse, ...] = ()
    waiting: int = 0
    in_hand: int = 0
    webhooks_without_payload: int = 0
    _done: Counter[str] = field(default_factory=Counter[str])
    _finished: LastMinute = field(default_factory=LastMinute)
    _refused: LastMinute = field(default_factory=LastMinute)
    _failures: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=FAILURES_KEPT))
    _config_problems: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    _started: float = field(default_factory=time.monotonic)

    def serving(self, model_version: str, networks: Sequence[NetworkInUse]) -> None:
        """Set the running model, here and in the metrics."""
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
        """Count a task with a prediction."""
        self._done["succeeded"] += 1
        self._finished.add()

    def failed(self) -> None:
        """Count a task without a prediction."""
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
        """Record why a task has no prediction, or what its prediction lacks."""
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
        """Count a request that was rejected because of overload."""
        self._done["refused"] += 1
        self._refused.add()

    def label_config_read(self, project: str, problems: Sequence[str]) -> bool:
        """Record the problems of a project's label config, for the last projects.

        Returns:
            Whether they changed since the project's last /setup request, which Label Studio sends for every opened
            task.
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
            "webhooks_without_payload": self.webhooks_without_payload,
            "label_config_problems": {
                project: list(problems) for project, problems in self._config_problems.items()
            },
            "last_failures": list(self._failures),
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
