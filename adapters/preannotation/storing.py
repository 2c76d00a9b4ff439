"""Stores one prediction of a model version per task.

Label Studio keeps every prediction that it receives, also duplicates. So after each one, the store lists those of the
same version, and deletes its own unless it is the oldest. Of two runs at once, one prediction per task stays.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from adapters.label_studio.client.api import AnswerLostError, LabelStudioApi, LabelStudioApiError
from adapters.label_studio.client.retry import RetryPolicy


class PredictionStore:
    """Adds predictions of one model version to tasks, at most one per task.

    Args:
        api: Label Studio.
        model_version: Model version of the predictions.
        retries: Retries after lost responses.
    """

    def __init__(self, api: LabelStudioApi, model_version: str, retries: RetryPolicy | None = None) -> None:
        self._api = api
        self._model_version = model_version
        self._retries = retries or RetryPolicy()
        self._uncertain: set[int] = set()

    async def add(self, task: int, prediction: Mapping[str, Any]) -> bool:
        """Add a prediction to a task; return whether the task keeps this one.

        Raises:
            LabelStudioApiError: Label Studio rejects it, or stays unreachable.
        """
        attempt = 0
        while True:
            try:
                created = await self._api.create_prediction(task, prediction)
            except AnswerLostError:
                # It may be stored nevertheless, now or in a moment.
                self._uncertain.add(task)
                attempt += 1
                if attempt >= self._retries.attempts:
                    raise
                await asyncio.sleep(self._retries.pause_s(attempt, None))
                if await self._ids(task):
                    return True
            else:
                oldest = min(await self._ids(task), default=created)
                if oldest < created:
                    await self._api.delete_prediction(created)
                return oldest >= created

    async def settle(self) -> None:
        """Delete duplicates of the tasks whose responses were lost: a retry may have stored a second one.

        Raises:
            LabelStudioApiError: Label Studio is unreachable.
        """
        for task in sorted(self._uncertain):
            for later in (await self._ids(task))[1:]:
                await self._api.delete_prediction(later)
        self._uncertain.clear()

    async def _ids(self, task: int) -> list[int]:
        """Return the ids of the task's predictions of this version, the oldest first."""
        try:
            stored = await self._api.predictions(task)
        except LabelStudioApiError as error:
            self._uncertain.add(task)
            raise error
        return sorted(one.id for one in stored if one.model_version == self._model_version)
