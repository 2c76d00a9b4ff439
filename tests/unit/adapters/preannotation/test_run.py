"""A run over a project: what lacks a prediction gets one, and only one, whatever happens on the way."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from adapters.label_studio.client.api import LabelStudioApi, LabelStudioApiError, Project, ProjectTask
from adapters.label_studio.client.credentials import Credentials
from adapters.label_studio.client.retry import RetryPolicy
from adapters.preannotation.outcome import Outcome, RunEndedError, write_report
from adapters.preannotation.progress import Rate, duration, shown
from adapters.preannotation.run import MAX_ATTEMPTS, Predict, Run, Selection, find_lacking
from adapters.preannotation.shard import Shard
from adapters.preannotation.storing import PredictionStore
from adapters.prediction.outcome import Failure
from tests.support.label_studio_stub import TOKEN, Fault, LabelStudioStub, serving_label_studio

QUICK = RetryPolicy(attempts=3, first_pause_s=0.01, longest_pause_s=0.02)
VERSION = "rtmlib-embedded-01234567"
PREDICTION = {"model_version": VERSION, "score": 0.5, "result": []}
PROJECT = Project(1, "One", "<View/>")


@asynccontextmanager
async def connected(tasks: int) -> AsyncIterator[tuple[LabelStudioStub, LabelStudioApi]]:
    async with (
        serving_label_studio(tasks) as stub,
        LabelStudioApi(stub.url, Credentials(stub.url, TOKEN), retries=QUICK) as api,
    ):
        yield stub, api


async def predicted(_: Project, task: ProjectTask) -> dict[str, Any]:
    await asyncio.sleep(0)
    return PREDICTION


async def preannotated(
    api: LabelStudioApi,
    predict: Predict = predicted,
    selection: Selection | None = None,
    at_once: int = 4,
    *,
    begun: Callable[[Run], None] = lambda run: None,
    rate_limited: RetryPolicy = QUICK,
) -> Outcome:
    outcome = Outcome()
    lacking = await find_lacking(api, PROJECT, selection or Selection(), VERSION, outcome)
    run = Run(
        api=api,
        project=PROJECT,
        model_version=VERSION,
        predict=predict,
        at_once=at_once,
        outcome=outcome,
        rate_limited=rate_limited,
    )
    begun(run)
    await run.work(lacking)
    return outcome


class TestWork:
    async def test_every_task_that_lacks_one_gets_one(self) -> None:
        async with connected(60) as (stub, api):
            stub.add(3, VERSION)
            stub.add(4, "an-older-version")
            outcome = await preannotated(api)
        assert {task: found.count(VERSION) for task, found in stub.versions().items()} == dict.fromkeys(
            range(1, 61), 1
        )
        assert (outcome.chosen, outcome.had, outcome.created, outcome.left) == (60, 1, 59, 0)

    async def test_a_second_run_does_nothing(self) -> None:
        async with connected(30) as (stub, api):
            await preannotated(api)
            posts = stub.count("POST", "")
            outcome = await preannotated(api)
        assert stub.count("POST", "") == posts
        assert (outcome.had, outcome.created) == (30, 0)

    async def test_no_more_tasks_are_in_hand_than_was_said(self) -> None:
        in_hand, most = 0, 0

        async def predict(project: Project, task: ProjectTask) -> dict[str, Any]:
            nonlocal in_hand, most
            in_hand += 1
            most = max(most, in_hand)
            await asyncio.sleep(0.002)
            in_hand -= 1
            return PREDICTION

        async with connected(40) as (_, api):
            await preannotated(api, predict, at_once=3)
        assert most == 3

    async def test_a_task_that_fails_is_named_and_the_others_are_done(self) -> None:
        async def predict(project: Project, task: ProjectTask) -> dict[str, Any] | Failure:
            if task.id == 5:
                return Failure(5, "not_found", "There is no picture.")
            return PREDICTION

        async with connected(10) as (stub, api):
            outcome = await preannotated(api, predict)
        assert outcome.failures == [Failure(5, "not_found", "There is no picture.")]
        assert [task for task, found in stub.versions().items() if not found] == [5]

    async def test_a_prediction_that_label_studio_refuses_fails_its_task_only(self) -> None:
        async with connected(10) as (stub, api):
            stub.faults.append(Fault("POST", "/api/predictions", 400))
            outcome = await preannotated(api)
        (failure,) = outcome.failures
        assert failure.reason == "not_stored"
        assert "400 (in trouble)" in failure.detail
        assert outcome.created == 9

    async def test_tasks_deleted_or_predicted_meanwhile_are_left_alone(self) -> None:
        async with connected(30) as (stub, api):

            async def predict(project: Project, task: ProjectTask) -> dict[str, Any]:
                if task.id == 1:
                    del stub.tasks[30]
                    stub.add(29, VERSION)
                return PREDICTION

            outcome = await preannotated(api, predict, at_once=1)
        assert (outcome.created, outcome.gone, outcome.overtaken, outcome.left) == (28, 1, 1, 0)
        assert stub.versions()[29] == [VERSION]
        assert stub.count("POST", "") == 28


class TestOutOfTime:
    """A task that was not done in the time of one request."""

    @staticmethod
    async def outcome_of(*failures: Failure) -> tuple[Outcome, int]:
        """Of one task that fails so, one time after the other; and how often it was predicted."""
        left, asked = list(failures), 0

        async def predict(project: Project, task: ProjectTask) -> dict[str, Any] | Failure:
            nonlocal asked
            asked += 1
            if left:
                return left.pop(0)
            return PREDICTION

        async with connected(1) as (_, api):
            return await preannotated(api, predict), asked

    @staticmethod
    def frames(done: int) -> Failure:
        return Failure(1, "time_budget", "not done within 90 s", done)

    async def test_is_asked_again_as_long_as_frames_get_done(self) -> None:
        outcome, asked = await self.outcome_of(*(self.frames(100 * n) for n in range(1, 6)))
        assert (outcome.created, outcome.failures, asked) == (1, [], 6)

    async def test_is_asked_again_for_a_clip_that_did_not_have_its_turn(self) -> None:
        outcome, asked = await self.outcome_of(*[Failure(1, "time_budget", "not done within 90 s")] * 4)
        assert (outcome.created, asked) == (1, 5)

    async def test_fails_after_so_many_times(self) -> None:
        outcome, asked = await self.outcome_of(*(self.frames(n) for n in range(1, 30)))
        assert [failure.reason for failure in outcome.failures] == ["time_budget"]
        assert asked == MAX_ATTEMPTS

    async def test_fails_sooner_where_no_frame_is_kept(self) -> None:
        outcome, asked = await self.outcome_of(*[self.frames(100)] * 30)
        assert (len(outcome.failures), asked) == (1, 4)

    async def test_any_other_failure_is_final(self) -> None:
        outcome, asked = await self.outcome_of(Failure(1, "not_found", "There is no picture."))
        assert (len(outcome.failures), asked) == (1, 1)

    async def test_is_left_for_the_next_run_when_this_one_is_stopped(self) -> None:
        runs: list[Run] = []

        async def predict(project: Project, task: ProjectTask) -> dict[str, Any] | Failure:
            runs[0].stop()
            return self.frames(100)

        async with connected(1) as (_, api):
            outcome = await preannotated(api, predict, begun=runs.append)
        assert (outcome.failures, outcome.left) == ([], 1)


class TestRateLimited:
    """A task whose picture server is rate limited is repeated after pauses."""

    @staticmethod
    def limited(task: ProjectTask) -> Failure:
        return Failure(task.id, "rate_limited", "Retry later.")

    @pytest.mark.promise("rate-limits-waited-for")
    async def test_is_repeated_until_the_server_answers(self) -> None:
        asked: list[int] = []

        async def predict(_: Project, task: ProjectTask) -> dict[str, Any] | Failure:
            asked.append(task.id)
            return PREDICTION if len(asked) == 3 else self.limited(task)

        async with connected(1) as (_, api):
            outcome = await preannotated(api, predict)
        assert (outcome.created, asked) == (1, [1, 1, 1])

    async def test_fails_after_so_many_times(self) -> None:
        asked: list[int] = []

        async def predict(_: Project, task: ProjectTask) -> Failure:
            asked.append(task.id)
            return self.limited(task)

        async with connected(1) as (_, api):
            outcome = await preannotated(api, predict)
        assert [failure.reason for failure in outcome.failures] == ["rate_limited"]
        assert len(asked) == QUICK.attempts

    async def test_a_pause_ends_when_the_run_is_stopped(self) -> None:
        asked: list[int] = []

        async def predict(_: Project, task: ProjectTask) -> Failure:
            asked.append(task.id)
            asyncio.get_running_loop().call_later(0.05, runs[0].stop)
            return self.limited(task)

        runs: list[Run] = []
        forever = RetryPolicy(attempts=9, first_pause_s=3600, longest_pause_s=3600)
        async with asyncio.timeout(30), connected(1) as (_, api):
            outcome = await preannotated(api, predict, begun=runs.append, rate_limited=forever)
        assert (asked, outcome.failures, outcome.left) == ([1], [], 1)


class TestEnd:
    async def test_a_stopped_run_finishes_what_is_in_hand_and_the_next_one_goes_on(self) -> None:
        async with connected(50) as (stub, api):
            runs: list[Run] = []

            async def predict(project: Project, task: ProjectTask) -> dict[str, Any]:
                if task.id == 10:
                    runs[0].stop()
                await asyncio.sleep(0.002)
                return PREDICTION

            first = await preannotated(api, predict, begun=runs.append)
            assert 10 <= first.created <= 13
            assert first.created == sum(len(found) for found in stub.versions().values())
            assert first.left == 50 - first.created
            second = await preannotated(api)
        assert second.had == first.created
        assert set(map(len, stub.versions().values())) == {1}

    @pytest.mark.parametrize("when", range(0, 40, 5))
    async def test_a_run_that_is_killed_anywhere_leaves_no_task_with_two(self, when: int) -> None:
        async with connected(12) as (stub, api):
            killed = asyncio.create_task(preannotated(api))
            while len(stub.requests) < when and not killed.done():  # noqa: ASYNC110 - counts requests
                await asyncio.sleep(0)
            killed.cancel()
            await asyncio.wait([killed])
            await asyncio.sleep(0.01)  # what was sent arrives
            await preannotated(api)
        assert stub.versions() == {task: [VERSION] for task in range(1, 13)}

    async def test_what_no_task_would_survive_ends_the_run(self) -> None:
        async def predict(project: Project, task: ProjectTask) -> dict[str, Any]:
            if task.id == 3:
                raise RunEndedError("The backend is away.")
            return PREDICTION

        async with connected(40) as (stub, api):
            with pytest.raises(RunEndedError, match="away"):
                await preannotated(api, predict, at_once=2)
        assert sum(map(len, stub.versions().values())) < 10

    async def test_label_studio_away_for_good_ends_the_run(self) -> None:
        async with connected(40) as (stub, api):
            stub.faults.extend([Fault("POST", "/api/predictions", 503)] * 1000)
            with pytest.raises(LabelStudioApiError, match="503"):
                await preannotated(api)
        assert stub.count("POST", "") <= 4 * QUICK.attempts


class TestSelection:
    async def test_of_numbers_names_those_that_are_not_there(self) -> None:
        async with connected(5) as (stub, api):
            outcome = await preannotated(api, selection=Selection(ids=(2, 99)))
        assert [task for task, found in stub.versions().items() if found] == [2]
        assert outcome.failures == [Failure(99, "no_task", "Project 1 has no task 99.")]
        assert (outcome.chosen, outcome.left) == (2, 0)

    async def test_of_a_view_leaves_the_others_alone(self) -> None:
        async with connected(6) as (stub, api):
            await preannotated(api, selection=Selection(view=7))
        assert [task for task, found in stub.versions().items() if found] == [2, 4, 6]

    async def test_of_shards_is_everything_once(self) -> None:
        async with connected(50) as (stub, api):
            runs = [preannotated(api, selection=Selection(shard=Shard(index, 3))) for index in range(3)]
            outcomes = await asyncio.gather(*runs)
        assert set(map(len, stub.versions().values())) == {1}
        assert [outcome.chosen for outcome in outcomes] == [16, 17, 17]
        assert [outcome.overtaken for outcome in outcomes] == [0, 0, 0]


class TestTwoRunsAtTheSameTime:
    async def test_leave_one_prediction_each(self) -> None:
        async def predict(project: Project, task: ProjectTask) -> dict[str, Any]:
            await asyncio.sleep(0.001)
            return PREDICTION

        async with connected(60) as (stub, api):
            first, second = await asyncio.gather(preannotated(api, predict), preannotated(api, predict))
        assert set(map(len, stub.versions().values())) == {1}
        assert first.created + second.created == 60

    async def test_the_later_of_two_gives_way(self) -> None:
        async with connected(1) as (stub, api):
            stub.before_storing = lambda task: None if stub.predictions else stub.add(task, VERSION) and None
            ours = await PredictionStore(api, VERSION, QUICK).add(1, PREDICTION)
        assert not ours
        assert list(stub.predictions) == [1]

    async def test_the_earlier_of_two_stays(self) -> None:
        async with connected(1) as (stub, api):
            store = PredictionStore(api, VERSION, QUICK)
            create = api.create_prediction

            async def overtaken(task: int, prediction: Any) -> int:
                number = await create(task, prediction)
                stub.add(task, VERSION)  # by another run, which will take it away again
                return number

            api.create_prediction = overtaken  # type: ignore[method-assign]
            assert await store.add(1, PREDICTION)
        assert list(stub.predictions) == [1, 2]

    async def test_predictions_of_other_versions_are_nobodys_business(self) -> None:
        async with connected(1) as (stub, api):
            stub.add(1, "an-older-version")
            assert await PredictionStore(api, VERSION, QUICK).add(1, PREDICTION)
        assert stub.versions() == {1: ["an-older-version", VERSION]}


class TestLostAnswers:
    @pytest.mark.parametrize("stored", [True, False])
    @pytest.mark.parametrize("status", [500, 502, 504, None])
    async def test_are_looked_for_before_it_is_sent_again(self, status: int | None, stored: bool) -> None:
        async with connected(1) as (stub, api):
            stub.faults.append(Fault("POST", "/api/predictions", status, stored))
            assert await PredictionStore(api, VERSION, QUICK).add(1, PREDICTION)
        assert stub.versions() == {1: [VERSION]}
        assert stub.count("POST", "") == (1 if stored else 2)

    async def test_again_and_again_are_an_error(self) -> None:
        async with connected(1) as (stub, api):
            stub.faults.extend([Fault("POST", "/api/predictions", 500)] * 9)
            with pytest.raises(LabelStudioApiError, match="500"):
                await PredictionStore(api, VERSION, QUICK).add(1, PREDICTION)
        assert stub.count("POST", "") == QUICK.attempts

    async def test_that_arrive_late_are_found_at_the_end(self) -> None:
        async with connected(1) as (stub, api):
            stub.faults.append(Fault("POST", "/api/predictions", 504))
            store = PredictionStore(api, VERSION, QUICK)
            await store.add(1, PREDICTION)
            stub.add(1, VERSION)  # what the gateway had given up on
            await store.settle()
        assert list(stub.predictions) == [1]

    @pytest.mark.parametrize("through", [True, False], ids=["that was through", "that could not go on"])
    async def test_that_arrive_late_are_found_at_the_end_of_a_run(self, through: bool) -> None:
        async with connected(2) as (stub, api):
            stub.faults.append(Fault("POST", "/api/predictions", 504))

            async def predict(project: Project, task: ProjectTask) -> dict[str, Any]:
                if task.id == 2:
                    stub.add(1, VERSION)  # what the gateway had given up on
                    if not through:
                        raise RunEndedError("The backend is away.")
                return PREDICTION

            with nullcontext() if through else pytest.raises(RunEndedError):
                await preannotated(api, predict, at_once=1)
        assert stub.versions()[1] == [VERSION]


class TestShard:
    @pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "1/0", "a/b", "1/4/5", "0.5/2", "1 / 2"])
    def test_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="shard"):
            Shard.parse(text)

    def test_every_task_belongs_to_exactly_one(self) -> None:
        shards = [Shard.parse(f"{index}/7") for index in range(7)]
        assert {sum(shard.has(task) for shard in shards) for task in range(1000)} == {1}


class TestReport:
    def test_says_what_was_asked_and_what_failed(self, tmp_path: Path) -> None:
        outcome = Outcome(
            chosen=5, had=1, created=2, failures=[Failure(9, "timeout", "é"), Failure(2, "timeout", "")]
        )
        write_report(tmp_path / "report.json", {"project": 1}, outcome)

        said = json.loads((tmp_path / "report.json").read_text("utf-8"))
        assert (said["project"], said["tasks"], said["failed"], said["left"]) == (1, 5, 2, 0)
        assert [failure["task"] for failure in said["failures"]] == [2, 9]
        assert [file.name for file in tmp_path.iterdir()] == ["report.json"]

    def test_the_most_frequent_reason_comes_first(self) -> None:
        reasons = ["timeout", "not_found", "not_found"]
        outcome = Outcome(failures=[Failure(n, reason, "") for n, reason in enumerate(reasons)])
        assert {reason: len(found) for reason, found in outcome.by_reason().items()} == {
            "not_found": 2,
            "timeout": 1,
        }
        assert next(iter(outcome.by_reason())) == "not_found"


class TestProgress:
    @pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "log"])
    async def test_shows_the_counts_and_each_failure_once(self, terminal: bool) -> None:
        written = io.StringIO()
        outcome = Outcome(chosen=10, had=4)
        async with shown(outcome, Console(file=written, force_terminal=terminal, width=120)):
            await asyncio.sleep(0.1)
            outcome.failures.append(Failure(7, "timeout", "[red] is no markup here"))
            await asyncio.sleep(1.2)
        assert "4 of 10 tasks done, 0 failed" in written.getvalue()
        assert written.getvalue().count("task 7 failed (timeout): [red] is no markup here") == 1
        assert ("5 of 10 tasks done, 1 failed" in written.getvalue()) == terminal, (
            "a log gets a line now and then"
        )

    def test_the_rate_is_that_of_the_last_minute(self) -> None:
        rate = Rate()
        rates = [rate.per_second(finished, now) for now, finished in ((0, 0), (10, 20), (100, 20), (130, 80))]
        assert rates == [0, 2, pytest.approx(0, abs=0.3), pytest.approx(2, abs=0.3)]

    @pytest.mark.parametrize(
        ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7300, "2 h 1 min")]
    )
    def test_durations_are_words(self, seconds: float, words: str) -> None:
        assert duration(seconds) == words
