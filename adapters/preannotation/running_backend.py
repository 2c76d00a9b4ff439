"""Predictions from a running service."""

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, cast

import aiohttp

from adapters.connections import connection_problem, environment_proxy, open_session
from adapters.label_studio.client.api import JsonObject, Project, ProjectTask
from adapters.label_studio.client.retry import RetryPolicy
from adapters.preannotation.outcome import RunEndedError
from adapters.prediction.outcome import Failure, TaskError
from adapters.time_limits import TIME_LIMITS

_LONGEST_REFUSAL_S = 600.0
_BUSY = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})
_UNREACHABLE = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})


class RunningBackend:
    """A client of a running RTMLib ML Backend. An async context manager that owns one HTTP session.

    Args:
        url: Address of the backend.
        user: User name for basic authentication; None for no authentication.
        password: Password for it.
        retries: Retries while the backend is unreachable.
        on_outage: Receives a message after the second failed attempt.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        retries: RetryPolicy | None = None,
        on_outage: Callable[[str], None] | None = None,
    ) -> None:
        self._url = url.strip().rstrip("/")
        credentials = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
        self._headers = {} if user is None else {"Authorization": f"Basic {credentials}"}
        self._retries = retries or RetryPolicy()
        self._on_outage = on_outage
        self._outage_reported = False
        self._session: aiohttp.ClientSession | None = None
        self.model_version = ""

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIME_LIMITS.client_s, sock_connect=10)
        self._session = open_session(environment_proxy(self._url), timeout, headers=self._headers)
        try:
            answer = await self._call("GET", "/versions", "preannotate")
            versions = answer.get("versions")
            if not isinstance(versions, list) or not versions or not isinstance(versions[0], str):
                raise RunEndedError(
                    f"{self._url} is not an RTMLib ML Backend: it lists no version at /versions. Check the address."
                )
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

    async def predict(self, project: Project, task: ProjectTask) -> Mapping[str, object] | Failure:
        """Predict one task.

        Raises:
            RunEndedError: The backend is unreachable, or its model version has changed.
        """
        request = f"preannotate-{project.id}-{task.id}"
        body: JsonObject = {
            "tasks": [{"id": task.id, "data": task.data}],
            "project": str(project.id),
            "label_config": project.label_config,
        }
        try:
            answer = await self._call("POST", "/predict", request, body)
        except TaskError as error:
            return Failure(task.id, error.reason, str(error))
        match answer:
            case {"results": [{"model_version": self.model_version} as prediction]}:
                return prediction
            case {"results": [{"model_version": other}]}:
                raise RunEndedError(
                    f"The model version of the backend at {self._url} changed from {self.model_version} to {other}. "
                    "Start again for predictions of the new version."
                )
            case {"results": [[]], "failures": [{"reason": str(reason), "detail": str(detail), **more}]}:
                done = more.get("frames_done")
                return Failure(task.id, reason, detail, done if isinstance(done, int) else None)
            case {"results": [[]]}:
                why = "The backend is older than this command and returns no reason for failed tasks."
                return Failure(task.id, "unknown", f"{why} See request {request} in its log.")
            case _:
                raise RunEndedError(
                    f"{self._url}/predict is not the response of an RTMLib ML Backend. Check the address."
                )

    async def _call(self, method: str, path: str, request: str, body: JsonObject | None = None) -> JsonObject:
        assert self._session is not None, "used inside its async with block"
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
                    if status not in _BUSY | _UNREACHABLE:
                        self._outage_reported = False
                        return await self._answer(response, path)
                problem = f"returned {status}"
            except (
                aiohttp.ClientConnectionError,
                aiohttp.ClientHttpProxyError,
                aiohttp.ClientPayloadError,
                OSError,
                TimeoutError,
            ) as error:
                if certificate := connection_problem(error):
                    raise RunEndedError(f"The backend at {self._url} {certificate}.") from error
                problem = str(error)[:200] or type(error).__name__
                status = None
            if status in _BUSY:  # not an outage: the queue is long
                if time.monotonic() > busy_until:
                    raise RunEndedError(
                        f"The backend at {self._url} was overloaded for ten minutes. Start again later."
                    )
                pause = self._retries.pause_s(1, retry_after)
                await asyncio.sleep(max(pause, self._retries.first_pause_s))
                continue
            attempt += 1
            if attempt >= self._retries.attempts:
                raise RunEndedError(f"The backend at {self._url} cannot be reached ({problem}). See its log.")
            if attempt > 1:
                self._report_outage(problem)
            await asyncio.sleep(self._retries.pause_s(attempt, retry_after))

    def _report_outage(self, problem: str) -> None:
        if self._on_outage is None or self._outage_reported:
            return
        self._outage_reported = True  # many tasks fail at once: one message is enough
        self._on_outage(
            f"The backend at {self._url} cannot be reached ({problem}). Retrying for a minute or two …"
        )

    async def _answer(self, response: aiohttp.ClientResponse, path: str) -> JsonObject:
        if response.status == HTTPStatus.UNAUTHORIZED:
            raise RunEndedError(
                f"The backend at {self._url} requires a user name and a password: set BASIC_AUTH_USER and "
                "BASIC_AUTH_PASS to the values of the backend."
            )
        try:
            answer: Any = await response.json(content_type=None)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RunEndedError(
                f"{self._url}{path} is not the response of an RTMLib ML Backend. Check the address."
            )
        fields = cast(JsonObject, answer)
        if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise TaskError("too_large", str(fields.get("detail", "The task is too large.")))
        if response.status != HTTPStatus.OK:
            raise RunEndedError(f"{self._url}{path} returned {response.status}: {fields.get('detail', '')}")
        return fields
