"""Compares annotations with their predictions in the background, after Label Studio's webhooks.

Label Studio sends webhooks without authentication, so anybody with network access can send them. Their content is
therefore not trusted: only the annotation's number is used. The annotation is read from Label Studio, and counted once
per state if it changed recently. The queue is short and read one at a time with a pause; excess ones are dropped.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from adapters.label_studio.annotations.tasks import AnnotatedTask, TasksError, tasks_of
from adapters.label_studio.client.api import LabelStudioApi, LabelStudioApiError
from adapters.label_studio.corrections import metrics
from adapters.label_studio.corrections.comparison import Comparison, Outcome, compare
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.label_config.parsing import LabelConfigError, read_label_config
from adapters.label_studio.schemas import Named, WebhookRequest

logger = logging.getLogger(__name__)

ACTIONS = frozenset({"ANNOTATION_CREATED", "ANNOTATION_UPDATED"})
WAITING = 100
"""Longest queue of annotations."""

PAUSE_S = 0.2
"""Pause between two annotations: Label Studio has other work, and annotators do not submit faster."""

_LIMIT_S = 15.0
_SETTLING_S = 0.5  # Label Studio may send the webhook before others can read the annotation
_REMEMBERED = 10_000
_CONFIGS_KEPT = 100
_CONFIG_KEPT_S = 300.0  # seconds; labels are not renamed during annotation
# Seconds. A replica does not know what others counted, or itself before a restart, so old changes are not counted
# again. Not less, since Label Studio's clock may differ from this one.
_OLD_S = 3600.0
_LARGEST_NUMBER = 2**63 - 1  # of Label Studio's database


@dataclass(frozen=True)
class Submitted:
    """The numbers of a submitted or updated annotation in a webhook.

    Attributes:
        project: Number of its project.
        task: Number of its task.
        annotation: Its number.
    """

    project: int
    task: int
    annotation: int


def submitted(body: WebhookRequest) -> Submitted | None:
    """Return the annotation in a webhook, or None for other events."""
    if body.action not in ACTIONS:
        return None
    numbers = [_number(body.project), _number(body.task), _number(body.annotation)]
    if any(number is None for number in numbers):
        return None
    return Submitted(*cast("list[int]", numbers))


def _number(named: Named) -> int | None:
    number = named.id if named else None
    return number if number is not None and 0 < number <= _LARGEST_NUMBER else None


def _age_s(updated_at: str) -> float:
    """Return the seconds since an annotation was changed; 0 if unknown."""
    try:
        then = datetime.fromisoformat(updated_at)
    except ValueError:
        return 0.0
    return (datetime.now(UTC) - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()


class CorrectionWatch:
    """Compares the annotations in webhooks with their predictions, and counts the changes.

    Args:
        api: Of the configured Label Studio.
        model_version: Version of the compared predictions.
    """

    def __init__(self, api: LabelStudioApi, model_version: str) -> None:
        self._api = api
        self._model_version = model_version
        self._waiting: OrderedDict[Submitted, None] = OrderedDict()
        self._more = asyncio.Event()
        self._counted: OrderedDict[tuple[int, str], None] = OrderedDict()
        self._known: OrderedDict[int, tuple[float, LabelMeanings]] = OrderedDict()

    def note(self, body: WebhookRequest) -> None:
        """Queue the annotation of a webhook; returns at once."""
        named = submitted(body)
        if named is None or named in self._waiting:
            return
        if len(self._waiting) >= WAITING:
            metrics.annotations_compared_total().labels(outcome=Outcome.DROPPED).inc()
            return
        self._waiting[named] = None
        self._more.set()

    async def run(self) -> None:
        """Compare the queued annotations, until cancelled."""
        while True:
            while not self._waiting:
                self._more.clear()
                await self._more.wait()
            await asyncio.sleep(_SETTLING_S)
            while self._waiting:
                named, _ = self._waiting.popitem(last=False)
                try:
                    await self._compare(named)
                except Exception:
                    logger.exception("task=%s annotation=%s was not compared", named.task, named.annotation)
                await asyncio.sleep(PAUSE_S)

    async def _compare(self, named: Submitted) -> None:
        try:
            async with asyncio.timeout(_LIMIT_S):
                task = await self._task(named)
                meanings = LabelMeanings() if task is None else await self._meanings(named.project)
        except (LabelStudioApiError, TasksError, TimeoutError) as error:
            self._count(Comparison(Outcome.FAILED))
            reason = (
                f"Label Studio took more than {_LIMIT_S:g} s" if isinstance(error, TimeoutError) else error
            )
            logger.warning("task=%s annotation=%s was not compared: %s", named.task, named.annotation, reason)
            return
        annotation = (
            next((one for one in task.annotations if one.id == named.annotation), None) if task else None
        )
        if task is None or annotation is None:
            self._count(Comparison(Outcome.GONE))
            return
        if _age_s(annotation.updated_at) > _OLD_S:
            self._count(Comparison(Outcome.OLD))
            return
        state = (annotation.id, annotation.updated_at)
        if state in self._counted:
            return
        self._counted[state] = None
        if len(self._counted) > _REMEMBERED:
            self._counted.popitem(last=False)
        # Not on the event loop: hundreds of regions take milliseconds, and a hostile annotation takes more.
        self._count(await asyncio.to_thread(compare, task, annotation, self._model_version, meanings))

    async def _task(self, named: Submitted) -> AnnotatedTask | None:
        items = [item async for item in self._api.annotated_tasks(named.project, ids=[named.task])]
        return next((task for task in tasks_of(items) if task.id == named.task), None)

    async def _meanings(self, project: int) -> LabelMeanings:
        """Return the meanings of a project's labels, at most `_CONFIG_KEPT_S` old."""
        known = self._known.get(project)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        config = (await self._api.project(project)).label_config
        try:
            meanings = LabelMeanings.of(await read_label_config(config))
        except LabelConfigError:
            meanings = LabelMeanings()  # recognises labels by their spelling
        self._known.pop(project, None)
        self._known[project] = (time.monotonic() + _CONFIG_KEPT_S, meanings)
        if len(self._known) > _CONFIGS_KEPT:
            self._known.popitem(last=False)
        return meanings

    def _count(self, comparison: Comparison) -> None:
        metrics.annotations_compared_total().labels(outcome=comparison.outcome).inc()
        for part, distance in comparison.distances:
            metrics.correction_distance().labels(part=part).observe(distance)


@asynccontextmanager
async def correction_watch(api: LabelStudioApi, model_version: str) -> AsyncGenerator[CorrectionWatch]:
    """Run a watch in the background until the block ends."""
    async with api:
        watch = CorrectionWatch(api, model_version)
        running = asyncio.create_task(watch.run())
        try:
            yield watch
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
