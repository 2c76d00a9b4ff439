"""From the tasks of a request to their predictions.

Tasks are worked on at the same time and fail one by one: a failed task gets `[]`, by which Label Studio knows to ask
again, and leaves a log line, a count and an entry in the status.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Gauge

from adapters import metrics
from adapters.admission import Admission
from adapters.label_studio.label_config import ImageControls, LabelConfig, parse_label_config
from adapters.label_studio.label_config_template import Selection, label_config_template
from adapters.label_studio.predictions import PeopleInImage, Prediction, Thresholds, prediction
from adapters.label_studio.prompts import (
    BoxPrompt,
    PromptError,
    drawn_image,
    drawn_prompts,
    meant_person,
    wanted_part,
)
from adapters.label_studio.schemas import PredictRequest, Task
from adapters.label_studio.task_value import TaskDataError
from adapters.pictures.decoding import PictureSize, decode, measure
from adapters.pictures.errors import PictureError
from adapters.pictures.source import PictureSource
from adapters.pixel_budget import PixelBudget
from adapters.prediction_cache.cache import PredictionCache
from adapters.prediction_cache.entries import FoundPeople, PromptBox, entry_name, picture_digest, prompt_box
from adapters.request_context import request_id
from adapters.status import Status
from adapters.task_progress import TaskProgress, entered, following, timed_stage
from adapters.threads import run_in_thread
from wholebody.estimation import NetworkError
from wholebody.person import Person
from wholebody.schema import Part
from wholebody.stages import timed_by

logger = logging.getLogger(__name__)

Picture = NDArray[np.uint8]
FindPeople = Callable[[Picture, NDArray[np.float32] | None], Awaitable[list[Person]]]
"""Picture (H×W×3 uint8, BGR, upright) and drawn boxes or None, to the people in it."""

TIME_BUDGET_S = 90.0
"""Label Studio waits 100 s for an answer and throws away one that comes later."""
TASKS_IN_HAND = 16
"""Tasks worked on at once, over all requests: enough to keep the networks busy."""
TASKS_IN_HAND_PER_REQUEST = 12
"""Less than all, so that an annotator's single task need not wait for a whole batch."""
PIXELS_IN_HAND = 200_000_000
"""Decoded pictures held at once: 600 MB."""

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


@dataclass(frozen=True)
class _Fetched:
    """The file of a picture, not decoded yet."""

    data: bytes
    size: PictureSize
    digest: str


class Predictor:
    """Predicts the tasks of requests.

    Args:
        pictures: Fetches the pictures.
        find_people: Finds the people in one.
        max_pixels: Largest picture.
        thresholds: Where the label config sets none.
        admission: Gives places to tasks.
        status: Is told what happens.
        cache: Keeps people that were found; without it, those in every picture are computed anew.
    """

    def __init__(  # noqa: PLR0913 - the parts of one service, each named by its caller
        self,
        *,
        pictures: PictureSource,
        find_people: FindPeople,
        max_pixels: int,
        thresholds: Thresholds,
        admission: Admission,
        status: Status,
        cache: PredictionCache | None = None,
    ) -> None:
        self._pictures = pictures
        self._find_people = find_people
        self._max_pixels = max_pixels
        self._thresholds = thresholds
        self._status = status
        self._admission = admission
        self._cache = cache
        self._pixels = PixelBudget(PIXELS_IN_HAND)

    async def predict(self, request: PredictRequest, time_budget_s: float = TIME_BUDGET_S) -> list[Slot]:
        """Predict all tasks of a request: one slot for each, in their order.

        Raises:
            LabelConfigError: The label config cannot be read.
        """
        # Without a label config (a call by hand), all that we know is wanted.
        xml = request.label_config or label_config_template([Selection.WHOLE])
        project = None if request.project is None else str(request.project)
        job = _Job(parse_label_config(xml), request.params.context, project)
        own_turns = asyncio.Semaphore(TASKS_IN_HAND_PER_REQUEST)
        ways = [TaskProgress() for _ in request.tasks]
        running = [
            asyncio.create_task(self._in_turn(task, job, own_turns, way))
            for task, way in zip(request.tasks, ways, strict=True)
        ]
        if running:
            try:
                await asyncio.wait(running, timeout=time_budget_s)
            finally:
                for unfinished in running:
                    unfinished.cancel()
            await asyncio.wait(running)
        too_late = f"not done within {time_budget_s:.0f} s; ask again for the rest"
        return [
            self._failed(task, job, way, "time_budget", too_late) if slot.cancelled() else slot.result()
            for task, slot, way in zip(request.tasks, running, ways, strict=True)
        ]

    async def _in_turn(self, task: Task, job: _Job, own_turns: asyncio.Semaphore, way: TaskProgress) -> Slot:
        async with AsyncExitStack() as turn:
            turn.enter_context(following(way))
            with self._counted("waiting", metrics.tasks_waiting()):
                await turn.enter_async_context(own_turns)
                await turn.enter_async_context(self._admission.place())
            with self._counted("in_hand", metrics.tasks_in_hand()):
                return await self._predict(task, job, way)

    @contextmanager
    def _counted(self, what: str, gauge: Gauge) -> Generator[None]:
        setattr(self._status, what, getattr(self._status, what) + 1)
        gauge.inc()
        try:
            yield
        finally:
            setattr(self._status, what, getattr(self._status, what) - 1)
            gauge.dec()

    async def _predict(self, task: Task, job: _Job, way: TaskProgress) -> Slot:
        try:
            found = await self._people(task, job)
        except (PictureError, TaskError) as error:
            return self._failed(task, job, way, error.reason, str(error))
        except TaskDataError as error:
            return self._failed(task, job, way, "no_picture", str(error))
        except NetworkError as error:
            return self._failed(task, job, way, "network", str(error))
        except PromptError as error:
            return self._failed(task, job, way, "prompt", str(error))
        except Exception as error:
            # The last line of defence: one task's surprise must not cost the others of the request.
            logger.exception("An unexpected error")
            return self._failed(task, job, way, "internal", f"{type(error).__name__}: {error}")
        self._status.succeeded()
        metrics.tasks_total().labels(outcome="succeeded", reason="").inc()
        logger.debug(
            "task=%s project=%s regions=%d seconds=%.3f",
            task.id,
            job.project,
            len(found["result"]),
            way.seconds,
        )
        return found

    def _failed(self, task: Task, job: _Job, way: TaskProgress, reason: str, detail: str) -> list[Any]:
        logger.warning("task=%s project=%s failed reason=%s: %s", task.id, job.project, reason, detail)
        self._status.failed(
            request=request_id.get(),
            project=job.project,
            task=task.id,
            stage=way.stage,
            reason=reason,
            detail=detail,
        )
        metrics.tasks_total().labels(outcome="failed", reason=reason).inc()
        return []

    async def _people(self, task: Task, job: _Job) -> Prediction:
        drawn_on = drawn_image(job.context)
        if drawn_on is not None:
            image = job.config.image(drawn_on)
            if image is None:
                raise TaskError(
                    "label_config", f"Nothing of ours can be drawn on the image tag '{drawn_on}'."
                )
            return await self._prompted(task, job, image)
        if not job.config.images:
            why = " ".join(job.config.problems) or "It has no image that keypoints can be drawn on."
            raise TaskError("label_config", f"The label config asks for nothing that we know: {why}")
        return self._prediction([await self._whole_picture(task, image) for image in job.config.images])

    async def _whole_picture(self, task: Task, image: ImageControls) -> PeopleInImage:
        found = await self._found(await self._fetched(task, image), None)
        return PeopleInImage(image, found.people, found.size)

    async def _prompted(self, task: Task, job: _Job, image: ImageControls) -> Prediction:
        """Answer what the annotator drew with the one person that they meant, in a box of our own."""
        fetched = await self._fetched(task, image)
        drawn = drawn_prompts(job.context, (fetched.size.width, fetched.size.height))
        assert drawn is not None, "something was drawn, or we would not be here"
        if isinstance(drawn.last, BoxPrompt):
            found = await self._found(fetched, prompt_box(*drawn.last.box))
            # The networks see somebody in every box; with no keypoint to show, it is empty.
            people = [one for one in found.people if one.scores.max() >= self._thresholds.keypoint]
        else:
            found = await self._found(fetched, None)
            meant = meant_person(found.people, drawn)
            people = [] if meant is None else [found.people[meant]]
        return self._prediction(
            [PeopleInImage(image, people, found.size)],
            id_prefix=drawn.id_prefix,
            only=wanted_part(drawn.last, image),
        )

    def _prediction(
        self, found: Sequence[PeopleInImage], id_prefix: str = "", only: Part | None = None
    ) -> Prediction:
        with timed_stage("format"):
            return prediction(
                found,
                model_version=self._status.model_version,
                thresholds=self._thresholds,
                id_prefix=id_prefix,
                only=only,
            )

    async def _fetched(self, task: Task, image: ImageControls) -> _Fetched:
        address = image.value.address(task.data)
        with timed_stage("fetch"):
            data = await self._pictures.fetch(address, task_id=task.id)
        entered("decode")

        def examine() -> _Fetched:
            return _Fetched(data, measure(data, max_pixels=self._max_pixels), picture_digest(data))

        return await asyncio.to_thread(examine)

    async def _found(self, fetched: _Fetched, box: PromptBox | None) -> FoundPeople:
        """Find the people in a picture, or the one in a drawn box, unless that was done before."""

        async def compute() -> FoundPeople:
            return await self._computed(fetched, box)

        if self._cache is None:
            return await compute()
        return await self._cache.find(entry_name(fetched.digest, self._status.model_version, box), compute)

    async def _computed(self, fetched: _Fetched, box: PromptBox | None) -> FoundPeople:
        """Decode a picture, and hold its pixels while the networks look at it."""
        boxes = None if box is None else np.array([box], np.float32)
        async with self._pixels.hold(fetched.size.width * fetched.size.height):
            with timed_stage("decode"):
                picture = await run_in_thread(decode, fetched.data, max_pixels=self._max_pixels)
            with timed_by(timed_stage):
                people = await self._find_people(picture, boxes)
        metrics.people_found(people, in_whole_picture=box is None)
        height, width = picture.shape[:2]
        return FoundPeople(tuple(people), (width, height))
