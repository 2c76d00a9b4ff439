"""What the service makes of the answers of its runners, and of runners that do not answer."""

import asyncio
import pickle
from types import SimpleNamespace
from typing import Any

import aiohttp
import numpy as np
import pytest
from bentoml.exceptions import ServiceUnavailable

from runners.models.manifest import EMBEDDED
from runners.serving import services
from runners.serving.batching import Failed
from wholebody.detection import Detections
from wholebody.estimation import InferenceError

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
    detector, _ = services.assemble_runners(EMBEDDED, runner, Runner(), call_limit_s=limit_s)
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
