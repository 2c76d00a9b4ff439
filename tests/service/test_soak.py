"""A long time at capacity, with mistakes and callers who hang up: neither memory nor open files grow.

SOAK_SECONDS sets how long: seconds by default, a minute in CI, half an hour by `make soak`.
"""

import contextlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import psutil
import pytest

from adapters.http.example import draw_figure
from tests.service.conftest import StartServer
from tests.service.picture_server import PictureServer
from tests.service.server import Server
from tests.service.variants import variants

SECONDS = float(os.environ.get("SOAK_SECONDS", "15"))
WARM_UP = 0.25
"""Share of the time, at most five minutes: until then pools fill, and the allocator learns what is needed."""
CALLERS = 16
MEBIBYTE = 2**20
CACHE_BYTES = 2 * MEBIBYTE
"""Full long before the warm-up ends: what a full cache holds is no leak."""
IDLE_S = 8.0
"""After which idle connections have been closed."""


@dataclass(frozen=True)
class Sample:
    """What all processes of the server hold."""

    memory: dict[str, int]
    files: dict[str, int]


def sample(server: Server) -> Sample:
    memory: dict[str, int] = {}
    files: dict[str, int] = {}
    for process in server.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            command = process.cmdline()
            worker = "--service-name" in command
            name = command[command.index("--service-name") + 1] if worker else "supervisor"
            memory[name] = process.memory_full_info().uss
            files[name] = process.num_fds()
    return Sample(memory, files)


@dataclass(frozen=True)
class Soaked:
    """Samples after the warm-up and at the end, in order; answered and failed tasks in between."""

    idle_before: Sample
    samples: list[Sample]
    idle_after: Sample
    answered: int
    pids: tuple[set[int], set[int]]


@pytest.fixture(scope="module")
def soaked(start_server: StartServer, pictures: PictureServer) -> Soaked:
    server = start_server(ALLOWED_IMAGE_HOSTS="127.0.0.1", PREDICTION_CACHE_BYTES=str(CACHE_BYTES))
    files = [variants(draw_figure().resize(size)) for size in [(320, 320), (640, 480), (1600, 1200)]]
    pids = {process.pid for process in server.processes()}
    end = threading.Event()
    answered = [0] * CALLERS

    def caller(own: int) -> None:
        number = own
        while not end.is_set():
            path = f"/soak-{own}.jpg"
            pictures.files[path] = files[number % len(files)](number)
            good = pictures.url + path
            if number // CALLERS % 10 == 7:  # one in ten fails in part, one in ten is not waited for
                server.predict(good, pictures.url + "/missing.jpg", "data:image/png;base64,AAAA")
            elif number // CALLERS % 10 == 3:
                with contextlib.suppress(TimeoutError):
                    server.ask(
                        "POST", "/predict", {"tasks": [{"id": 1, "data": {"image": good}}]}, timeout=0.05
                    )
            else:
                (slot,) = server.predict(good)
                answered[own] += bool(slot["result"])
            number += CALLERS

    started = time.monotonic()
    idle_before = sample(server)
    samples: list[Sample] = []
    with ThreadPoolExecutor(CALLERS) as callers:
        running = [callers.submit(caller, own) for own in range(CALLERS)]
        try:
            time.sleep(min(WARM_UP * SECONDS, 300))
            while time.monotonic() - started < SECONDS and not any(one.done() for one in running):
                samples.append(sample(server))
                time.sleep(max(1, SECONDS / 200))
        finally:
            end.set()
        for one in running:
            one.result(120)
    time.sleep(IDLE_S)
    result = Soaked(
        idle_before=idle_before,
        samples=samples,
        idle_after=sample(server),
        answered=sum(answered),
        pids=(pids, {process.pid for process in server.processes()}),
    )
    print(
        f"\n{SECONDS:.0f} s, {result.answered} pictures ({result.answered / SECONDS:.1f}/s); open files "
        f"{sum(idle_before.files.values())} before, {sum(result.idle_after.files.values())} after; "
        "MiB after the warm-up, in fifths of the time, by process:"
    )
    for process, fifths in memory_in_fifths(result).items():
        print("  " + "".join(f"{memory / MEBIBYTE:7.0f}" for memory in fifths) + f"  {process}")
    return result


def memory_in_fifths(soaked: Soaked) -> dict[str, list[float]]:
    """The usual memory of each process in each fifth of the time, in bytes: a leak grows in all of them."""
    fifth = max(1, len(soaked.samples) // 5)
    parts = [soaked.samples[start : start + fifth] for start in range(0, 5 * fifth, fifth)]
    return {
        process: [median(one.memory.get(process, 0) for one in part) for part in parts if part]
        for process in soaked.idle_after.memory
    }


@pytest.mark.promise("memory-does-not-grow")
@pytest.mark.timeout(SECONDS + 300)
def test_memory_grows_by_less_than_100_mb(soaked: Soaked) -> None:
    assert sum(fifths[-1] - fifths[0] for fifths in memory_in_fifths(soaked).values()) < 100 * MEBIBYTE


@pytest.mark.promise("no-open-files")
@pytest.mark.timeout(SECONDS + 300)
def test_no_file_and_no_connection_stays_open(soaked: Soaked) -> None:
    before, after = soaked.idle_before.files, soaked.idle_after.files
    assert before.keys() == after.keys()
    # A connection to each runner, and what a library opens once, may stay.
    assert all(after[process] <= before[process] + CALLERS for process in after)


@pytest.mark.timeout(SECONDS + 300)
def test_every_process_is_the_one_that_was_started(soaked: Soaked) -> None:
    assert soaked.pids[0] == soaked.pids[1]
    assert soaked.answered > 0
