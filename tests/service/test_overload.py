"""Ten times more work than can be done: what can be done is done, and the rest is told so at once."""

import asyncio
import base64
import io
import json
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from adapters.http.example import draw_figure
from tests.service.conftest import StartServer
from tests.service.load import Outcome, Probes, at_once, at_rate, plain_server, share
from tests.service.server import Server

CAPACITY_S = 6.0
OVERLOAD_S = 12.0
SETTLED_S = 4.0
"""By then the queue is as long as it gets."""
LEAST_RATE = 40.0
"""Callers per second, so that a machine that is slow or busy sees a crowd as well."""


def one_task() -> bytes:
    file = io.BytesIO()
    draw_figure().save(file, "PNG")
    picture = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return json.dumps({"tasks": [{"id": 1, "data": {"image": picture}}]}).encode()


@dataclass
class Overload:
    """Attributes:
    capacity: Predictions per second with sixteen callers, measured before and after; the smaller.
    outcome: What the callers got who came ten times as often.
    goodput: Predictions per second meanwhile.
    answers_s: What GET requests took meanwhile, by path; "plain" are those of a process that does nothing else.
    emptied_s: From the moment when all callers hang up until nothing waits any more.
    next_s: What the next request took.
    """

    capacity: float
    outcome: Outcome
    goodput: float
    answers_s: dict[str, list[float]]
    emptied_s: float
    next_s: float


@pytest.fixture(scope="module")
def overloaded(start_server: StartServer) -> Iterator[Server]:
    server = start_server(PREDICTION_CACHE_BYTES="0")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def overload(overloaded: Server) -> Overload:
    url, body = f"http://127.0.0.1:{overloaded.port}/predict", one_task()

    def capacity() -> float:
        good = asyncio.run(at_once(url, body, 16, CAPACITY_S)).good
        return (len(good) - 1) / (good[-1] - good[0])

    before = capacity()
    with ExitStack() as during:
        plain = during.enter_context(plain_server())
        probes = {
            path: during.enter_context(Probes(overloaded.port, path))
            for path in ("/health", "/versions", "/metrics")
        }
        probes["plain"] = during.enter_context(Probes(plain, "/"))
        started = time.monotonic()
        outcome = asyncio.run(at_rate(url, body, max(10 * before, LEAST_RATE), OVERLOAD_S))
    hung_up = time.monotonic()
    while overloaded.ask("GET", "/status").json["tasks"]["waiting"]:
        assert time.monotonic() - hung_up < 30
        time.sleep(0.02)
    emptied = time.monotonic() - hung_up
    (slot,) = json.loads(overloaded.ask("POST", "/predict", body).body)["results"]
    assert slot["result"]
    answered = time.monotonic() - hung_up
    return Overload(
        capacity=min(before, capacity()),
        outcome=outcome,
        goodput=outcome.rate(started + SETTLED_S, started + OVERLOAD_S),
        answers_s={path: probe.seconds for path, probe in probes.items()},
        emptied_s=emptied,
        next_s=answered - emptied,
    )


def test_nearly_as_much_is_done_as_without_the_crowd(overload: Overload) -> None:
    seconds = OVERLOAD_S - SETTLED_S
    by_chance = 2 * math.sqrt(overload.goodput * seconds) / seconds  # of a count of some dozens
    assert overload.goodput + by_chance > 0.9 * overload.capacity


def test_who_cannot_be_served_in_time_is_told_at_once_when_to_come_again(overload: Overload) -> None:
    assert overload.outcome.statuses.keys() <= {200, 503}
    assert overload.outcome.statuses[503] > overload.outcome.statuses[200]
    assert all(1 <= seconds < 60 for seconds in overload.outcome.retry_after_s)
    assert share(overload.outcome.refused_after_s, 0.5) < 0.5


@pytest.mark.parametrize("path", ["/health", "/versions", "/metrics"])
def test_what_is_answered_from_memory_is_answered_within_100_ms(overload: Overload, path: str) -> None:
    # Or within a few times what the machine, busy with callers and networks, lets any process wait for a CPU.
    machine = share(overload.answers_s["plain"], 0.99)
    assert share(overload.answers_s[path], 0.5) < 0.1 + machine
    assert share(overload.answers_s[path], 0.99) < 0.1 + 4 * machine


def test_the_work_of_callers_who_hang_up_makes_room_at_once(overload: Overload) -> None:
    assert overload.emptied_s < 5, "several hundred had been waiting"
    # The sixteen in hand may still be in the networks.
    assert overload.next_s < 3 + 2 * 16 / overload.capacity
