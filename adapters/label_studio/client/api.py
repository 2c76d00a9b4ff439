"""Label Studio's HTTP API, as far as whole projects need it: projects, tasks and predictions.

Requests that fail because Label Studio is busy or down are retried with growing pauses. Observed with Label Studio
1.23.2.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, cast

import aiohttp

from adapters.connections import connection_problem, environment_proxy, open_session
from adapters.label_studio.client.credentials import Credentials, CredentialsError
from adapters.label_studio.client.retry import NOTHING_DONE, RETRIED, SHORT_LIVED, RetryPolicy
from adapters.time_limits import TIME_LIMITS

JsonObject = dict[str, Any]

_PAGE = 100
_ANNOTATED_PAGE = 20  # a task with results can have a megabyte
_VERSIONS_SHOWN = 500  # characters: Label Studio truncates the list of a task's model versions
_NO_VERSION = "\N{REPLACEMENT CHARACTER}"
"""In no model version: a "does not contain" filter for it passes every task and adds their versions."""


class LabelStudioApiError(Exception):
    """A request to Label Studio failed; the message says what to do, and has no token.

    Attributes:
        status: Of its response; None without any.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


class AnswerLostError(LabelStudioApiError):
    """It is unknown whether an object was created: the response was lost, or was an error."""


@dataclass(frozen=True)
class Project:
    """A project.

    Attributes:
        id: Its number.
        title: Its name.
        label_config: XML.
        tasks: Number of its tasks.
    """

    id: int
    title: str
    label_config: str
    tasks: int = 0


@dataclass(frozen=True)
class ProjectTask:
    """A task of a project.

    Attributes:
        id: Its number, unique over all projects.
        data: Its data as imported; cloud addresses unchanged.
        model_versions: Of its predictions; empty without any.
    """

    id: int
    data: JsonObject
    model_versions: frozenset[str]


@dataclass(frozen=True)
class StoredPrediction:
    """A prediction stored in Label Studio."""

    id: int
    model_version: str


class LabelStudioApi:
    """The API of one Label Studio, with the rights of the token's owner.

    An async context manager that owns one HTTP session. Every method raises LabelStudioApiError.

    Args:
        url: LABEL_STUDIO_URL, with its path prefix.
        credentials: Of the token's owner.
        retries: Retry policy.
        on_outage: Takes one message per outage of Label Studio, at its first retry.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        retries: RetryPolicy | None = None,
        on_outage: Callable[[str], None] | None = None,
    ) -> None:
        self._url = url.strip().rstrip("/")
        self._credentials = credentials
        self._retries = retries or RetryPolicy()
        self._on_outage = on_outage
        self._outage_said = False
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIME_LIMITS.client_s)
        self._session = open_session(environment_proxy(self._url), timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def project(self, number: int) -> Project:
        """Return a project."""
        try:
            answer = _object(await self._call("GET", f"/api/projects/{number}"))
        except LabelStudioApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise LabelStudioApiError(
                f"Project {number} does not exist in Label Studio at {self._url}, or the owner of the token has no "
                f"access. Its number is in the address of its page: {self._url}/projects/{number}/data.",
                error.status,
            ) from None
        return Project(
            _number(answer, "id"),
            str(answer.get("title", "")),
            str(answer.get("label_config") or ""),
            _number(answer, "task_number") if answer.get("task_number") else 0,
        )

    async def project_titled(self, title: str) -> Project | None:
        """Return the oldest project of a title; None if there is none among the first thousand."""
        answer = _object(await self._call("GET", "/api/projects", {"page_size": "1000"})).get("results")
        if not isinstance(answer, list):
            raise self._unreadable("/api/projects")
        found = [
            project for project in map(_object, cast("list[Any]", answer)) if project.get("title") == title
        ]
        return await self.project(min(_number(project, "id") for project in found)) if found else None

    async def create_project(self, title: str, label_config: str) -> Project:
        """Create a project, which shows predictions to annotators."""
        body = {"title": title, "label_config": label_config, "show_collab_predictions": True}
        return await self.project(
            _number(_object(await self._call("POST", "/api/projects", body=body)), "id")
        )

    async def upload(self, project: int, name: str, picture: bytes) -> None:
        """Import a picture as a task, as dropping its file on the page does."""

        def form() -> aiohttp.FormData:  # a form can be sent once
            fields = aiohttp.FormData()
            fields.add_field("file", picture, filename=name)
            return fields

        await self._call("POST", f"/api/projects/{project}/import", form=form)

    async def connect_model(self, project: int, url: str, title: str) -> None:
        """Connect a backend to a project, with smart tools; Label Studio asks it at once."""
        body = {"project": project, "url": url, "title": title, "is_interactive": True}
        await self._call("POST", "/api/ml", body=body)

    async def show_predictions_of(self, project: int, model_version: str) -> None:
        """Let a project show the predictions of a model version to annotators."""
        await self._call("PATCH", f"/api/projects/{project}", body={"model_version": model_version})

    async def connected_model_versions(self, project: int) -> list[str]:
        """Return the versions that the connected models of a project report."""
        answer = await self._call("GET", "/api/ml", {"project": str(project)})
        if not isinstance(answer, list):
            raise self._unreadable("/api/ml")
        models = cast("list[Any]", answer)
        return [version for model in models if (version := str(_object(model).get("model_version") or ""))]

    async def tasks(
        self, project: int, *, view: int | None = None, ids: Sequence[int] | None = None
    ) -> AsyncGenerator[ProjectTask]:
        """Yield the tasks of a project, each with the model versions of its predictions.

        Args:
            project: Its number.
            view: Only the tasks of a tab of the data manager; by default all, ordered by number.
            ids: Only these tasks; those outside the project are ignored. Not together with `view`.
        """
        async for page in self._pages(project, view, ids, {}, _PAGE):
            if view is not None:
                # A tab cannot return model versions as well.
                numbers = [_number(task, "id") for task in page]
                async for task in self.tasks(project, ids=numbers):
                    yield task
                continue
            for task in page:
                yield ProjectTask(
                    _number(task, "id"), _object(task.get("data") or {}), await self._versions_of(task)
                )

    async def annotated_tasks(
        self, project: int, *, view: int | None = None, ids: Sequence[int] | None = None
    ) -> AsyncGenerator[JsonObject]:
        """Yield the tasks of a project with all their fields.

        Args:
            project: Its number.
            view: Only the tasks of a tab of the data manager; by default all, ordered by number.
            ids: Only these tasks; those outside the project are ignored. Not together with `view`.

        Yields:
            The task in Label Studio's form: `id`, `data`, `annotations`, `predictions` and more; both lists have
            their regions in `result`.
        """
        async for page in self._pages(project, view, ids, {"fields": "all"}, _ANNOTATED_PAGE):
            for task in page:
                yield task

    async def predictions(self, task: int) -> list[StoredPrediction]:
        """Return the predictions of a task."""
        answer = await self._call("GET", "/api/predictions", {"task": str(task)})
        if not isinstance(answer, list):
            raise self._unreadable("/api/predictions")
        return [
            StoredPrediction(_number(stored, "id"), str(stored.get("model_version") or ""))
            for stored in map(_object, cast("list[Any]", answer))
        ]

    async def create_prediction(self, task: int, prediction: Mapping[str, Any]) -> int:
        """Add a prediction to a task and return its number.

        Args:
            task: The task's number.
            prediction: `model_version`, `score` and `result`.

        Raises:
            AnswerLostError: Check for the prediction before a retry: Label Studio stores duplicates.
        """
        body = {**prediction, "task": task}
        return _number(_object(await self._call("POST", "/api/predictions", body=body)), "id")

    async def delete_prediction(self, number: int) -> None:
        """Delete a prediction; a missing one is no error."""
        try:
            await self._call("DELETE", f"/api/predictions/{number}")
        except LabelStudioApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def replace_task_data(self, task: int, data: Mapping[str, Any]) -> None:
        """Replace the data of a task; its annotations and predictions stay."""
        await self._call("PATCH", f"/api/tasks/{task}", body={"data": dict(data)})

    async def _pages(
        self,
        project: int,
        view: int | None,
        ids: Sequence[int] | None,
        parameters: Mapping[str, str],
        size: int,
    ) -> AsyncGenerator[list[JsonObject]]:
        """Yield pages of tasks, each task once, even if others are added or deleted meanwhile."""
        common = {"project": str(project), "resolve_uri": "false", **parameters}
        if view is not None:
            common["view"] = str(view)
        elif ids is None:
            common["query"] = _query()
        if ids is not None:
            for start in range(0, len(ids), size):
                wanted = list(ids[start : start + size])
                answer = await self._call(
                    "GET", "/api/tasks", {**common, "query": _query(wanted), "page_size": str(size)}
                )
                yield _tasks(answer)
            return
        seen: set[int] = set()
        listed, number = 0, 1
        while True:
            paging = {"page": str(number), "page_size": str(size)}
            try:
                answer = _object(await self._call("GET", "/api/tasks", {**common, **paging}))
            except LabelStudioApiError as error:
                if error.status == HTTPStatus.NOT_FOUND and number > 1:  # tasks were deleted meanwhile
                    return
                if error.status == HTTPStatus.NOT_FOUND and view is not None:
                    raise LabelStudioApiError(
                        f"Project {project} has no view {view}. A view is the `tab` in the address of its page.",
                        error.status,
                    ) from None
                raise
            page = _tasks(answer)
            fresh = {_number(task, "id"): task for task in page if _number(task, "id") not in seen}
            seen |= fresh.keys()
            if fresh:
                yield list(fresh.values())
            listed += len(page)
            # Counted, since Label Studio may be configured for smaller pages than requested.
            if not page or listed >= _number(answer, "total"):
                return
            number += 1

    async def _versions_of(self, task: JsonObject) -> frozenset[str]:
        text = str(task.get("predictions_model_versions") or "")
        if len(text) >= _VERSIONS_SHOWN:
            return frozenset(stored.model_version for stored in await self.predictions(_number(task, "id")))
        return frozenset(part.strip() for part in text.split(",") if part.strip())

    async def _call(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        form: Callable[[], aiohttp.FormData] | None = None,
    ) -> Any:
        """Send a request with retries; return the response's JSON, None if it is empty."""
        last: LabelStudioApiError | None = None
        for attempt in range(self._retries.attempts):
            retry_after = None
            try:
                status, headers, text = await self._send(method, path, parameters, body, form)
            except aiohttp.ClientConnectorError as error:  # nothing was sent
                last = self._unreachable(error)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                last = self._unreachable(error)
                if method == "POST":
                    raise AnswerLostError(str(last)) from error
            else:
                if status not in RETRIED:
                    self._outage_said = False
                    return self._json(status, headers, text, path)
                last = LabelStudioApiError(
                    f"{self._url}{path} returns {status}{_said(text)}. See Label Studio's log.", status
                )
                if method == "POST" and status not in NOTHING_DONE:
                    raise AnswerLostError(str(last), status)
                retry_after = headers.get("Retry-After")
            if attempt + 1 < self._retries.attempts:
                if attempt or last.status not in SHORT_LIVED:
                    self._say_outage(last.status)
                await asyncio.sleep(self._retries.pause_s(attempt, retry_after))
        assert last is not None, "there is at least one attempt"
        raise last

    def _say_outage(self, status: int | None) -> None:
        if self._on_outage is None or self._outage_said:
            return
        self._outage_said = True  # many requests fail at once: one message is enough
        why = "is unreachable" if status is None else f"returns {status}"
        self._on_outage(f"Label Studio at {self._url} {why}. Retrying for a minute or two …")

    async def _send(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None,
        body: JsonObject | None,
        form: Callable[[], aiohttp.FormData] | None,
    ) -> tuple[int, Mapping[str, str], str]:
        """Send a request, and again if the access token has expired."""
        session = self._session
        if session is None:
            raise RuntimeError("LabelStudioApi is used outside of its async with block")
        header: Mapping[str, str] | None = None
        while True:
            try:
                first, header = header is None, await self._credentials.header(session, refused=header)
            except CredentialsError as error:
                if error.reason == "unauthorized":
                    raise LabelStudioApiError(str(error), HTTPStatus.UNAUTHORIZED) from error
                raise aiohttp.ClientConnectionError(str(error)) from error
            async with session.request(
                # Following a redirect would send the token to its target.
                method,
                f"{self._url}{path}",
                params=parameters,
                json=body,
                data=form() if form else None,
                headers=header,
                allow_redirects=False,
            ) as response:
                text = await response.text(errors="replace")
                if response.status != HTTPStatus.UNAUTHORIZED or not first:
                    return response.status, response.headers, text

    def _json(self, status: int, headers: Mapping[str, str], text: str, path: str) -> Any:
        if status == HTTPStatus.UNAUTHORIZED:
            raise LabelStudioApiError(self._credentials.explain_refusal(), status)
        if 300 <= status < 400:
            target = headers.get("Location", "").partition("?")[0][:200]
            raise LabelStudioApiError(
                f"{self._url}{path} redirects to {target}; the token is not sent there. Set LABEL_STUDIO_URL to that "
                "site.",
                status,
            )
        if status == HTTPStatus.FORBIDDEN:
            raise LabelStudioApiError(
                f"The owner of the token may not do this ({path}: 403{_said(text)}). Give them access to the project.",
                status,
            )
        if not 200 <= status < 300:
            raise LabelStudioApiError(f"{self._url}{path} returns {status}{_said(text)}.", status)
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise self._unreadable(path) from None

    def _unreadable(self, path: str) -> LabelStudioApiError:
        return LabelStudioApiError(
            f"{self._url}{path} is not Label Studio's API. Set LABEL_STUDIO_URL to the address by which this machine "
            "reaches Label Studio, path included."
        )

    def _unreachable(self, error: Exception) -> LabelStudioApiError:
        if problem := connection_problem(error):
            return LabelStudioApiError(f"Label Studio at {self._url} {problem}.")
        said = type(error).__name__ if not str(error) else str(error)[:200]
        return LabelStudioApiError(
            f"Label Studio at {self._url} is unreachable, or its response incomplete ({said}). Check that it runs, and "
            "that LABEL_STUDIO_URL is its address from here (in a container, localhost is the container itself)."
        )


def _query(ids: Sequence[int] | None = None) -> str:
    # Label Studio returns model versions only with a filter that needs them.
    versions = {
        "filter": "filter:tasks:predictions_model_versions",
        "operator": "not_contains",
        "type": "List",
        "value": [_NO_VERSION],
    }
    query: JsonObject = {"filters": {"conjunction": "and", "items": [versions]}}
    if ids is not None:
        query["selectedItems"] = {"all": False, "included": list(ids)}
    return json.dumps(query)


def _tasks(answer: Any) -> list[JsonObject]:
    tasks = _object(answer).get("tasks")
    if not isinstance(tasks, list):
        raise LabelStudioApiError("Label Studio's list of tasks lacks its tasks. Check its version and log.")
    return [_object(task) for task in cast("list[Any]", tasks)]


def _object(value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise LabelStudioApiError("Label Studio's response is no JSON object. Check its version.")
    return cast(JsonObject, value)


def _number(value: JsonObject, key: str) -> int:
    number = value.get(key)
    if not isinstance(number, int):
        raise LabelStudioApiError(f"Label Studio's response has no number for '{key}'. Check its version.")
    return number


def _said(text: str) -> str:
    """Return the detail of an error from Label Studio, in parentheses."""
    try:
        answer = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    fields = cast(JsonObject, answer)
    parts = [str(fields[key]) for key in ("detail", "validation_errors") if fields.get(key)]
    return f" ({': '.join(parts)})"[:500] if parts else ""
