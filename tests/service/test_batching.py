"""Requests of many callers are put together into batches, and nobody else has to wait for them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import pytest

from tests.service.server import Server, boxes

CALLERS = 16
ROUNDS = 3
IN_COMPANY = 0.25
"""Share of the crops and calls, at least, that come in a batch with others. Lanes take in what would wait for more."""


def batches(server: Server) -> dict[str, float]:
    body = {"network": "body"}
    of_runner = {"runner_name": "pose_runner", "method_name": "body"}
    return {
        "single": server.metric("rtmlib_network_batch_size_bucket", **body, le="1.0"),
        "all": server.metric("rtmlib_network_batch_size_count", **body),
        "crops": server.metric("rtmlib_network_batch_size_sum", **body),
        "calls single": server.metric("bentoml_service_adaptive_batch_size_bucket", **of_runner, le="1.0"),
        "calls all": server.metric("bentoml_service_adaptive_batch_size_count", **of_runner),
        "calls": server.metric("bentoml_service_adaptive_batch_size_sum", **of_runner),
    }


def lags(server: Server) -> dict[str, float]:
    bucket = "rtmlib_event_loop_lag_seconds_bucket"
    return {"all": server.metric(bucket, le="+Inf"), "short": server.metric(bucket, le="0.1")}


@pytest.fixture(scope="module")
def load(server: Server, new_figure: Callable[[], str]) -> dict[str, Any]:
    """Sixteen callers, three requests each; meanwhile one who asks for /health."""

    def seconds_alone() -> float:
        took: list[float] = []
        for _ in range(7):
            figure, started = new_figure(), time.perf_counter()
            server.predict(figure)
            took.append(time.perf_counter() - started)
        return median(took)

    alone_before = seconds_alone()
    figures = [new_figure() for _ in range(CALLERS * ROUNDS)]
    before, lags_before = batches(server), lags(server)
    health: list[float] = []
    with ThreadPoolExecutor(CALLERS) as callers:
        running = [callers.submit(server.predict, figure) for figure in figures]
        while not all(one.done() for one in running):
            started = time.perf_counter()
            assert server.ask("GET", "/health").status == 200
            health.append(time.perf_counter() - started)
            time.sleep(0.02)
    after, lags_after = batches(server), lags(server)
    return {
        "slots": [one.result() for one in running],
        "health": health,
        "batches": {name: after[name] - before[name] for name in after},
        "lags": {name: lags_after[name] - lags_before[name] for name in lags_after},
        "alone": (alone_before, seconds_alone()),
    }


def test_every_caller_gets_the_person_in_their_picture(load: dict[str, Any]) -> None:
    assert len(load["slots"]) == CALLERS * ROUNDS
    assert all(len(boxes(slot["result"])) == 1 for (slot,) in load["slots"])


def test_all_get_the_same_answer_whatever_batch_they_were_in(load: dict[str, Any]) -> None:
    places = [
        [
            (region["value"]["x"], region["value"]["y"])
            for region in slot["result"]
            if region["type"] == "keypointlabels"
        ]
        for (slot,) in load["slots"]
    ]
    for one in places[1:]:
        assert len(one) == len(places[0])
        assert all(
            abs(a - b) < 0.5 for p, q in zip(one, places[0], strict=True) for a, b in zip(p, q, strict=True)
        )


def test_the_network_runs_on_the_crops_of_several_requests_at_once(load: dict[str, Any]) -> None:
    seen = load["batches"]

    assert seen["crops"] == CALLERS * ROUNDS, "one person in each picture"
    assert seen["all"] > seen["single"], "batches above 1"
    assert 1 - seen["single"] / seen["crops"] > IN_COMPANY


def test_bentoml_puts_the_calls_together(load: dict[str, Any]) -> None:
    seen = load["batches"]

    assert seen["calls"] == CALLERS * ROUNDS
    assert seen["calls all"] > seen["calls single"]
    assert 1 - seen["calls single"] / seen["calls"] > IN_COMPANY


@pytest.mark.timing
def test_health_is_answered_within_label_studios_second_meanwhile(load: dict[str, Any]) -> None:
    assert len(load["health"]) > 3
    assert max(load["health"]) < 1


@pytest.mark.timing
def test_who_comes_alone_afterwards_waits_no_longer_than_before(load: dict[str, Any]) -> None:
    before, after = load["alone"]
    assert after < 2 * before


@pytest.mark.timing
def test_the_event_loop_is_not_held_up_by_the_work(load: dict[str, Any]) -> None:
    seen = load["lags"]
    assert seen["all"] >= 8, "measured four times a second"
    assert seen["short"] >= 0.9 * seen["all"]
