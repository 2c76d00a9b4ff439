"""Ten times more work than can be done: what can be done is done, and the rest is told so at once."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from adapters.http.example import EXAMPLE_LABEL_CONFIG, draw_figure
from tests.service.conftest import StartServer
from tests.service.load import Outcome, Probes, Work, at_once, at_rate, share
from tests.service.server import Server
from tests.support.pictures import data_uri

CAPACITY_S = 9.0
WARM_S = 1.5
"""From the beginning until sixteen callers have their first answers."""
ANSWERS = 120
"""That many are awaited from the crowd, so that chance has little to say; for 15 to 45 s."""
SETTLED = 0.2
"""Share of the time after which the queue is as long as it gets."""
BURST = 6
"""Answers that come at once, after a batch: a count may be off by so many."""
LEAST_SHARE = 0.9
"""Of what is done without the crowd."""
PROBED: dict[str, bytes | None] = {
    "/health": None,
    "/versions": None,
    "/metrics": None,
    "/setup": json.dumps({"project": "1.1795417339", "schema": EXAMPLE_LABEL_CONFIG}).encode(),
}
LEAST_RATE = 40.0
"""Callers per second, so that a machine that is slow or busy sees a crowd as well."""


def one_task() -> bytes:
    return json.dumps({"tasks": [{"id": 1, "data": {"image": data_uri(draw_figure())}}]}).encode()


@dataclass
class Overload:
    """Attributes:
    capacity: Predictions per second with sixteen callers, measured before and after; the smaller.
    outcome: What the callers got who came ten times as often.
    goodput: Predictions per second meanwhile.
    usual: Predictions with sixteen callers, and the seconds of processors for them; see `Work`.
    crowded: The same in the crowd.
    answers_s: What the probes took meanwhile, by path.
    at_capacity_s: What they took with sixteen callers.
    emptied_s: From the moment when all callers hang up until nothing waits any more.
    next_s: What the next request took.
    """

    capacity: float
    outcome: Outcome
    goodput: float
    usual: tuple[int, float]
    crowded: tuple[int, float]
    answers_s: dict[str, list[float]]
    at_capacity_s: dict[str, list[float]]
    emptied_s: float
    next_s: float


@contextmanager
def probing(server: Server) -> Iterator[dict[str, list[float]]]:
    """Ask for everything that is answered from memory; yields the seconds that it took, by path."""
    with ExitStack() as probes:
        yield {
            path: probes.enter_context(Probes(server.port, path, body)).seconds
            for path, body in PROBED.items()
        }


@pytest.fixture(scope="module")
def overloaded(start_server: StartServer) -> Iterator[Server]:
    server = start_server(PREDICTION_CACHE_BYTES="0")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def overload(overloaded: Server) -> Overload:
    return overload_of(overloaded)


def overload_of(overloaded: Server) -> Overload:
    url, body = f"http://127.0.0.1:{overloaded.port}/predict", one_task()

    processes = overloaded.processes()

    def capacity() -> tuple[float, tuple[int, float]]:
        with Work(processes) as work:
            started = time.monotonic()
            outcome = asyncio.run(at_once(url, body, 16, CAPACITY_S))
        good = outcome.good
        answers = work.answers(outcome, started + WARM_S, started + CAPACITY_S)
        return (len(good) - 1) / (good[-1] - good[0]), answers

    with probing(overloaded) as at_capacity:
        before, answers_before = capacity()
    seconds = min(max(15, ANSWERS / before), 45)
    with probing(overloaded) as probed, Work(processes) as work:
        started = time.monotonic()
        outcome = asyncio.run(at_rate(url, body, max(10 * before, LEAST_RATE), seconds))
    hung_up = time.monotonic()
    wait_until_nobody_waits(overloaded)
    emptied = time.monotonic() - hung_up
    (slot,) = json.loads(overloaded.ask("POST", "/predict", body).body)["results"]
    assert slot["result"]
    answered = time.monotonic() - hung_up
    after, answers_after = capacity()
    return Overload(
        capacity=min(before, after),
        outcome=outcome,
        goodput=outcome.rate(started + SETTLED * seconds, started + seconds),
        usual=(answers_before[0] + answers_after[0], answers_before[1] + answers_after[1]),
        crowded=work.answers(outcome, started + SETTLED * seconds, started + seconds),
        answers_s=probed,
        at_capacity_s=at_capacity,
        emptied_s=emptied,
        next_s=answered - emptied,
    )


def wait_until_nobody_waits(server: Server) -> None:
    while server.ask("GET", "/status").json["tasks"]["waiting"]:
        time.sleep(0.02)


def share_that_is_done(overload: Overload) -> float:
    """What is done in the crowd, as a share of what is done without; no less than chance allows."""
    usual, crowded = (count / seconds for count, seconds in (overload.usual, overload.crowded))
    print(
        f"\n{overload.crowded} in the crowd, {overload.usual} without: {crowded / usual:.0%}; "
        f"{overload.goodput:.1f}/s in the crowd, {overload.capacity:.1f}/s without"
    )
    return crowded / usual * (1 + BURST / overload.crowded[0])


@pytest.mark.promise("throughput-under-overload")
@pytest.mark.timing
def test_nearly_as_much_is_done_as_without_the_crowd(overloaded: Server, overload: Overload) -> None:
    done = share_that_is_done(overload)
    if done <= LEAST_SHARE:  # the machine may have been slower for some seconds: once more
        done = share_that_is_done(overload_of(overloaded))
    assert done > LEAST_SHARE


@pytest.mark.promise("overload-answered-at-once")
def test_a_crowd_is_served_or_told_when_to_come_again(overloaded: Server) -> None:
    url = f"http://127.0.0.1:{overloaded.port}/predict"
    crowd = asyncio.run(at_rate(url, one_task(), 100, seconds=6))
    wait_until_nobody_waits(overloaded)

    assert crowd.statuses.keys() <= {200, 503}
    assert crowd.statuses[503] > crowd.statuses[200]
    assert all(1 <= seconds < 60 for seconds in crowd.retry_after_s)


@pytest.mark.timing
def test_who_cannot_be_served_in_time_is_told_at_once_when_to_come_again(overload: Overload) -> None:
    print(f"\nhalf of them within {share(overload.outcome.refused_after_s, 0.5) * 1000:.0f} ms")
    assert share(overload.outcome.refused_after_s, 0.5) < 0.5


@pytest.mark.promise("health-under-overload")
@pytest.mark.timing
@pytest.mark.parametrize("path", PROBED)
def test_what_is_answered_from_memory_is_answered_within_100_ms(overload: Overload, path: str) -> None:
    # Where that is more than a busy machine gives a process that works at capacity: as soon as it does then. The last
    # hundredth waits for the scheduler, and for the crowd in this very process: three to five times as long, measured
    # on a shared machine with versions old and new.
    for part, times in ((0.5, 2), (0.99, 6)):
        in_the_crowd, usual = share(overload.answers_s[path], part), share(overload.at_capacity_s[path], part)
        print(f"\n{path}: {part:.0%} within {in_the_crowd * 1000:.0f} ms, at capacity {usual * 1000:.0f} ms")
        assert in_the_crowd < max(0.1, times * usual)


@pytest.mark.promise("hang-up-leaves-queue")
@pytest.mark.timing
def test_the_work_of_callers_who_hang_up_makes_room_at_once(overload: Overload) -> None:
    print(f"\nnobody waits after {overload.emptied_s:.2f} s")
    assert overload.emptied_s < 5, "several hundred had been waiting"
    # The sixteen in hand may still be in the networks.
    assert overload.next_s < 3 + 2 * 16 / overload.capacity
