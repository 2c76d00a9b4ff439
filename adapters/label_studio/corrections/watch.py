"""Compares annotations with their predictions in the background, after Label Studio's webhooks.

Label Studio sends webhooks without authentication, so anybody with network access can send them. Their content is
therefore not trusted: only the annotation's number is used. The annotation is read from Label Studio, and counted once
per state if it changed recently. The queue is short and read one at a time with a pause; excess ones are dropped.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache

from cachetools import LRUCache, TTLCache
from prometheus_client import Counter, Histogram

from adapters.label_studio.annotations.tasks import AnnotatedTask, TasksError, tasks_of
from adapters.label_studio.client.api import LabelStudioApi, LabelStudioApiError
from adapters.label_studio.corrections.comparison import Comparison, Outcome, compare
from adapters.label_studio.corrections.webhooks import Submitted, submitted
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.label_config.parsing import LabelConfigError, read_label_config
from adapters.label_studio.schemas import WebhookRequest

logger = logging.getLogger(__name__)

WAITING = 100
"""Longest queue of annotations."""

PAUSE_S = 0.2
"""Pause between two annotations: Label Studio has other work, and annotators do not submit faster."""

LIMIT_S = 15.0
SETTLING_S = 0.5  # Label Studio may send the webhook before others can read the annotation
_REMEMBERED = 10_000
_CONFIGS_KEPT = 100
_CONFIG_KEPT_S = 300.0  # seconds; labels are not renamed during annotation
# Seconds. A replica does not know what others counted, or itself before a restart, so old changes are not counted
# again. Not less, since Label Studio's clock may differ from this one.
_OLD_S = 3600.0


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
        self._waiting: dict[Submitted, None] = {}  # in the order in which they came
        self._more = asyncio.Event()
        self._counted: LRUCache[tuple[int, str], None] = LRUCache(_REMEMBERED)
        self._known = TTLCache[int, LabelMeanings, float](_CONFIGS_KEPT, _CONFIG_KEPT_S)

    def note(self, body: WebhookRequest) -> None:
        """Queue the annotations of a webhook; returns at once."""
        for named in submitted(body):
            if named in self._waiting:
                continue
            if len(self._waiting) >= WAITING:
                annotations_compared_total().labels(outcome=Outcome.DROPPED).inc()
                continue
            self._waiting[named] = None
            self._more.set()

    async def run(self) -> None:
        """Compare the queued annotations, until cancelled."""
        while True:
            while not self._waiting:
                self._more.clear()
                await self._more.wait()
            await asyncio.sleep(SETTLING_S)
            while self._waiting:
                named = next(iter(self._waiting))
                del self._waiting[named]
                try:
                    await self._compare(named)
                except Exception:
                    logger.exception("task=%s annotation=%s was not compared", named.task, named.annotation)
                await asyncio.sleep(PAUSE_S)

    async def _compare(self, named: Submitted) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                task = await self._task(named)
                meanings = LabelMeanings() if task is None else await self._meanings(named.project)
        except (LabelStudioApiError, TasksError, TimeoutError) as error:
            self._count(Comparison(Outcome.FAILED))
            reason = (
                f"Label Studio took more than {LIMIT_S:g} s" if isinstance(error, TimeoutError) else error
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
        # Not on the event loop: hundreds of regions take milliseconds, and a hostile annotation takes more.
        self._count(await asyncio.to_thread(compare, task, annotation, self._model_version, meanings))

    async def _task(self, named: Submitted) -> AnnotatedTask | None:
        items = [item async for item in self._api.annotated_tasks(named.project, ids=[named.task])]
        return next((task for task in tasks_of(items) if task.id == named.task), None)

    async def _meanings(self, project: int) -> LabelMeanings:
        """Return the meanings of a project's labels, at most `_CONFIG_KEPT_S` old."""
        known = self._known.get(project)
        if known is not None:
            return known
        config = (await self._api.project(project)).label_config
        try:
            meanings = LabelMeanings.of(await read_label_config(config))
        except LabelConfigError:
            meanings = LabelMeanings()  # recognises labels by their spelling
        self._known[project] = meanings
        return meanings

    def _count(self, comparison: Comparison) -> None:
        annotations_compared_total().labels(outcome=comparison.outcome).inc()
        for part, distance in comparison.distances:
            correction_distance().labels(part=part).observe(distance)


@cache
def correction_distance() -> Histogram:
    """How far a predicted keypoint is from where the annotation has it, by part, in diagonals of the person's box.

    One that was left alone counts as 0, one that was removed as 1, one of a swapped hand by the distance to the other.
    """
    return Histogram(
        "rtmlib_correction_distance",
        "Distance of a predicted keypoint from where the annotation has it, in diagonals of the box; 1 if removed",
        ["part"],
        buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.999),
    )


@cache
def annotations_compared_total() -> Counter:
    """Submitted and updated annotations by what came of comparing them; see `Outcome`."""
    return Counter(
        "rtmlib_annotations_compared_total",
        "Annotations compared with their prediction, by outcome",
        ["outcome"],
    )


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
