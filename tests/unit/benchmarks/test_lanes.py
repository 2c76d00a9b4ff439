"""What the comparison writes down of the callers of a server."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from benchmarks.comparison import note
from benchmarks.comparison_page import Found
from benchmarks.gpu_use import GpuUse
from benchmarks.lanes import Lane, Seen, served_lane, watched_lane
from benchmarks.network_work import NetworkWork

IN_NETWORK_S = 0.02
OUTSIDE_S = 0.03


class Server:
    """Answers after some time, and claims that a part of it was spent in a network."""

    def __init__(self) -> None:
        self.address = ""
        self.pictures: list[str] = []
        self.fails = False
        self._registry = CollectorRegistry()
        self._seconds = Histogram("rtmlib_network_seconds", "", ["network"], registry=self._registry)
        self._sizes = Histogram(
            "rtmlib_network_batch_size", "", ["network"], buckets=(1, 2, 4), registry=self._registry
        )

    async def predict(self, request: web.Request) -> web.Response:
        self.pictures.append((await request.json())["tasks"][0]["data"]["image"])
        await asyncio.sleep(IN_NETWORK_S + OUTSIDE_S)
        self._seconds.labels(network="body").observe(IN_NETWORK_S)
        self._sizes.labels(network="body").observe(2)
        return web.json_response({"results": [[] if self.fails else [{"result": []}]]})

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), content_type="text/plain")


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    one = Server()
    app = web.Application()
    app.add_routes([web.post("/predict", one.predict), web.get("/metrics", one.metrics)])
    async with TestServer(app) as listening:
        one.address = str(listening.make_url("/")).rstrip("/")
        yield one


async def run(server: Server, seen: Seen, callers: int = 1, turns: int = 1) -> None:
    async with aiohttp.ClientSession() as session:
        lane: Lane = served_lane(session, server.address, ["a", "b"], callers, seen)
        lane = watched_lane(session, server.address, lane, seen)
        for _ in range(turns):
            await lane(0.2)


async def test_a_single_caller_waits_for_more_than_the_networks(server: Server) -> None:
    seen, found = Seen(), Found()

    await run(server, seen)
    note(found, "service (auto), 1 callers", seen)

    assert server.pictures[:3] == ["a", "b", "a"]
    assert found.outside_ms["service (auto), 1 callers"] == pytest.approx(
        1000 * (sum(seen.latencies) / len(seen.latencies) - IN_NETWORK_S), abs=0.1
    )
    assert found.outside_ms["service (auto), 1 callers"] >= 1000 * OUTSIDE_S
    assert 0.3 < found.outside_share["service (auto), 1 callers"] < 1
    assert found.batches["service (auto), 1 callers"] == {"body": {"2": len(server.pictures)}}


async def test_what_several_callers_wait_for_is_each_other_too(server: Server) -> None:
    seen, found = Seen(), Found()

    await run(server, seen, callers=3)
    note(found, "service (auto), 3 callers", seen)

    assert not found.outside_ms
    assert found.networks_busy["service (auto), 3 callers"] == pytest.approx(
        len(server.pictures) * IN_NETWORK_S / seen.seconds, abs=0.001
    )


async def test_the_turns_of_a_lane_are_taken_together_and_what_came_before_is_forgotten(
    server: Server,
) -> None:
    seen = Seen()

    await run(server, seen)
    seen.forget()
    before = len(server.pictures)
    await run(server, seen, turns=2)

    assert len(seen.latencies) == len(server.pictures) - before
    assert seen.work.batch_counts == {"body": {"2": len(server.pictures) - before}}
    assert seen.seconds >= 0.4


async def test_a_slot_without_a_prediction_ends_the_run(server: Server) -> None:
    server.fails = True

    with pytest.raises(RuntimeError, match="answered 200"):
        await run(server, Seen())


def test_of_a_peer_only_the_latency_and_the_gpu_are_known() -> None:
    found = Found()
    gpus = [GpuUse(percent=40.0), GpuUse(percent=50.0), GpuUse()]

    note(found, "peer, 1 callers", Seen([0.1, 0.3], NetworkWork(), 1.0, gpus))

    known: dict[str, Any] = {"latency_ms": {"p50": 300.0, "p99": 300.0}, "gpu_percent": 45.0}
    assert found == Found(**{name: {"peer, 1 callers": value} for name, value in known.items()})
