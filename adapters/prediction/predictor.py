"""Predictions for the tasks of a request.

Tasks run concurrently and fail independently. A failed task gets a `Failure`, a log line, a count and an entry in the
status.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from prometheus_client import Gauge

from adapters.cache.entries import prompt_box
from adapters.cache.prediction_cache import PredictionCache
from adapters.concurrency.admission import Admission
from adapters.concurrency.frames import over_frames
from adapters.concurrency.precedence import Precedence
from adapters.concurrency.threads import run_in_thread
from adapters.label_studio.interactive.context import compact_context, is_interactive
from adapters.label_studio.interactive.prompts import PromptError
from adapters.label_studio.label_config.parsing import ImageControls, LabelConfig, read_label_config
from adapters.label_studio.label_config.task_value import TaskDataError
from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.label_studio.label_config.video import VideoControls
from adapters.label_studio.regions.predictions import PeopleInImage, Prediction, Thresholds, prediction
from adapters.label_studio.regions.video import PeopleInVideo
from adapters.label_studio.regions.video_warnings import video_warnings
from adapters.label_studio.schemas import PredictRequest, Task
from adapters.observability import metrics, tracing
from adapters.observability.logs import Event
from adapters.observability.progress import TaskProgress, following, timed_stage
from adapters.observability.request_id import request_id
from adapters.observability.status import Status
from adapters.pictures.decoding.decoder import PictureDecoder
from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.source import PictureSource
from adapters.prediction.frames import frame_addresses, left_out
from adapters.prediction.outcome import OUT_OF_TIME, Failure, Slot, TaskError
from adapters.prediction.people_in_pictures import FindPart, FindPeople, PeopleInPictures
from adapters.prediction.smart_tools import SmartTools, has_hand, is_hand_alone, wants_hands_only
from adapters.time_limits import TIME_LIMITS
from adapters.video.errors import VideoError
from adapters.video.people_in_clips import PeopleInClips
from wholebody.estimation import InferenceError

logger = logging.getLogger(__name__)
log_failure: Callable[[Event], None] = logger.warning

TASKS_IN_HAND = 16
"""Concurrent tasks of all requests: enough to keep the networks busy."""
TASKS_IN_HAND_PER_REQUEST = 12
"""Concurrent tasks of one request: a batch leaves capacity for an annotator's single task."""
_STARTED_PER_YIELD = 100
"""Tasks of a request that are started before the event loop runs others."""
_FORMATTED_ON_LOOP = 20
"""Most people whose regions are built on the event loop, in some 20 ms; a clip of 1,000 frames has thousands."""


@dataclass(frozen=True)
class _Job:
    """State shared by the tasks of one request."""

    config: LabelConfig
    context: dict[str, Any]
    project: str | None
    slots: asyncio.Semaphore
    time_budget_s: float
    ends_at: float
    """By `time.monotonic`."""


@dataclass
class _TaskRun:
    """One task of a request and its progress."""

    task: Task
    job: _Job
    progress: TaskProgress = field(default_factory=TaskProgress)
    frames: int = 0
    frames_done: int = 0


class Predictor:
    """Predicts the tasks of requests.

    Args:
        pictures: Fetches the pictures.
        find_people: Finds the people in a picture.
        decoder: Decodes the pictures.
        thresholds: For label configs that set none.
        admission: Limits the concurrent tasks.
        status: Counts tasks and keeps failures.
        cache: Caches the people of a picture; None for no cache.
        clips: Finds the people in clips; None fails tasks with clips.
        find_part: Finds the part at an annotator's click; None if unsupported.
        precedence: Lets smart tools go before other tasks.
        warn: Receives an event per failed task; by default the log.
    """

    def __init__(  # noqa: PLR0913 - the parts of one service, each named by its caller
        self,
        *,
        pictures: PictureSource,
        find_people: FindPeople,
        decoder: PictureDecoder,
        thresholds: Thresholds,
        admission: Admission,
        status: Status,
        cache: PredictionCache | None = None,
        clips: PeopleInClips | None = None,
        find_part: FindPart | None = None,
        precedence: Precedence | None = None,
        warn: Callable[[Event], None] = log_failure,
    ) -> None:
        self._people = PeopleInPictures(pictures, find_people, decoder, cache, find_part)
        self._clips = clips
        self._thresholds = thresholds
        self._status = status
        self._admission = admission
        self._warn = warn
        first = (precedence or Precedence()).first
        drawn_on = PeopleInPictures(
            pictures, first(find_people), decoder, cache, None if find_part is None else first(find_part)
        )
        self._smart_tools = SmartTools(drawn_on, thresholds.keypoint)

    async def predict(
        self, request: PredictRequest, time_budget_s: float = TIME_LIMITS.budget_s
    ) -> list[Slot]:
        """Return one slot for each task of a request, in their order.

        Raises:
            LabelConfigError: The label config cannot be read.
        """
        # A manual request may have no label config: it gets everything.
        xml = request.label_config or label_config_template([Selection.WHOLE])
        project = None if request.project is None else str(request.project)
        slots = asyncio.Semaphore(TASKS_IN_HAND_PER_REQUEST)
        ends_at = time.monotonic() + time_budget_s
        config = await read_label_config(xml)
        # Once for all tasks.
        context = compact_context(request.params.context)
        job = _Job(config, context, project, slots, time_budget_s, ends_at)
        runs = [_TaskRun(task, job) for task in request.tasks]
        running: list[asyncio.Task[Slot]] = []
        try:
            for run in runs:
                running.append(asyncio.create_task(self._run(run)))
                if len(running) % _STARTED_PER_YIELD == 0:
                    await asyncio.sleep(0)
            if running:
                await asyncio.wait(running, timeout=max(0.0, ends_at - time.monotonic()))
        finally:
            for unfinished in running:
                unfinished.cancel()
        if running:
            await asyncio.wait(running)
        return [
            self._timed_out(run) if slot.cancelled() else slot.result()
            for run, slot in zip(runs, running, strict=True)
        ]

    def _timed_out(self, run: _TaskRun) -> Failure:
        frames = ""
        if run.frames:
            kept = "kept" if self._people.cached else "lost, as PREDICTION_CACHE_BYTES is 0"
            frames = f"; {run.frames_done} of its {run.frames} frames are done and {kept}"
        detail = f"not done within {run.job.time_budget_s:.0f} s{frames}; retry for the rest"
        return self._failed(run, OUT_OF_TIME, detail, run.frames_done if run.frames else None)

    async def _run(self, run: _TaskRun) -> Slot:
        async with AsyncExitStack() as stack:
            stack.enter_context(following(run.progress))
            with self._counted("waiting", metrics.tasks_waiting()):
                await stack.enter_async_context(self._slot(run.job))
            stack.enter_context(self._counted("in_hand", metrics.tasks_in_hand()))
            attributes = {"rtmlib.task": run.task.id, "rtmlib.project": run.job.project}
            with tracing.span("task", **attributes):
                return await self._predict(run)

    @asynccontextmanager
    async def _slot(self, job: _Job) -> AsyncGenerator[None]:
        async with job.slots, self._admission.place(urgent=is_interactive(job.context)):
            yield

    @contextmanager
    def _counted(self, attribute: str, gauge: Gauge) -> Generator[None]:
        setattr(self._status, attribute, getattr(self._status, attribute) + 1)
        gauge.inc()
        try:
            yield
        finally:
            setattr(self._status, attribute, getattr(self._status, attribute) - 1)
            gauge.dec()

    async def _predict(self, run: _TaskRun) -> Slot:
        try:
            found = await self._answer(run)
        except (PictureError, VideoError, TaskDataError, PromptError, TaskError, InferenceError) as error:
            return self._failed(run, error.reason, str(error))
        except Exception as error:
            # An unexpected error of one task must not fail the others of the request.
            logger.exception("An unexpected error")
            return self._failed(run, "internal", f"{type(error).__name__}: {error}")
        self._status.succeeded()
        metrics.tasks_total().labels(outcome="succeeded", reason="").inc()
        regions, seconds = len(found["result"]), run.progress.seconds
        logger.debug(
            Event("task done", task=run.task.id, project=run.job.project, regions=regions, seconds=seconds)
        )
        return found

    def _failed(self, run: _TaskRun, reason: str, detail: str, frames_done: int | None = None) -> Failure:
        self._report(run, "task failed", reason, detail)
        self._status.failed()
        metrics.tasks_total().labels(outcome="failed", reason=reason).inc()
        return Failure(run.task.id, reason, detail, frames_done)

    def _report(self, run: _TaskRun, event: str, reason: str, detail: str) -> None:
        """Report the failure of a task, or of frames that are left out of its prediction."""
        task, project, stage = run.task.id, run.job.project, run.progress.stage
        seconds = run.progress.seconds
        self._warn(
            Event(event, detail, task=task, project=project, stage=stage, reason=reason, seconds=seconds)
        )
        tracing.failed(reason, detail)
        self._status.keep_failure(
            request=request_id.get(), project=project, task=task, stage=stage, reason=reason, detail=detail
        )

    async def _answer(self, run: _TaskRun) -> Prediction:
        task, job = run.task, run.job
        config = job.config
        if is_interactive(job.context):
            version = self._status.model_version
            meant = await self._smart_tools.answer(task, job.project, config, job.context, version)
            return await self._prediction(meant)
        if not config.images and not config.videos:
            why = " ".join(config.problems) or "It has no Image or Video tag."
            raise TaskError("label_config", f"The label config has no supported control tag: {why}")
        found: list[PeopleInImage] = []
        videos: list[PeopleInVideo] = []
        missing: list[TaskDataError] = []
        for image in config.images:
            try:
                found += await self._on_image(run, image)
            except TaskDataError as error:
                missing.append(error)
        for later, video in zip(reversed(range(len(config.videos))), config.videos, strict=True):
            try:
                videos.append(await self._video(run, video, later))
            except TaskDataError as error:
                missing.append(error)
        if missing and not found and not videos:
            raise missing[0]
        for error in missing:
            # Not a failure: tasks of some projects never fill every tag.
            detail = f"{error} What else the task has is shown."
            logger.info(Event("tag not filled", detail, task=run.task.id, project=run.job.project))
        return await self._prediction(found, videos=videos)

    async def _on_image(self, run: _TaskRun, image: ImageControls) -> list[PeopleInImage]:
        if image.shows_frames:
            return await self._frames(run, image)
        address = image.value.address(run.task.data)
        return [await self._whole_picture(run.task, image, address)]

    async def _video(self, run: _TaskRun, video: VideoControls, later: int) -> PeopleInVideo:
        """Find the people of one Video tag within its share of the time; `later` more clips follow."""
        if self._clips is None:
            raise TaskError("label_config", f"Video tag '{video.name}' has no supported control.")
        job, data = run.job, run.task.data
        address = video.value.address(data)
        share_s = job.time_budget_s / len(job.config.videos)  # clips are read one by one
        people = await self._clips.find(
            address, run.task.id, share_s=share_s, ends_at=job.ends_at - later * share_s
        )
        if people.damaged:
            detail = f"{people.damaged} frames of the clip could not be decoded. The others are shown."
            self._report(run, "left out", "broken_video", detail)
        found = PeopleInVideo(video, people, video.frames_per_second(data))
        for sentence in video_warnings(found):
            logger.warning(Event("clip is shown otherwise", sentence, task=run.task.id, project=job.project))
        return found

    async def _whole_picture(
        self, task: Task, image: ImageControls, address: str, frame: int | None = None
    ) -> PeopleInImage:
        async with self._people.fetched(address, task.id) as fetched:
            people = (await self._people.find(fetched, self._status.model_version)).people
            size = fetched.size.width, fetched.size.height
            if wants_hands_only(image) and not any(map(has_hand, people)):
                # Searched as a drawn box around everything is: hands may be there without a body.
                whole = prompt_box(0, 0, *size)
                alone = (await self._people.find(fetched, self._status.model_version, whole)).people
                people = tuple(filter(is_hand_alone, alone)) or people
        return PeopleInImage(image, people, size, frame)

    async def _frames(self, run: _TaskRun, image: ImageControls) -> list[PeopleInImage]:
        """Find the people in all frames; frames with a permanent failure are left out."""
        addresses = frame_addresses(run.task, image)
        run.frames += len(addresses)

        async def one(index: int) -> PeopleInImage | Failure:
            try:
                if not addresses[index]:
                    raise TaskError("no_picture", "It has no address.")
                result = await self._whole_picture(run.task, image, addresses[index], index)
            except (PictureError, TaskError, InferenceError) as error:
                result = Failure(run.task.id, error.reason, str(error))
            run.frames_done += 1
            return result

        results = await over_frames(
            len(addresses), one, lambda: self._slot(run.job), TASKS_IN_HAND_PER_REQUEST
        )
        failures = {index: result for index, result in enumerate(results) if isinstance(result, Failure)}
        if failures:
            self._report(run, "left out", *left_out(failures, len(results)))
        return [result for result in results if isinstance(result, PeopleInImage)]

    async def _prediction(
        self,
        found: Sequence[PeopleInImage],
        videos: Sequence[PeopleInVideo] = (),
    ) -> Prediction:
        make = partial(
            prediction,
            found,
            model_version=self._status.model_version,
            thresholds=self._thresholds,
            videos=videos,
        )
        with timed_stage("format"):
            if sum(len(picture.people) for picture in found) <= _FORMATTED_ON_LOOP:
                return make()
            return await run_in_thread(make)
