"""Label Studio's HTTP API, as far as whole projects need it: projects, tasks and predictions.

What is busy or away for a moment is asked again, with growing pauses and a limit. Observed with Label Studio 1.23.2.
"""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, cast

import aiohttp

from adapters.label_studio.client.credentials import Credentials, CredentialsError
from adapters.time_limits import TIME_LIMITS

JsonObject = dict[str, Any]

_PAGE = 100
_ANNOTATED_PAGE = 20  # a task with results can have a megabyte
_VERSIONS_SHOWN = 500  # characters: Label Studio cuts the list of a task's model versions there
_REFUSED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""By these, a server says that it has done nothing."""
_IN_TROUBLE = _REFUSED | {
    HTTPStatus.INTERNAL_SERVER_ERROR,  # SQLite's "database is locked", for one
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_PASSING = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR})
"""It is there and works: worth a word only where it lasts."""
_NO_VERSION = "\N{REPLACEMENT CHARACTER}"
"""What no model version contains: a filter for it lets every task pass and has their versions listed."""


class LabelStudioApiError(Exception):
    """Label Studio does not do what it was asked; the message says what to do, and holds no token.

    Attributes:
        status: Of its answer; None if there was none.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


class AnswerLostError(LabelStudioApiError):
    """Something was to be made, and whether it was is not known: the answer did not arrive, or was an error."""


@dataclass(frozen=True)
class Project:
    """A project.

    Attributes:
        id: Its number.
        title: Its name.
        label_config: XML.
    """

    id: int
    title: str
    label_config: str


@dataclass(frozen=True)
class ProjectTask:
    """A task of a project.

    Attributes:
        id: Its number, unique over all projects.
        data: What it was imported with; cloud addresses as they are.
        model_versions: Of its predictions; empty without any.
    """

    id: int
    data: JsonObject
    model_versions: frozenset[str]


@dataclass(frozen=True)
class StoredPrediction:
    """A prediction that Label Studio keeps."""

    id: int
    model_version: str


@dataclass(frozen=True)
class Patience:
    """How often a request is sent before giving up, and the pauses between, which double.

    With these defaults Label Studio may be away for about a minute and a half.
    """

    attempts: int = 9
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0

    def pause_s(self, attempt: int, retry_after: str | None) -> float:
        """Return the seconds to wait after an attempt (counted from 0) that failed.

        Args:
            attempt: Which one it was.
            retry_after: The header of this name, if there was one.
        """
        if retry_after is not None and retry_after.strip().isdecimal():
            return min(float(retry_after), self.longest_pause_s)
        # Spread, so that many clients do not come back at the same moment.
        return min(self.first_pause_s * 2**attempt, self.longest_pause_s) * random.uniform(0.75, 1)  # noqa: S311


class LabelStudioApi:
    """The API of one Label Studio, as the owner of a token sees it.

    An async context manager that owns one HTTP session. Every method raises LabelStudioApiError.

    Args:
        url: LABEL_STUDIO_URL, with the path below which it is installed.
        credentials: Of the token's owner.
        patience: How long trouble may last.
        on_outage: Is told once, in a sentence, when Label Studio is away and asked again; and anew when it was back
            in between.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        patience: Patience | None = None,
        on_outage: Callable[[str], None] | None = None,
    ) -> None:
        self._url = url.strip().rstrip("/")
        self._credentials = credentials
        self._patience = patience or Patience()
        self._on_outage = on_outage
        self._outage_said = False
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIME_LIMITS.client_s))
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
                f"Label Studio at {self._url} shows no project {number} to the owner of the token; its number is in "
                f"the address of its page: {self._url}/projects/{number}/data.",
                error.status,
            ) from None
        return Project(
            _number(answer, "id"), str(answer.get("title", "")), str(answer.get("label_config") or "")
        )

    async def connected_model_versions(self, project: int) -> list[str]:
        """Return the versions of the models that are connected to a project, as they said themselves."""
        answer = await self._call("GET", "/api/ml", {"project": str(project)})
        if not isinstance(answer, list):
            raise self._unreadable("/api/ml")
        models = cast("list[Any]", answer)
        return [version for model in models if (version := str(_object(model).get("model_version") or ""))]

    async def tasks(
        self, project: int, *, view: int | None = None, ids: Sequence[int] | None = None
    ) -> AsyncGenerator[ProjectTask]:
        """Go through the tasks of a project, each with the model versions of its predictions.

        Args:
            project: Its number.
            view: Only the tasks that a tab of the data manager shows; by default all, ordered by number.
            ids: Only these tasks; those that are not in the project are left out. Not together with `view`.
        """
        async for page in self._pages(project, view, ids, {}, _PAGE):
            if view is not None:
                # A tab cannot be asked for model versions too.
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
        """Go through the tasks of a project with everything in them.

        Args:
            project: Its number.
            view: Only the tasks that a tab of the data manager shows; by default all, ordered by number.
            ids: Only these tasks; those that are not in the project are left out. Not together with `view`.

        Yields:
            The task as Label Studio writes it: `id`, `data`, `annotations`, `predictions` and more; both lists
            have their regions in `result`.
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
            AnswerLostError: Look for it before it is made again: Label Studio keeps any number of the same.
        """
        body = {**prediction, "task": task}
        return _number(_object(await self._call("POST", "/api/predictions", body=body)), "id")

    async def delete_prediction(self, number: int) -> None:
        """Delete a prediction, unless it is gone already."""
        try:
            await self._call("DELETE", f"/api/predictions/{number}")
        except LabelStudioApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def _pages(
        self,
        project: int,
        view: int | None,
        ids: Sequence[int] | None,
        parameters: Mapping[str, str],
        size: int,
    ) -> AsyncGenerator[list[JsonObject]]:
        """Go through tasks page by page; no task comes twice, also when others appear or go meanwhile."""
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
                        f"Project {project} has no view {view}: a view is the `tab` in the address of its page.",
                        error.status,
                    ) from None
                raise
            page = _tasks(answer)
            fresh = {_number(task, "id"): task for task in page if _number(task, "id") not in seen}
            seen |= fresh.keys()
            if fresh:
                yield list(fresh.values())
            listed += len(page)
            # Counted, since Label Studio may be set to smaller pages than were asked for.
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
    ) -> Any:
        """Send a request until it is answered; return the answer's JSON, None for an empty one."""
        last: LabelStudioApiError | None = None
        for attempt in range(self._patience.attempts):
            retry_after = None
            try:
                status, headers, text = await self._send(method, path, parameters, body)
            except aiohttp.ClientConnectorError as error:  # nothing was sent
                last = self._unreachable(error)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                last = self._unreachable(error)
                if method == "POST":
                    raise AnswerLostError(str(last)) from error
            else:
                if status not in _IN_TROUBLE:
                    self._outage_said = False
                    return self._json(status, headers, text, path)
                last = LabelStudioApiError(
                    f"{self._url}{path} answers {status}{_said(text)}: see Label Studio's log.", status
                )
                if method == "POST" and status not in _REFUSED:
                    raise AnswerLostError(str(last), status)
                retry_after = headers.get("Retry-After")
            if attempt + 1 < self._patience.attempts:
                if attempt or last.status not in _PASSING:
                    self._say_outage(last.status)
                await asyncio.sleep(self._patience.pause_s(attempt, retry_after))
        assert last is not None, "there is at least one attempt"
        raise last

    def _say_outage(self, status: int | None) -> None:
        if self._on_outage is None or self._outage_said:
            return
        self._outage_said = True  # many requests fail at once: one sentence is enough
        why = "is not reachable" if status is None else f"answers {status}"
        self._on_outage(f"Label Studio at {self._url} {why}, trying again for a minute or two …")

    async def _send(
        self, method: str, path: str, parameters: Mapping[str, str] | None, body: JsonObject | None
    ) -> tuple[int, Mapping[str, str], str]:
        """Send a request once, or twice if the access token is no longer known."""
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
                # A redirect would carry the token to wherever it points.
                method,
                f"{self._url}{path}",
                params=parameters,
                json=body,
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
                f"{self._url}{path} redirects to {target}: make that site LABEL_STUDIO_URL; the token is not sent on.",
                status,
            )
        if status == HTTPStatus.FORBIDDEN:
            raise LabelStudioApiError(
                f"Label Studio does not let the owner of the token do this ({path}: 403{_said(text)}): they need "
                "access to the project.",
                status,
            )
        if not 200 <= status < 300:
            raise LabelStudioApiError(f"{self._url}{path} answers {status}{_said(text)}.", status)
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise self._unreadable(path) from None

    def _unreadable(self, path: str) -> LabelStudioApiError:
        return LabelStudioApiError(
            f"{self._url}{path} does not answer as Label Studio does: LABEL_STUDIO_URL must be the address under which "
            "this machine sees Label Studio, its path included."
        )

    def _unreachable(self, error: Exception) -> LabelStudioApiError:
        said = type(error).__name__ if not str(error) else str(error)[:200]
        return LabelStudioApiError(
            f"Label Studio at {self._url} cannot be reached or broke off ({said}): see whether it runs, and that "
            "LABEL_STUDIO_URL is its address as seen from here (in a container, localhost is the container itself)."
        )


def _query(ids: Sequence[int] | None = None) -> str:
    # Without a filter that needs them, Label Studio leaves the model versions empty.
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
        raise LabelStudioApiError("Label Studio's list of tasks has no tasks in it; see its version and log.")
    return [_object(task) for task in cast("list[Any]", tasks)]


def _object(value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise LabelStudioApiError("Label Studio answers with something else than an object; see its version.")
    return cast(JsonObject, value)


def _number(value: JsonObject, key: str) -> int:
    number = value.get(key)
    if not isinstance(number, int):
        raise LabelStudioApiError(f"Label Studio answers without a number for '{key}'; see its version.")
    return number


def _said(text: str) -> str:
    """What an error of Label Studio says about itself, for a sentence."""
    try:
        answer = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    fields = cast(JsonObject, answer)
    parts = [str(fields[key]) for key in ("detail", "validation_errors") if fields.get(key)]
    return f" ({': '.join(parts)})"[:500] if parts else ""
