"""A run over a project: find tasks without a prediction of this model version, predict them and store.

All state is in Label Studio, so a later run continues one that ended anywhere.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

from adapters.label_studio.client.api import (
    LabelStudioApi,
    LabelStudioApiError,
    Project,
    ProjectTask,
)
from adapters.label_studio.client.retry import RetryPolicy
from adapters.pictures.errors import Reason
from adapters.preannotation.outcome import Outcome
from adapters.preannotation.shard import Shard
from adapters.preannotation.storing import PredictionStore
from adapters.prediction.outcome import OUT_OF_TIME, Failure

Predict = Callable[[Project, ProjectTask], Awaitable[Mapping[str, object] | Failure]]
"""Returns the prediction or failure of a task. Raises RunEndedError if no further task can succeed."""

MAX_ATTEMPTS = 10
"""Attempts for a task that runs out of time."""
RATE_LIMITED = RetryPolicy(attempts=6, first_pause_s=10, longest_pause_s=120)
"""Attempts for a task whose picture server is rate limited, over four to five minutes."""
_MAX_STALLED = 3
"""Attempts without another finished frame; each replica has its own cache, so one is not enough."""
_RATE_LIMITED: Reason = "rate_limited"
_READ_AT_ONCE = 25
"""Tasks whose state is read again before they are predicted; few, so that it is recent."""
_TASK_ERRORS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})
"""Statuses that concern one task; any other ends the run."""


@dataclass(frozen=True)
class Selection:
    """The selected tasks of a project.

    Attributes:
        view: A tab of the data manager; None for all tasks.
        ids: Task ids; None for all tasks.
        shard: The share of the selected tasks.
    """

    view: int | None = None
    ids: tuple[int, ...] | None = None
    shard: Shard = field(default_factory=Shard)


async def find_lacking(
    api: LabelStudioApi, project: Project, selection: Selection, model_version: str, outcome: Outcome
) -> list[int]:
    """Return the selected tasks without a prediction of a model version; count all in the outcome.

    Raises:
        LabelStudioApiError: Label Studio cannot list the tasks.
    """
    lacking: list[int] = []
    listed: set[int] = set()
    async for task in api.tasks(project.id, view=selection.view, ids=selection.ids):
        listed.add(task.id)
        if not selection.shard.has(task.id):
            continue
        outcome.chosen += 1
        if model_version in task.model_versions:
            outcome.had += 1
        else:
            lacking.append(task.id)
    for task in sorted(set(selection.ids or ()) - listed):
        if selection.shard.has(task):
            outcome.chosen += 1
            outcome.failures.append(Failure(task, "no_task", f"Project {project.id} has no task {task}."))
    return lacking


class Run:
    """Predicts the tasks that lack a prediction.

    Args:
        api: Label Studio.
        project: The project.
        model_version: Model version of the predictions.
        predict: Predicts a task.
        at_once: Number of concurrent tasks.
        outcome: Receives the counts and failures.
        rate_limited: Repetitions of a task whose picture server is rate limited.
    """

    def __init__(  # noqa: PLR0913 - the parts of one run, each named by its caller
        self,
        *,
        api: LabelStudioApi,
        project: Project,
        model_version: str,
        predict: Predict,
        at_once: int,
        outcome: Outcome,
        rate_limited: RetryPolicy = RATE_LIMITED,
    ) -> None:
        self._api = api
        self._project = project
        self._model_version = model_version
        self._predict = predict
        self._at_once = at_once
        self._outcome = outcome
        self._store = PredictionStore(api, model_version)
        self._rate_limited = rate_limited
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Start no more tasks; running ones finish."""
        self._stopping.set()

    async def work(self, lacking: Sequence[int]) -> None:
        """Predict and store tasks until all are done or the run is stopped.

        Raises:
            RunEndedError: No further task can succeed. Running tasks are cancelled.
            LabelStudioApiError: Likewise, because of Label Studio.
        """
        tasks = self._in_order(lacking)
        one_at_a_time = asyncio.Lock()  # a generator serves one caller at a time

        async def worker() -> None:
            while not self._stopping.is_set():
                async with one_at_a_time:
                    task = await anext(tasks, None)
                if task is None:
                    return
                await self._finish(task)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._at_once):
                    group.create_task(worker())
        except BaseExceptionGroup as errors:
            with suppress(LabelStudioApiError):
                await self._store.settle()
            # The workers end for one cause: the first error.
            raise errors.exceptions[0] from None
        finally:
            await tasks.aclose()
        await self._store.settle()

    async def _in_order(self, lacking: Sequence[int]) -> AsyncGenerator[ProjectTask]:
        for start in range(0, len(lacking), _READ_AT_ONCE):
            batch = lacking[start : start + _READ_AT_ONCE]
            fresh = [task async for task in self._api.tasks(self._project.id, ids=batch)]
            self._outcome.gone += len(batch) - len(fresh)
            for task in fresh:
                if self._model_version in task.model_versions:
                    self._outcome.overtaken += 1
                else:
                    yield task

    async def _finish(self, task: ProjectTask) -> None:
        slot = await self._predicted(task)
        if isinstance(slot, Failure):
            passing = slot.reason in {OUT_OF_TIME, _RATE_LIMITED}
            if not (self._stopping.is_set() and passing):  # else the next run predicts it
                self._outcome.failures.append(slot)
            return
        try:
            kept = await self._store.add(task.id, slot)
        except LabelStudioApiError as error:
            if error.status not in _TASK_ERRORS:
                raise
            self._outcome.failures.append(Failure(task.id, "not_stored", str(error)))
        else:
            self._outcome.created += kept
            self._outcome.overtaken += not kept

    async def _predicted(self, task: ProjectTask) -> Mapping[str, object] | Failure:
        """Predict a task; repeat it while its picture server is rate limited, with growing pauses."""
        for attempt in range(self._rate_limited.attempts - 1):
            slot = await self._predicted_in_time(task)
            if not isinstance(slot, Failure) or slot.reason != _RATE_LIMITED or self._stopping.is_set():
                return slot
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._rate_limited.pause_s(attempt, None))
                return slot
        return await self._predicted_in_time(task)

    async def _predicted_in_time(self, task: ProjectTask) -> Mapping[str, object] | Failure:
        """Predict a task; retry on a timeout: finished frames are cached, and a clip's queue wait may be shorter."""
        most_done, stalled = -1, 0
        for _ in range(MAX_ATTEMPTS - 1):
            slot = await self._predict(self._project, task)
            if not isinstance(slot, Failure) or slot.reason != OUT_OF_TIME or self._stopping.is_set():
                return slot
            if slot.frames_done is not None:
                stalled = 0 if slot.frames_done > most_done else stalled + 1
                most_done = max(most_done, slot.frames_done)
            if stalled >= _MAX_STALLED:
                return slot
        return await self._predict(self._project, task)
