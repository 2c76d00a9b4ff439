"""A service that runs already, asked over a real socket: its answers, its refusals, and its absence."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.label_studio.client.api import Project, ProjectTask
from adapters.label_studio.client.retry import RetryPolicy
from adapters.preannotation.outcome import RunEndedError
from adapters.preannotation.running_backend import RunningBackend
from adapters.prediction.outcome import Failure

QUICK = RetryPolicy(attempts=3, first_pause_s=0.01, longest_pause_s=0.02)
VERSION = "rtmlib-embedded-01234567"
PROJECT = Project(3, "Three", "<View/>")
TASK = ProjectTask(7, {"image": "/data/upload/1/7.jpg"}, frozenset())
PREDICTION = {"model_version": VERSION, "score": 0.5, "result": []}


@dataclass
class Backend:
    """What it answers, and what it was asked."""

    url: str = ""
    predictions: list[web.Response] = field(default_factory=list)
    asked: list[web.Request] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    password: str | None = None

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        given = request.headers.get("Authorization")
        wanted = base64.b64encode(f"somebody:{self.password}".encode()).decode()
        if self.password is not None and given != f"Basic {wanted}":
            return web.json_response({"detail": "This backend asks for a user name."}, status=401)
        match request.path:
            case "/versions":
                return web.json_response({"versions": [VERSION]})
            case _:
                self.bodies.append(await request.json())
                return self.predictions.pop(0)


@asynccontextmanager
async def serving(*predictions: Any, **fields: Any) -> AsyncIterator[Backend]:
    answers = [
        answer if isinstance(answer, web.Response) else web.json_response({"results": [answer]})
        for answer in predictions
    ]
    backend = Backend(predictions=answers, **fields)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", backend.answer)
    async with TestServer(app) as server:
        backend.url = str(server.make_url("/")).rstrip("/")
        yield backend


async def predicted(backend: Backend, **options: Any) -> Any:
    async with RunningBackend(f"{backend.url}/", retries=QUICK, **options) as running:
        assert running.model_version == VERSION
        return await running.predict(PROJECT, TASK)


async def test_it_is_asked_as_label_studio_asks_it() -> None:
    async with serving(PREDICTION) as backend:
        assert await predicted(backend) == PREDICTION
    assert backend.bodies == [
        {"tasks": [{"id": 7, "data": TASK.data}], "project": "3", "label_config": "<View/>"}
    ]
    assert backend.asked[-1].headers["X-Request-Id"] == "preannotate-3-7"


async def test_user_and_password_are_sent() -> None:
    async with serving(PREDICTION, password="a pass: wörd") as backend:
        assert await predicted(backend, user="somebody", password="a pass: wörd") == PREDICTION


async def test_a_password_that_it_asks_for_is_named_by_its_setting() -> None:
    async with serving(password="secret") as backend:
        with pytest.raises(RunEndedError, match="BASIC_AUTH_USER"):
            await predicted(backend)


async def test_a_failed_task_has_the_reason_of_the_answer() -> None:
    failure = {"task": 7, "reason": "not_found", "detail": "There is no picture."}
    async with serving(web.json_response({"results": [[]], "failures": [failure]})) as backend:
        assert await predicted(backend) == Failure(7, "not_found", "There is no picture.")


async def test_a_task_that_ran_out_of_time_tells_how_far_it_came() -> None:
    failure = {"task": 7, "reason": "time_budget", "detail": "Not done.", "frames_done": 120}
    async with serving(web.json_response({"results": [[]], "failures": [failure]})) as backend:
        assert await predicted(backend) == Failure(7, "time_budget", "Not done.", 120)


async def test_an_older_backend_that_gives_no_reason_is_told_of_with_the_lines_of_its_log() -> None:
    async with serving([]) as backend:
        failure = await predicted(backend)
    assert isinstance(failure, Failure)
    assert failure.reason == "unknown"
    assert "is older than this command" in failure.detail
    assert "See request preannotate-3-7 in its log" in failure.detail


@pytest.mark.parametrize("status", [503, 429])
async def test_it_is_given_the_time_that_it_asks_for_however_often(status: int) -> None:
    busy = [
        web.json_response({"detail": "come again"}, status=status, headers={"Retry-After": "0"})
        for _ in range(20)
    ]
    async with serving(*busy, PREDICTION) as backend:
        assert await predicted(backend) == PREDICTION
    assert len(backend.bodies) == 21


async def test_a_gateway_without_a_backend_is_asked_again_a_few_times() -> None:
    away = [web.Response(status=502) for _ in range(2)]
    async with serving(*away, PREDICTION) as backend:
        assert await predicted(backend) == PREDICTION
    async with serving(*[web.Response(status=502) for _ in range(9)]) as backend:
        with pytest.raises(RunEndedError, match=r"cannot be reached \(returned 502\)"):
            await predicted(backend)
    assert len(backend.bodies) == QUICK.attempts


async def test_that_nobody_listens_is_said_once_while_it_is_tried_again() -> None:
    said: list[str] = []
    with pytest.raises(RunEndedError):
        async with RunningBackend("http://127.0.0.1:1", retries=QUICK, on_outage=said.append):
            pass

    (sentence,) = said
    assert sentence.startswith("The backend at http://127.0.0.1:1 cannot be reached (")
    assert sentence.endswith("Retrying for a minute or two …")


async def test_nobody_listening_ends_the_run() -> None:
    async with serving() as backend:
        pass
    with pytest.raises(RunEndedError, match="cannot be reached"):
        await predicted(backend)


async def test_another_version_than_at_the_start_ends_the_run() -> None:
    async with serving({**PREDICTION, "model_version": "rtmlib-balanced-76543210"}) as backend:
        with pytest.raises(RunEndedError, match="to rtmlib-balanced-76543210"):
            await predicted(backend)


async def test_a_label_config_that_it_cannot_read_ends_the_run_with_its_words() -> None:
    refusal = web.json_response({"detail": "The label config is no XML."}, status=400)
    async with serving(refusal) as backend:
        with pytest.raises(RunEndedError, match="The label config is no XML"):
            await predicted(backend)


async def test_a_task_that_is_too_large_fails_alone() -> None:
    refusal = web.json_response({"detail": "The body is larger."}, status=413)
    async with serving(refusal) as backend:
        assert await predicted(backend) == Failure(7, "too_large", "The body is larger.")


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text="<html/>"),
        web.json_response([]),
        web.json_response({}),
        web.json_response({"results": []}),
        web.json_response({"results": [None]}),
    ],
    ids=lambda answer: answer.text,
)
async def test_what_is_no_backend_of_ours_is_told(answer: web.Response) -> None:
    async with serving(web.Response(body=answer.body, content_type=answer.content_type)) as backend:
        with pytest.raises(RunEndedError, match="is not the response of an RTMLib ML Backend"):
            await predicted(backend)
