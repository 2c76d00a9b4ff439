"""The service's predictor and networks, in this process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from adapters.concurrency.admission import Admission
from adapters.label_studio.client.api import Project, ProjectTask
from adapters.label_studio.schemas import PredictRequest
from adapters.observability.status import Status
from adapters.preannotation.run import Predict
from adapters.prediction.outcome import Slot
from adapters.settings import Settings
from adapters.wiring import open_predictor, runner_config
from runners.pipeline import assemble_in_process
from runners.plan import fetch, resolve

_TASK_LIMIT_S = 600.0
"""Time limit for one task. No annotator waits: a slow machine may need long for a crowd."""


def fetched_model_version(settings: Settings) -> str:
    """Download missing networks and return the model version of the predictions.

    Raises:
        ModelUnavailableError: A network is missing and cannot be downloaded.
    """
    return fetch(runner_config(settings)).version


@asynccontextmanager
async def predicting_in_process(settings: Settings, version: str, at_once: int) -> AsyncGenerator[Predict]:
    """Load the networks and predict tasks one by one, as the service does.

    Args:
        settings: Settings of the service.
        version: Model version of the predictions.
        at_once: Number of concurrent tasks.

    Raises:
        ModelUnavailableError: A network is missing and cannot be downloaded.
        ProviderUnavailableError: The device is not available.
    """
    detector, estimator = await asyncio.to_thread(assemble_in_process, resolve(runner_config(settings)))
    status = Status(settings.mode, settings.device, version)
    admission = Admission(at_once)
    async with open_predictor(
        settings,
        detector=detector,
        estimator=estimator,
        status=status,
        admission=admission,
        warn=lambda _: None,  # the run shows failures itself
    ) as predictor:

        async def predict(project: Project, task: ProjectTask) -> Slot:
            request = PredictRequest.model_validate(
                {
                    "tasks": [{"id": task.id, "data": task.data}],
                    "project": str(project.id),
                    "label_config": project.label_config,
                }
            )
            (slot,) = await predictor.predict(request, _TASK_LIMIT_S)
            return slot

        yield predict
