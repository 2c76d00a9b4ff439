"""Callers by the hundred, and what to compare their experience with."""

import asyncio
import http.client
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import aiohttp
import psutil

JSON = {"Content-Type": "application/json"}


@dataclass
class Outcome:
    """What callers got.

    Attributes:
        statuses: How often each status came; 0 for none at all.
        good: When the predictions came, on the monotonic clock.
        refused_after_s: The seconds that each refusal took.
        retry_after_s: The Retry-After of each refusal; 0 where it is missing.
    """

    statuses: Counter[int] = field(default_factory=Counter[int])
    good: list[float] = field(default_factory=list[float])
    refused_after_s: list[float] = field(default_factory=list[float])
    retry_after_s: list[int] = field(default_factory=list[int])

    def rate(self, since: float, until: float) -> float:
        """Predictions per second between two moments."""
        return sum(since <= moment < until for moment in self.good) / (until - since)


async def _ask(session: aiohttp.ClientSession, url: str, body: bytes, outcome: Outcome) -> None:
    started = time.monotonic()
    try:
        async with session.post(url, data=body, headers=JSON) as response:
            answer = await response.read()
    except aiohttp.ClientError:
        outcome.statuses[0] += 1
        return
    ended = time.monotonic()
    outcome.statuses[response.status] += 1
    if response.status == 200 and b'"keypointlabels"' in answer:
        outcome.good.append(ended)
    elif response.status == 503:
        outcome.refused_after_s.append(ended - started)
        outcome.retry_after_s.append(int(response.headers.get("Retry-After", 0)))


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=120)
    )


async def at_once(url: str, body: bytes, callers: int, seconds: float) -> Outcome:
    """So many callers, each of whom asks again as soon as it is answered."""
    outcome, end = Outcome(), time.monotonic() + seconds

    async def caller() -> None:
        while time.monotonic() < end:
            await _ask(session, url, body, outcome)

    async with _session() as session:
        await asyncio.gather(*(caller() for _ in range(callers)))
    return outcome


async def at_rate(url: str, body: bytes, per_second: float, seconds: float) -> Outcome:
    """Callers who come at a rate, whether those before them are answered or not; at the end, all hang up."""
    outcome, asked = Outcome(), set[asyncio.Task[None]]()
    started = time.monotonic()
    async with _session() as session:
        while (now := time.monotonic()) < started + seconds:
            while len(asked) < (now - started) * per_second:
                asked.add(asyncio.create_task(_ask(session, url, body, outcome)))
            await asyncio.sleep(0.02)
        for caller in asked:
            caller.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    return outcome


def share(values: Sequence[float], part: float) -> float:
    """The value that a part of the values do not exceed: 0.99 for the 99th percentile."""
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


class Watch:
    """Runs in a thread for as long as its `with` block runs."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        raise NotImplementedError


class Work(Watch):
    """Looks every 0.1 s at what the processors do."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        super().__init__()
        self._processes = processes
        self._looks: list[tuple[float, float]] = []  # when, and the seconds of processors up to then

    def _run(self) -> None:
        while not self._end.wait(0.1):
            used = [process.cpu_times() for process in self._processes]
            theirs = sum(times.user + times.system for times in used)
            self._looks.append((time.monotonic(), theirs + psutil.cpu_times().idle))

    def answers(self, outcome: Outcome, since: float, until: float) -> tuple[int, float]:
        """Count predictions between two moments, and the seconds of processors that the server could have had for them.

        Those are the ones that it had, and the ones that nobody had: what other programs take of a busy machine tells
        nothing about the server.
        """
        first = next(look for look in self._looks if look[0] >= since)
        last = next(look for look in reversed(self._looks) if look[0] <= until)
        return sum(first[0] <= moment < last[0] for moment in outcome.good), last[1] - first[1]


class Probes(Watch):
    """Asks for a path every 50 ms.

    Args:
        port: The server's.
        path: What is asked for.
        body: What is posted; without one, GET is asked.

    Attributes:
        seconds: How long the answers took.
    """

    def __init__(self, port: int, path: str, body: bytes | None = None) -> None:
        super().__init__()
        self._port, self._path, self._body = port, path, body
        self.seconds: list[float] = []

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._end.wait(0.05):
            started = time.perf_counter()
            if self._body is None:
                connection.request("GET", self._path)
            else:
                connection.request("POST", self._path, self._body, JSON)
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            self.seconds.append(time.perf_counter() - started)
        connection.close()
