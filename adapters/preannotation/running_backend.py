"""Predictions from a service that runs already."""

import asyncio
import base64
import time
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, cast

import aiohttp

from adapters.label_studio.client.api import JsonObject, Patience, Project, ProjectTask
from adapters.preannotation.outcome import OUT_OF_TIME, RunEndedError, TaskFailedError

_LIMIT_S = 130  # the service answers within its time budget of 90 s, a gateway in front within 120
LONG_S = 40.0
"""After which a task without a known reason ran out of time: no other failure takes that long."""
_LONGEST_REFUSAL_S = 600.0
_BUSY = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})
_AWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})


class RunningBackend:
    """A service of ours. An async context manager that owns one HTTP session.

    Args:
        url: Its address.
        user: Of its basic authentication; None without.
        password: Likewise.
        patience: How long it may be away.
        on_outage: Is told, in a sentence, when it is away for more than a moment.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        patience: Patience | None = None,
        on_outage: Callable[[str], None] | None = None,
    ) -> None:
        self._url = url.strip().rstrip("/")
        credentials = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
        self._headers = {} if user is None else {"Authorization": f"Basic {credentials}"}
        self._patience = patience or Patience()
        self._on_outage = on_outage
        self._outage_said = False
        self._session: aiohttp.ClientSession | None = None
        self.model_version = ""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=aiohttp.ClientTimeout(total=_LIMIT_S, sock_connect=10)
        )
        try:
            answer = await self._call("GET", "/versions", "preannotate")
            versions = answer.get("versions")
            if not isinstance(versions, list) or not versions or not isinstance(versions[0], str):
                raise RunEndedError(f"{self._url} is no RTMLib ML Backend: it has no version at /versions.")
            self.model_version = versions[0]
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def predict(self, project: Project, task: ProjectTask) -> JsonObject:
        """Predict one task.

        Raises:
            TaskFailedError: It has no prediction.
            RunEndedError: The service is away, or is not the one that it was.
        """
        request = f"preannotate-{project.id}-{task.id}"
        began = time.monotonic()
        answer = await self._call(
            "POST",
            "/predict",
            request,
            {
                "tasks": [{"id": task.id, "data": task.data}],
                "project": str(project.id),
                "label_config": project.label_config,
            },
        )
        results = answer.get("results")
        slot = cast("list[Any]", results)[0] if isinstance(results, list) and results else None
        if slot == []:
            raise await self._why(task, request, time.monotonic() - began)
        if not isinstance(slot, dict):
            raise RunEndedError(f"{self._url}/predict does not answer as an RTMLib ML Backend does.")
        prediction = cast(JsonObject, slot)
        if prediction.get("model_version") != self.model_version:
            raise RunEndedError(
                f"The backend at {self._url} was {self.model_version} and is {prediction.get('model_version')} now: "
                "start again, for predictions of the new version."
            )
        return prediction

    async def _why(self, task: ProjectTask, request: str, seconds: float) -> TaskFailedError:
        """Ask why a task failed. Another replica of the service may answer, which does not know."""
        try:
            status = await self._call("GET", "/status", request)
        except (RunEndedError, TaskFailedError):
            status = {}
        known = failure_in(status, task.id)
        reason = OUT_OF_TIME if seconds >= LONG_S else "unknown"
        return known or TaskFailedError(
            reason, f"The backend's log says why, in the lines of request {request}."
        )

    async def _call(self, method: str, path: str, request: str, body: JsonObject | None = None) -> JsonObject:
        assert self._session is not None, "used inside of its async with block"
        attempt, busy_until = 0, time.monotonic() + _LONGEST_REFUSAL_S
        while True:
            retry_after = None
            try:
                async with self._session.request(
                    method,
                    self._url + path,
                    json=body,
                    headers={"X-Request-Id": request},
                    allow_redirects=False,
                ) as response:
                    status = response.status
                    retry_after = response.headers.get("Retry-After")
                    if status not in _BUSY | _AWAY:
                        self._outage_said = False
                        return await self._answer(response, path)
                trouble = f"answers {status}"
            except (
                aiohttp.ClientConnectionError,
                aiohttp.ClientPayloadError,
                OSError,
                TimeoutError,
            ) as error:
                trouble = str(error)[:200] or type(error).__name__
                status = None
            if status in _BUSY:  # it works, for others too: this is no trouble, only a long queue
                if time.monotonic() > busy_until:
                    raise RunEndedError(f"The backend at {self._url} was too busy for ten minutes.")
                pause = self._patience.pause_s(1, retry_after)
                await asyncio.sleep(max(pause, self._patience.first_pause_s))
                continue
            attempt += 1
            if attempt >= self._patience.attempts:
                raise RunEndedError(f"The backend at {self._url} cannot be reached ({trouble}): see its log.")
            if attempt > 1:
                self._say_outage(trouble)
            await asyncio.sleep(self._patience.pause_s(attempt, retry_after))

    def _say_outage(self, trouble: str) -> None:
        if self._on_outage is None or self._outage_said:
            return
        self._outage_said = True  # many tasks fail at once: one sentence is enough
        self._on_outage(
            f"The backend at {self._url} cannot be reached ({trouble}), trying again for a minute or two …"
        )

    async def _answer(self, response: aiohttp.ClientResponse, path: str) -> JsonObject:
        if response.status == HTTPStatus.UNAUTHORIZED:
            raise RunEndedError(
                f"The backend at {self._url} asks for a user name and a password: set BASIC_AUTH_USER and "
                "BASIC_AUTH_PASS here to the same as there."
            )
        try:
            answer: Any = await response.json(content_type=None)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RunEndedError(f"{self._url}{path} does not answer as an RTMLib ML Backend does.")
        fields = cast(JsonObject, answer)
        if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise TaskFailedError("too_large", str(fields.get("detail", "The task is too large.")))
        if response.status != HTTPStatus.OK:
            raise RunEndedError(f"{self._url}{path} answers {response.status}: {fields.get('detail', '')}")
        return fields


def failure_in(status: JsonObject, task: int) -> TaskFailedError | None:
    """Find in a status why a task failed last."""
    failures = status.get("last_failures")
    for failure in reversed(cast("list[JsonObject]", failures) if isinstance(failures, list) else []):
        if failure.get("task") == task:
            return TaskFailedError(str(failure.get("reason")), str(failure.get("detail")))
    return None
