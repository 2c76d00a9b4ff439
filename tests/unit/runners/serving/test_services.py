"""What the service makes of the answers of its runners, and of runners that do not answer."""

import asyncio
import pickle
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import numpy as np
import pytest
from bentoml.exceptions import ServiceUnavailable

from runners.config import RunnerConfig
from runners.models.manifest import EMBEDDED
from runners.plan import NetworkPlan, PlannedNetwork
from runners.serving import services
from runners.serving.batching import Failed
from wholebody.detection import Detections
from wholebody.estimation import InferenceError

PLAN = NetworkPlan(
    RunnerConfig("embedded", "cpu", 1, None),
    {name: PlannedNetwork(name, file, Path(), "", "onnxruntime", "f32") for name, file in EMBEDDED.items()},
)
PICTURE = np.zeros((40, 60, 3), np.uint8)
NOBODY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


class Runner:
    """Answers the calls one after the other as told; an exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked = 0
        self.to_async = SimpleNamespace(person=self._person)

    async def _person(self, calls: list[Any]) -> list[bytes]:
        assert len(calls) == 1
        self.asked += 1
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [pickle.dumps(answer)]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "RESTART_PAUSE_S", 0)


async def detect(runner: Runner, limit_s: float = 80) -> Detections:
    detector, _ = services.assemble_runners(
        PLAN, runner, Runner(), call_limit_s=limit_s, turn=lambda places: places
    )
    return await detector.detect(PICTURE)


async def test_an_answer_reaches_the_pipeline() -> None:
    runner = Runner([NOBODY])
    assert len((await detect(runner)).boxes) == 0
    assert runner.asked == 1


async def test_a_runner_that_is_gone_is_asked_once_more() -> None:
    runner = Runner(aiohttp.ServerDisconnectedError(), [NOBODY])
    assert len((await detect(runner)).boxes) == 0
    assert runner.asked == 2


@pytest.mark.parametrize(
    "second",
    [aiohttp.ServerDisconnectedError(), aiohttp.ClientPayloadError("broke off"), TimeoutError()],
    ids=["gone", "broken off", "too slow"],
)
async def test_a_runner_that_stays_away_fails_the_task_and_nothing_else(second: Exception) -> None:
    runner = Runner(aiohttp.ServerDisconnectedError(), second)
    with pytest.raises(InferenceError, match="runner of the person network does not answer"):
        await detect(runner)
    assert runner.asked == 2


async def test_a_runner_that_refuses_is_not_asked_again() -> None:
    runner = Runner(ServiceUnavailable("overloaded"))
    with pytest.raises(InferenceError, match="does not answer"):
        await detect(runner)
    assert runner.asked == 1


@pytest.mark.promise("inference-time-limit")
async def test_a_runner_that_never_answers_is_given_up_at_the_limit() -> None:
    async def silent(calls: list[Any]) -> list[bytes]:
        await asyncio.sleep(60)
        return []

    runner = Runner()
    runner.to_async.person = silent
    async with asyncio.timeout(5):
        with pytest.raises(InferenceError, match="does not answer"):
            await detect(runner, limit_s=0.05)


async def test_what_the_network_choked_on_is_told() -> None:
    with pytest.raises(InferenceError, match="person network failed: ValueError: too small"):
        await detect(Runner(Failed("ValueError: too small")))


async def test_a_runner_gets_few_calls_at_a_time_and_one_that_goes_first_at_once() -> None:
    runner, answering, asked = Runner(), asyncio.Event(), 0

    async def waiting(calls: list[Any]) -> list[bytes]:
        nonlocal asked
        asked += 1
        await answering.wait()
        return [pickle.dumps([NOBODY])]

    runner.to_async.person = waiting
    free = asyncio.Event()

    def turn(places: asyncio.Semaphore) -> AbstractAsyncContextManager[object]:
        return nullcontext() if free.is_set() else places

    detector, _ = services.assemble_runners(PLAN, runner, Runner(), call_limit_s=20, turn=turn)
    batch = [asyncio.create_task(detector.detect(PICTURE)) for _ in range(10)]
    async with asyncio.timeout(10):
        while asked < 2:  # noqa: ASYNC110 - the runner sets no event
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert asked == 2, "the one that is computed and the next"
    free.set()
    first = asyncio.create_task(detector.detect(PICTURE))
    async with asyncio.timeout(10):
        while asked < 3:  # noqa: ASYNC110 - the runner sets no event
            await asyncio.sleep(0.001)
    answering.set()
    await asyncio.gather(first, *batch)
    assert asked == 11
