"""Hostile files over HTTP: what each costs the server's memory, and another caller's small picture.

All of them, one after another and eight at once, with HOSTILE_FILES=all (`make hostile-files`; a quarter of an hour);
else those that were the worst.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from tests.service.conftest import StartServer
from tests.service.picture_server import PictureServer
from tests.service.server import Server
from tests.service.test_clips import CONFIG as CLIP_CONFIG
from tests.support import hostile_files

MEGABYTE = 10**6
MOST_BYTES = 600 * MEGABYTE
LONGEST_DELAY_S = 2.0
FILES = hostile_files.PICTURES | hostile_files.CLIPS
WORST = (
    "png_of_empty_texts",
    "jpeg_of_exif_segments",
    "gif_of_sub_blocks",
    "png_transparent",
    "mp4_of_promised_samples",
    "mp4_of_fragments",
    "matroska_of_attachments",
)
_TAILS = (number.to_bytes(4, "big") for number in itertools.count())
NAMES = list(FILES) if os.environ.get("HOSTILE_FILES") == "all" else list(WORST)


@pytest.fixture(scope="module")
def hostile_server(start_server: StartServer) -> Server:
    """A server of its own: its memory is watched."""
    return start_server(ALLOWED_IMAGE_HOSTS="127.0.0.1", TIME_BUDGET_SECONDS="60")


@dataclass
class Cost:
    """What something cost the server and its other callers."""

    bytes: int = 0
    longest_wait_s: float = 0.0
    delay_s: float = 0.0

    @property
    def is_small(self) -> bool:
        return self.bytes < MOST_BYTES and self.delay_s < LONGEST_DELAY_S


def memory(server: Server) -> int:
    """Memory of all processes; what they share counts once."""
    total = 0
    for process in server.processes():
        try:
            total += process.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total


def waited_for_small_one(server: Server, new_figure: Callable[[], str]) -> float:
    started = time.monotonic()
    (slot,) = server.predict(new_figure())
    assert slot
    return time.monotonic() - started


@contextmanager
def watched(server: Server, new_figure: Callable[[], str]) -> Generator[Cost]:
    """Watch the server's memory, and how long small pictures wait, while something is done to it."""
    cost, before, ended = Cost(), memory(server), threading.Event()

    def watch_memory() -> None:
        while not ended.wait(0.05):
            cost.bytes = max(cost.bytes, memory(server) - before)

    def ask_for_small_ones() -> None:
        while not ended.wait(0.1):
            cost.longest_wait_s = max(cost.longest_wait_s, waited_for_small_one(server, new_figure))

    threads = [threading.Thread(target=work) for work in (watch_memory, ask_for_small_ones)]
    for thread in threads:
        thread.start()
    try:
        yield cost
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def predict(server: Server, name: str, addresses: list[str]) -> list[Any]:
    if name in hostile_files.PICTURES:
        return server.predict(*addresses)
    tasks = [{"id": number, "data": {"video": at}} for number, at in enumerate(addresses, 1)]
    answer = server.ask("POST", "/predict", {"tasks": tasks, "label_config": CLIP_CONFIG}, timeout=120)
    assert answer.status == 200, answer.text
    return answer.json["results"]


@pytest.mark.promise("hostile-files-cost-little")
@pytest.mark.parametrize("name", NAMES)
def test_eight_hostile_files_at_once_cost_little_memory(
    hostile_server: Server, pictures: PictureServer, new_figure: Callable[[], str], name: str
) -> None:
    cost = cost_of(hostile_server, pictures, new_figure, name, [FILES[name]()] * 8)
    assert cost.bytes < MOST_BYTES
    assert hostile_server.ask("GET", "/livez").status == 200


@pytest.mark.timing
@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_file_costs_little_memory_and_delays_nobody(
    hostile_server: Server,
    pictures: PictureServer,
    new_figure: Callable[[], str],
    name: str,
    at_once: int,
) -> None:
    data = FILES[name]()
    cost = cost_of(hostile_server, pictures, new_figure, name, [data] * at_once)
    if not cost.is_small:  # other programs may have kept the CPUs busy: it is looked at a second time
        cost = cost_of(hostile_server, pictures, new_figure, name, [data] * at_once)
    assert cost.bytes < MOST_BYTES
    assert cost.delay_s < LONGEST_DELAY_S
    assert hostile_server.ask("GET", "/livez").status == 200


def cost_of(
    server: Server, pictures: PictureServer, new_figure: Callable[[], str], name: str, files: list[bytes]
) -> Cost:
    """Have files predicted in one request, and watch what they cost."""
    usual_s = max(waited_for_small_one(server, new_figure) for _ in range(3))
    # Each has bytes of its own behind its end: nobody remembers it.
    paths = [f"/{name}-{n}" for n in range(len(files))]
    addresses = [pictures.add(path, data + next(_TAILS)) for path, data in zip(paths, files, strict=True)]

    started = time.monotonic()
    with watched(server, new_figure) as cost:
        slots = predict(server, name, addresses)

    took_s = time.monotonic() - started
    cost.delay_s = max(0.0, cost.longest_wait_s - usual_s)
    print(
        f"\n{name:36} × {len(files)}: {took_s:5.1f} s, {cost.bytes // MEGABYTE:4} MB, small ones waited "
        f"{1000 * cost.longest_wait_s:5.0f} ms, usually {1000 * usual_s:.0f}; {sum(map(bool, slots))} answered"
    )
    for path in paths:
        del pictures.files[path]
    assert len(slots) == len(files)
    return cost
