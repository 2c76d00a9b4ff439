"""The service's predictions without the service: its predictor, with the networks in this process."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from adapters.admission import Admission
from adapters.composition import runner_config
from adapters.label_studio.api import JsonObject, Project, ProjectTask
from adapters.label_studio.credentials import Credentials
from adapters.label_studio.predictions import Thresholds
from adapters.label_studio.schemas import PredictRequest
from adapters.pictures.source import PictureSource
from adapters.preannotation.outcome import TaskFailedError
from adapters.preannotation.run import Predict
from adapters.preannotation.running_backend import failure_in
from adapters.predictor import Predictor
from adapters.settings import Settings
from adapters.status import Status
from runners.assembly import assemble_in_process, fetch_files, model_version
from wholebody.person import Person
from wholebody.pipeline import find_people

_TASK_LIMIT_S = 600.0
"""Nobody waits at a screen: a slow machine may take its time for a picture full of people."""


def fetched_model_version(settings: Settings) -> str:
    """Fetch the networks that are missing; return the version that predictions will carry.

    Raises:
        ModelUnavailableError: A network is not there and cannot be fetched.
    """
    config = runner_config(settings)
    fetch_files(config)
    return model_version(config)


@asynccontextmanager
async def predicting_in_process(settings: Settings, version: str, at_once: int) -> AsyncGenerator[Predict]:
    """Load the networks, and predict tasks one by one as the service would.

    Args:
        settings: The service's own.
        version: That the predictions carry.
        at_once: Tasks in hand at the same time.

    Raises:
        ModelUnavailableError: A network is not there and cannot be fetched.
        ProviderUnavailableError: The device is not available.
    """
    detector, estimator = await asyncio.to_thread(assemble_in_process, runner_config(settings))
    # The CPUs belong to the networks; a crop is too small to be cut by several threads.
    cv2.setNumThreads(1)
    # Failed tasks are in the report: as log lines they would tear the progress bar apart.
    logging.getLogger("adapters.predictor").setLevel(logging.ERROR)
    status = Status(settings.mode, settings.device, version)
    url, token = settings.label_studio_url, settings.label_studio_api_token

    async def people(picture: NDArray[np.uint8], boxes: NDArray[np.float32] | None) -> list[Person]:
        return await find_people(picture, detector, estimator, boxes)

    async with PictureSource(
        label_studio_url=url,
        credentials=Credentials(url, token.get_secret_value()) if url and token else None,
        allowed_hosts=settings.allowed_image_hosts,
        local_files_root=settings.local_files_document_root,
        limits=settings.picture_limits,
    ) as pictures:
        predictor = Predictor(
            pictures=pictures,
            find_people=people,
            max_pixels=settings.max_image_pixels,
            thresholds=Thresholds(person=0.0, keypoint=settings.confidence_threshold),
            admission=Admission(at_once),
            status=status,
        )

        async def predict(project: Project, task: ProjectTask) -> JsonObject:
            request = PredictRequest.model_validate(
                {
                    "tasks": [{"id": task.id, "data": task.data}],
                    "project": str(project.id),
                    "label_config": project.label_config,
                }
            )
            (slot,) = await predictor.predict(request, _TASK_LIMIT_S)
            if isinstance(slot, list):
                raise failure_in(status.as_dict(), task.id) or TaskFailedError(
                    "unknown", "It has no prediction."
                )
            return cast(JsonObject, slot)

        yield predict
