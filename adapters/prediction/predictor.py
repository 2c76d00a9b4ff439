"""From the tasks of a request to their predictions.

Tasks are worked on at the same time and fail one by one: a failed task gets `[]`, by which Label Studio knows to ask
again, and leaves a log line, a count and an entry in the status.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from prometheus_client import Gauge

from adapters.cache.prediction_cache import PredictionCache
from adapters.concurrency.admission import Admission
from adapters.concurrency.frames import FrameFailure, described, over_frames
from adapters.concurrency.threads import run_in_thread
from adapters.label_studio.interactive.context import compact_context, is_interactive
from adapters.label_studio.interactive.prompts import (
    PointPrompt,
    PromptError,
    SmartDrawings,
    drawn_on,
    drawn_prompts,
)
from adapters.label_studio.interactive.shown_people import shown_people, shown_result
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.label_config.parsing import ImageControls, LabelConfig, read_label_config
from adapters.label_studio.label_config.task_value import TaskDataError
from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.label_studio.label_config.video import VideoControls
from adapters.label_studio.regions.predictions import PeopleInImage, Prediction, Thresholds, prediction
from adapters.label_studio.regions.video import PeopleInVideo
from adapters.label_studio.schemas import PredictRequest, Task
from adapters.observability import metrics, tracing
from adapters.observability.logs import Event
from adapters.observability.progress import TaskProgress, following, timed_stage
from adapters.observability.request_id import request_id
from adapters.observability.status import Status
from adapters.pictures.decoding.decoder import PictureDecoder
from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.source import PictureSource
from adapters.prediction.people_in_pictures import FetchedPicture, FindPart, FindPeople, PeopleInPictures
from adapters.prediction.smart_tools import Canvas, SmartTools
from adapters.time_limits import TIME_LIMITS
from adapters.video.errors import VideoError
from adapters.video.people_in_clips import PeopleInClips
from wholebody.estimation import NetworkError

logger = logging.getLogger(__name__)

TASKS_IN_HAND = 16
"""Tasks worked on at once, over all requests: enough to keep the networks busy."""
TASKS_IN_HAND_PER_REQUEST = 12
"""Less than all, so that an annotator's single task need not wait for a whole batch."""
_BEGUN_AT_ONCE = 100
"""Of a request with thousands of tasks, before the event loop has a breath."""
_FORMATTED_AT_ONCE = 20
"""People whose regions are made on the spot, in some 20 ms; a clip of a thousand frames has thousands."""
MAX_FRAMES = 1_000
"""Frames of one task. A labeling page with more regions than those have can hardly be used."""
LASTING_FAILURES: frozenset[str] = frozenset(
    {"no_picture", "not_found", "not_a_picture", "broken_picture", "too_large", "too_many_pixels"}
)
"""Why a frame will not be had the next time either, unless somebody changes the task's data."""

Slot = Prediction | list[Any]
"""A prediction, or `[]` for a task that failed."""


class TaskError(Exception):
    """A task cannot be predicted. `reason` is one of a few words, the message a sentence that says what to do."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class _Job:
    """What the tasks of one request have in common."""

    config: LabelConfig
    context: dict[str, Any]
    project: str | None
    own_turns: asyncio.Semaphore
    time_budget_s: float
    ends_at: float
    """By `time.monotonic`."""


@dataclass
class _Errand:
    """One task on its way to a prediction."""

    task: Task
    job: _Job
    way: TaskProgress
    frames: int = 0
    frames_done: int = 0


class Predictor:
    """Predicts the tasks of requests.

    Args:
        pictures: Fetches the pictures.
        find_people: Finds the people in one.
        decoder: Decodes them.
        thresholds: Where the label config sets none.
        admission: Gives places to tasks.
        status: Is told what happens.
        cache: Keeps people that were found; without it, those in every picture are computed anew.
        clips: Finds the people in clips; without it, there are no predictions for them.
        find_part: Finds the part that an annotator points at; without it, only whom `find_people` sees.
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
    ) -> None:
        self._people = PeopleInPictures(pictures, find_people, decoder, cache, find_part)
        self._clips = clips
        self._thresholds = thresholds
        self._status = status
        self._admission = admission
        self._smart_drawings = SmartDrawings()
        self._smart_tools = SmartTools(self._people, thresholds.keypoint)

    async def predict(
        self, request: PredictRequest, time_budget_s: float = TIME_LIMITS.budget_s
    ) -> list[Slot]:
        """Predict all tasks of a request: one slot for each, in their order.

        Raises:
            LabelConfigError: The label config cannot be read.
        """
        # Without a label config (a call by hand), all that we know is wanted.
        xml = request.label_config or label_config_template([Selection.WHOLE])
        project = None if request.project is None else str(request.project)
        own_turns = asyncio.Semaphore(TASKS_IN_HAND_PER_REQUEST)
        ends_at = time.monotonic() + time_budget_s
        config = await read_label_config(xml)
        # In short once, not for each task.
        context = compact_context(request.params.context)
        job = _Job(config, context, project, own_turns, time_budget_s, ends_at)
        errands = [_Errand(task, job, TaskProgress()) for task in request.tasks]
        running: list[asyncio.Task[Slot]] = []
        try:
            for errand in errands:
                running.append(asyncio.create_task(self._in_turn(errand)))
                if len(running) % _BEGUN_AT_ONCE == 0:
                    await asyncio.sleep(0)
            if running:
                await asyncio.wait(running, timeout=max(0.0, ends_at - time.monotonic()))
        finally:
            for unfinished in running:
                unfinished.cancel()
        if running:
            await asyncio.wait(running)
        return [
            self._too_late(errand, time_budget_s) if slot.cancelled() else slot.result()
            for errand, slot in zip(errands, running, strict=True)
        ]

    def _too_late(self, errand: _Errand, time_budget_s: float) -> list[Any]:
        frames = ""
        if errand.frames:
            kept = "kept" if self._people.kept else "lost, as PREDICTION_CACHE_BYTES is 0"
            frames = f"; {errand.frames_done} of its {errand.frames} frames are done and {kept}"
        sentence = f"not done within {time_budget_s:.0f} s{frames}; ask again for the rest"
        return self._failed(errand, "time_budget", sentence)

    async def _in_turn(self, errand: _Errand) -> Slot:
        async with AsyncExitStack() as turn:
            turn.enter_context(following(errand.way))
            with self._counted("waiting", metrics.tasks_waiting()):
                await turn.enter_async_context(self._place(errand.job))
            turn.enter_context(self._counted("in_hand", metrics.tasks_in_hand()))
            attributes = {"rtmlib.task": errand.task.id, "rtmlib.project": errand.job.project}
            with tracing.span("task", **attributes):
                return await self._predict(errand)

    @asynccontextmanager
    async def _place(self, job: _Job) -> AsyncGenerator[None]:
        async with job.own_turns, self._admission.place():
            yield

    @contextmanager
    def _counted(self, what: str, gauge: Gauge) -> Generator[None]:
        setattr(self._status, what, getattr(self._status, what) + 1)
        gauge.inc()
        try:
            yield
        finally:
            setattr(self._status, what, getattr(self._status, what) - 1)
            gauge.dec()

    async def _predict(self, errand: _Errand) -> Slot:
        try:
            found = await self._answer(errand)
        except (PictureError, VideoError, TaskError) as error:
            return self._failed(errand, error.reason, str(error))
        except TaskDataError as error:
            return self._failed(errand, "no_picture", str(error))
        except NetworkError as error:
            return self._failed(errand, "network", str(error))
        except PromptError as error:
            return self._failed(errand, "prompt", str(error))
        except Exception as error:
            # The last line of defence: one task's surprise must not cost the others of the request.
            logger.exception("An unexpected error")
            return self._failed(errand, "internal", f"{type(error).__name__}: {error}")
        self._status.succeeded()
        metrics.tasks_total().labels(outcome="succeeded", reason="").inc()
        logger.debug(
            Event(
                "task done",
                task=errand.task.id,
                project=errand.job.project,
                regions=len(found["result"]),
                seconds=errand.way.seconds,
            )
        )
        return found

    def _failed(self, errand: _Errand, reason: str, detail: str) -> list[Any]:
        self._report(errand, reason, detail)
        self._status.failed()
        metrics.tasks_total().labels(outcome="failed", reason=reason).inc()
        return []

    def _report(self, errand: _Errand, reason: str, detail: str, *, left_out: bool = False) -> None:
        """Log and show what failed: a whole task, or what is left out of one that gets its prediction."""
        task, project = errand.task.id, errand.job.project
        stage, seconds = errand.way.stage, errand.way.seconds
        logger.warning(
            Event(
                "left out" if left_out else "task failed",
                detail,
                task=task,
                project=project,
                stage=stage,
                reason=reason,
                seconds=seconds,
            )
        )
        tracing.failed(reason, detail)
        self._status.keep_failure(
            request=request_id.get(),
            project=project,
            task=task,
            stage=stage,
            reason=reason,
            detail=detail,
        )

    async def _answer(self, errand: _Errand) -> Prediction:
        config, context = errand.job.config, errand.job.context
        if is_interactive(context):
            return await self._prompted(errand, context)
        if not config.images and not config.videos:
            why = " ".join(config.problems) or "It has nothing that can be drawn on."
            raise TaskError("label_config", f"The label config asks for nothing that we know: {why}")
        found: list[PeopleInImage] = []
        videos: list[PeopleInVideo] = []
        missing: list[TaskDataError] = []
        for image in config.images:
            try:
                found += await self._on_image(errand, image)
            except TaskDataError as error:
                missing.append(error)
        for later, video in zip(reversed(range(len(config.videos))), config.videos, strict=True):
            try:
                videos.append(await self._video(errand, video, later))
            except TaskDataError as error:
                missing.append(error)
        if missing and not found and not videos:
            raise missing[0]
        for error in missing:
            # No failure to show in the status: a task need not fill every tag, and in some projects none does.
            what = f"{error} What else the task has is shown."
            logger.info(Event("tag not filled", what, task=errand.task.id, project=errand.job.project))
        return await self._prediction(found, videos=videos)

    async def _on_image(self, errand: _Errand, image: ImageControls) -> list[PeopleInImage]:
        if image.shows_frames:
            return await self._frames(errand, image)
        address = image.value.address(errand.task.data)
        return [await self._whole_picture(errand.task, image, address)]

    async def _video(self, errand: _Errand, video: VideoControls, later: int) -> PeopleInVideo:
        """Find the people of one Video tag, and leave their share of the time to so many later ones."""
        if self._clips is None:
            raise TaskError("label_config", f"Nothing of ours can be drawn on the video tag '{video.name}'.")
        job, data = errand.job, errand.task.data
        address = video.value.address(data)
        share_s = job.time_budget_s / len(job.config.videos)  # one clip is looked at after the other
        people = await self._clips.find(
            address, errand.task.id, share_s=share_s, ends_at=job.ends_at - later * share_s
        )
        if people.damaged:
            what = f"{people.damaged} frames of the clip could not be decoded. The others were looked at."
            self._report(errand, "broken_video", what, left_out=True)
        return PeopleInVideo(video, people, video.frames_per_second(data))

    async def _whole_picture(
        self, task: Task, image: ImageControls, address: str, frame: int | None = None
    ) -> PeopleInImage:
        async with self._people.fetched(address, task.id) as fetched:
            found = await self._people.find(fetched, self._status.model_version)
        return PeopleInImage(image, found.people, found.size, frame)

    async def _frames(self, errand: _Errand, image: ImageControls) -> list[PeopleInImage]:
        """Find the people in all frames of a list.

        A frame that will never be had is left out, and said so: for its sake, the others would never be shown. A frame
        that may be had the next time fails the task, so that Label Studio asks again: the others come from the cache
        then.
        """
        addresses = self._addresses(errand.task, image)
        errand.frames += len(addresses)

        async def one(index: int) -> PeopleInImage | FrameFailure:
            try:
                if not addresses[index]:
                    return FrameFailure(index, "no_picture", "It has no address.")
                return await self._whole_picture(errand.task, image, addresses[index], index)
            except PictureError as error:
                return FrameFailure(index, error.reason, str(error))
            except NetworkError as error:
                return FrameFailure(index, "network", str(error))
            finally:
                errand.frames_done += 1

        results = await over_frames(
            len(addresses), one, lambda: self._place(errand.job), TASKS_IN_HAND_PER_REQUEST
        )
        failures = [result for result in results if isinstance(result, FrameFailure)]
        passing = [failure for failure in failures if failure.reason not in LASTING_FAILURES]
        if passing or len(failures) == len(results):
            what = described(passing or failures, len(results))
            raise TaskError((passing or failures)[0].reason, what)
        if failures:
            what = f"{described(failures, len(results))} The others are shown."
            self._report(errand, failures[0].reason, what, left_out=True)
        return [result for result in results if isinstance(result, PeopleInImage)]

    def _addresses(self, task: Task, image: ImageControls) -> list[str]:
        addresses = image.value.addresses(task.data)
        if len(addresses) > MAX_FRAMES:
            raise TaskError(
                "too_many_frames",
                f"The task has {len(addresses):,} frames; at most {MAX_FRAMES:,} are predicted: split the clip into "
                "several tasks.",
            )
        return addresses

    def _address(self, task: Task, image: ImageControls, frame: int | None) -> str:
        if frame is None:
            return image.value.address(task.data)
        addresses = self._addresses(task, image)
        if frame >= len(addresses):
            raise PromptError(f"Frame {frame + 1} was drawn on, but the task has {len(addresses)}.")
        return addresses[frame]

    async def _prompted(self, errand: _Errand, context: dict[str, Any]) -> Prediction:
        """Answer what the annotator drew with the people that they meant, each in a box of our own."""
        place = drawn_on(context)
        if place is None:  # what was drawn has been deleted
            return await self._prediction([])
        image = errand.job.config.image(place.image)
        if image is None:
            raise TaskError("label_config", f"Nothing of ours can be drawn on the image tag '{place.image}'.")
        frame = place.frame if image.shows_frames else None
        address = self._address(errand.task, image, frame)
        async with self._people.fetched(address, errand.task.id) as fetched:
            return await self._meant(errand, context, image, frame, fetched)

    async def _meant(
        self,
        errand: _Errand,
        context: dict[str, Any],
        image: ImageControls,
        frame: int | None,
        fetched: FetchedPicture,
    ) -> Prediction:
        drawn = drawn_prompts(context, (fetched.size.width, fetched.size.height))
        assert drawn is not None, "something was drawn, or we would not be here"
        version = self._status.model_version

        def on_page() -> Canvas:
            result = shown_result(errand.task, version)
            shown = shown_people(result, LabelMeanings.of(errand.job.config), image.name, frame)
            return Canvas(image, frame, fetched, shown, version)

        # Thousands of regions take a moment to read: not on the event loop.
        canvas = await run_in_thread(on_page)
        if isinstance(drawn.last, PointPrompt):
            return await self._prediction([await self._smart_tools.on_point(canvas, drawn)])
        waiting = self._smart_drawings.waiting_boxes(f"{errand.job.project} {errand.task.id}", drawn)
        return await self._prediction([await self._smart_tools.on_box(canvas, box) for box in waiting])

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
            if sum(len(picture.people) for picture in found) <= _FORMATTED_AT_ONCE:
                return make()
            return await run_in_thread(make)
