"""Label Studio's API: whole projects page by page, predictions one by one, and retries with trouble."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.label_studio.client.api import (
    AnswerLostError,
    LabelStudioApi,
    LabelStudioApiError,
    StoredPrediction,
)
from adapters.label_studio.client.credentials import Credentials
from adapters.label_studio.client.retry import RetryPolicy
from tests.support.label_studio_stub import TOKEN, Fault, LabelStudioStub, serving_label_studio

QUICK = RetryPolicy(attempts=3, first_pause_s=0.01, longest_pause_s=0.02)


@asynccontextmanager
async def connected(
    tasks: int = 0, token: str = TOKEN, on_outage: Callable[[str], None] | None = None, **fields: Any
) -> AsyncIterator[tuple[LabelStudioStub, LabelStudioApi]]:
    async with (
        serving_label_studio(tasks, **fields) as stub,
        LabelStudioApi(
            stub.url + "/", Credentials(stub.url, token), retries=QUICK, on_outage=on_outage
        ) as api,
    ):
        yield stub, api


class TestTasks:
    @pytest.mark.parametrize("page_limit", [1000, 7])
    async def test_come_from_all_pages_however_small_label_studio_makes_them(self, page_limit: int) -> None:
        async with connected(250, page_limit=page_limit) as (_, api):
            numbers = [task.id async for task in api.tasks(1)]
        assert numbers == list(range(1, 251))

    async def test_carry_their_data_and_the_model_versions_of_their_predictions(self) -> None:
        async with connected(2) as (stub, api):
            for version in ("one", "two", "two"):
                stub.add(2, version)
            first, second = [task async for task in api.tasks(1)]
        assert (first.data, first.model_versions) == ({"image": "/data/upload/1/1.jpg"}, frozenset())
        assert second.model_versions == {"one", "two"}

    async def test_of_more_versions_than_label_studio_lists_are_looked_up(self) -> None:
        names = {f"{n:03}-a-version-with-a-long-name" for n in range(30)}
        async with connected(1) as (stub, api):
            for name in sorted(names):
                stub.add(1, name)
            (task,) = [task async for task in api.tasks(1)]
        assert task.model_versions == names

    async def test_can_be_chosen_by_number_in_any_amount(self) -> None:
        async with connected(300) as (_, api):
            chosen = [task.id async for task in api.tasks(1, ids=[*range(2, 302, 2), 1000])]
        assert chosen == list(range(2, 301, 2))

    async def test_of_no_numbers_are_none(self) -> None:
        async with connected(3) as (_, api):
            assert [task async for task in api.tasks(1, ids=[])] == []

    async def test_of_a_view_have_their_versions_too(self) -> None:
        async with connected(250) as (stub, api):
            stub.add(4, "here")
            tasks = [task async for task in api.tasks(1, view=9)]
        assert [task.id for task in tasks] == list(range(2, 251, 2))
        assert [task.id for task in tasks if "here" in task.model_versions] == [4]

    async def test_that_are_deleted_between_pages_end_the_list(self) -> None:
        async with connected(250) as (stub, api):
            tasks = api.tasks(1)
            seen = [(await anext(tasks)).id for _ in range(100)]
            for task in range(90, 251):
                del stub.tasks[task]
            seen += [task.id async for task in tasks]
        assert seen == list(range(1, 101))


class TestPredictions:
    async def test_are_created_listed_and_deleted(self) -> None:
        async with connected(1) as (_, api):
            number = await api.create_prediction(1, {"model_version": "v", "score": 0.5, "result": []})
            assert await api.predictions(1) == [StoredPrediction(number, "v")]
            await api.delete_prediction(number)
            await api.delete_prediction(number)
            assert await api.predictions(1) == []

    async def test_that_label_studio_refuses_say_why(self) -> None:
        async with connected(1) as (_, api):
            with pytest.raises(LabelStudioApiError, match=r"400 \(Validation error: .*Invalid pk") as caught:
                await api.create_prediction(2, {"model_version": "v", "result": []})
        assert caught.value.status == 400
        assert not isinstance(caught.value, AnswerLostError)


class TestTrouble:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504, None])
    async def test_of_a_moment_is_waited_out(self, status: int | None) -> None:
        async with connected(1) as (stub, api):
            stub.faults.extend([Fault("GET", "/api/projects", status)] * 2)
            assert (await api.project(1)).title == "One"
        assert stub.count("GET", "/api/projects") == 3

    async def test_is_said_at_the_first_failure_once_for_each_outage(self) -> None:
        said: list[str] = []
        async with connected(1, on_outage=said.append) as (stub, api):
            stub.faults.extend([Fault("GET", "/api/projects", None)] * 2)
            await api.project(1)
            assert len(said) == 1
            stub.faults.append(Fault("GET", "/api/projects", 503))
            await api.project(1)
        assert [
            sentence.removeprefix(f"Label Studio at {stub.url} ").split(". ")[0] for sentence in said
        ] == [
            "is unreachable",
            "returns 503",
        ]
        assert "Retrying" in said[0]

    async def test_of_a_database_that_is_locked_for_a_moment_is_not_worth_a_word(self) -> None:
        said: list[str] = []
        async with connected(1, on_outage=said.append) as (stub, api):
            stub.faults.append(Fault("GET", "/api/projects", 500))
            await api.project(1)
        assert said == []

    async def test_that_lasts_is_an_error_after_so_many_attempts(self) -> None:
        async with connected(1) as (stub, api):
            stub.faults.extend([Fault("GET", "/api/projects", 502)] * 9)
            with pytest.raises(LabelStudioApiError, match=r"/api/projects/1 returns 502 \(in trouble\)"):
                await api.project(1)
        assert stub.count("GET", "/api/projects") == QUICK.attempts

    @pytest.mark.parametrize("status", [429, 503])
    async def test_by_which_nothing_was_done_lets_a_prediction_be_sent_again(self, status: int) -> None:
        async with connected(1) as (stub, api):
            stub.faults.append(Fault("POST", "/api/predictions", status, headers={"Retry-After": "0"}))
            await api.create_prediction(1, {"model_version": "v", "result": []})
        assert stub.versions() == {1: ["v"]}

    @pytest.mark.parametrize("status", [500, 502, 504, None])
    async def test_that_may_have_stored_a_prediction_sends_none_again(self, status: int | None) -> None:
        async with connected(1) as (stub, api):
            stub.faults.append(Fault("POST", "/api/predictions", status, stored=True))
            with pytest.raises(AnswerLostError):
                await api.create_prediction(1, {"model_version": "v", "result": []})
        assert stub.versions() == {1: ["v"]}

    async def test_of_a_server_that_is_not_there_says_what_to_look_at(self) -> None:
        async with connected(1) as (stub, _):
            pass
        async with LabelStudioApi(stub.url, Credentials(stub.url, TOKEN), retries=QUICK) as api:
            with pytest.raises(LabelStudioApiError, match=r"is unreachable.*LABEL_STUDIO_URL"):
                await api.project(1)

    async def test_with_the_token_is_explained_and_not_repeated(self) -> None:
        async with connected(1, token="another-token") as (stub, api):
            with pytest.raises(LabelStudioApiError, match="legacy token") as caught:
                await api.project(1)
        assert "another-token" not in str(caught.value)
        assert stub.count("GET", "/api/projects") == 1

    @pytest.mark.parametrize(
        ("status", "headers", "body", "says"),
        [
            (
                302,
                {"Location": "https://elsewhere.example/api/x?token=1"},
                "",
                "Set LABEL_STUDIO_URL to that site",
            ),
            (200, {}, "<html>a login page</html>", "is not Label Studio's API"),
            (200, {}, "[1]", "is no JSON object"),
            (403, {}, '{"detail": "no"}', "Give them access to the project"),
        ],
    )
    async def test_with_what_answers_there_is_told_apart(
        self, status: int, headers: dict[str, str], body: str, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with connected(1) as (stub, api):

            async def other(self: object, request: object) -> Any:
                from aiohttp import web

                return web.Response(status=status, headers=headers, text=body)

            monkeypatch.setattr(LabelStudioStub, "routed", other)
            with pytest.raises(LabelStudioApiError, match=re.escape(says)) as caught:
                await api.project(1)
            assert stub.count("GET", "/api/projects") == 1
        assert "token=1" not in str(caught.value)

    async def test_with_a_project_that_is_not_there_says_where_numbers_are(self) -> None:
        async with connected(1) as (stub, api):
            with pytest.raises(LabelStudioApiError, match=re.escape(f"{stub.url}/projects/7/data")):
                await api.project(7)


class TestPatience:
    def test_pauses_double_up_to_a_limit(self) -> None:
        pauses = [RetryPolicy(first_pause_s=1, longest_pause_s=8).pause_s(n, None) for n in range(6)]
        for pause, full in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
            assert 0.75 * full <= pause <= full

    @pytest.mark.parametrize(("header", "pause"), [("3", 3), (" 3 ", 3), ("9999", 30)])
    def test_retry_after_is_kept_to_within_the_limit(self, header: str, pause: float) -> None:
        assert RetryPolicy().pause_s(5, header) == pause

    def test_a_date_in_retry_after_is_no_number_of_seconds(self) -> None:
        assert RetryPolicy().pause_s(0, "Wed, 21 Oct 2026 07:28:00 GMT") <= 0.5
