"""One prediction of a model version for each task.

Label Studio keeps as many predictions as it is sent, also equal ones. So whoever adds one looks afterwards whether
another of the same version is there, and takes the own one away again unless it is the oldest: of two runs at the same
time, one gives way.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from adapters.label_studio.client.api import AnswerLostError, LabelStudioApi, LabelStudioApiError, Patience


class PredictionStore:
    """Adds predictions of one model version to tasks.

    Args:
        api: Label Studio.
        model_version: That the predictions carry.
        patience: For answers that are lost.
    """

    def __init__(self, api: LabelStudioApi, model_version: str, patience: Patience | None = None) -> None:
        self._api = api
        self._model_version = model_version
        self._patience = patience or Patience()
        self._uncertain: set[int] = set()

    async def add(self, task: int, prediction: Mapping[str, Any]) -> bool:
        """Add a prediction to a task; return whether it is ours that the task has now.

        Raises:
            LabelStudioApiError: Label Studio refuses it, or is away for longer than patience lasts.
        """
        attempt = 0
        while True:
            try:
                ours = await self._api.create_prediction(task, prediction)
            except AnswerLostError:
                # It may have been stored all the same, now or in a moment.
                self._uncertain.add(task)
                attempt += 1
                if attempt >= self._patience.attempts:
                    raise
                await asyncio.sleep(self._patience.pause_s(attempt, None))
                if await self._numbers(task):
                    return True
            else:
                oldest = min(await self._numbers(task), default=ours)
                if oldest < ours:
                    await self._api.delete_prediction(ours)
                return oldest >= ours

    async def settle(self) -> None:
        """Look again at the tasks whose answers were lost: what was sent twice may have arrived twice.

        Raises:
            LabelStudioApiError: Label Studio is away.
        """
        for task in sorted(self._uncertain):
            for later in (await self._numbers(task))[1:]:
                await self._api.delete_prediction(later)
        self._uncertain.clear()

    async def _numbers(self, task: int) -> list[int]:
        """The task's predictions of this version, the oldest first."""
        try:
            stored = await self._api.predictions(task)
        except LabelStudioApiError as error:
            self._uncertain.add(task)
            raise error
        return sorted(one.id for one in stored if one.model_version == self._model_version)
