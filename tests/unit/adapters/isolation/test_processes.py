"""Work in processes of its own: it answers, and whatever it does, its caller goes on."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from adapters.isolation.processes import IsolatedProcesses, ProcessEndedError
from adapters.pictures.decoding.isolated import decode_here, measure_here
from tests.support import hostile_files
from tests.support.pictures import encoded
from tests.unit.adapters.pictures.decoding.test_decode import scene
from tests.unit.conftest import Descendants

MEBIBYTE = 2**20
BUSY = hostile_files.gif_of_sub_blocks
"""Keeps a reader busy for minutes."""


@pytest.fixture
async def processes(descendants: Descendants) -> AsyncIterator[IsolatedProcesses]:
    async with IsolatedProcesses() as opened, asyncio.timeout(60):
        yield opened


async def ended(descendants: Descendants, limit_s: float = 5) -> bool:
    """Whether no forked process is left after a while, but the server that forks them."""
    deadline = time.monotonic() + limit_s
    while len(descendants()) > 1 and time.monotonic() < deadline:  # noqa: ASYNC110 - processes set no event
        await asyncio.sleep(0.02)
    return len(descendants()) <= 1


async def measured(processes: IsolatedProcesses, data: bytes, memory_mib: int = 24, cpu_s: int = 5) -> object:
    async with processes.run(
        measure_here, data, memory_bytes=memory_mib * MEBIBYTE, cpu_seconds=cpu_s, max_pixels=10**8
    ) as channel:
        said, _ = await channel.receive()
    return said.get("width"), said.get("height"), said.get("reason")


async def test_a_function_gets_the_file_and_answers(processes: IsolatedProcesses) -> None:
    assert await measured(processes, encoded(scene(90, 60), "GIF")) == (90, 60, None)
    assert await measured(processes, b"BM") == (None, None, "broken_picture")


async def test_nothing_is_started_before_it_is_needed(descendants: Descendants) -> None:
    async with IsolatedProcesses():
        assert descendants() == []


async def test_at_the_end_no_process_is_left(descendants: Descendants) -> None:
    async with IsolatedProcesses() as processes:
        await measured(processes, encoded(scene(), "GIF"))
    assert descendants() == []


@pytest.mark.promise("unusual-files-isolated")
async def test_a_process_without_enough_memory_ends_alone(processes: IsolatedProcesses) -> None:
    large = encoded(scene(3000, 3000), "BMP")
    async with processes.run(
        decode_here, large, memory_bytes=4 * MEBIBYTE, cpu_seconds=5, max_pixels=10**8
    ) as channel:
        said, _ = await channel.receive(10**8)
    assert said["reason"] == "broken_picture", "Pillow was told the end of its memory"
    assert await measured(processes, encoded(scene(), "GIF")) == (90, 60, None)


@pytest.mark.promise("unusual-files-isolated")
async def test_the_kernel_ends_what_takes_too_much_processor_time(
    processes: IsolatedProcesses, descendants: Descendants
) -> None:
    with pytest.raises(ProcessEndedError):
        await measured(processes, BUSY(), memory_mib=200, cpu_s=1)
    assert await ended(descendants)


@pytest.mark.promise("reader-ends-with-caller")
async def test_a_process_ends_when_its_caller_gives_up(
    processes: IsolatedProcesses, descendants: Descendants
) -> None:
    data = BUSY()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await measured(processes, data, memory_mib=200, cpu_s=60)
    assert await ended(descendants)


async def test_jobs_run_side_by_side(processes: IsolatedProcesses, descendants: Descendants) -> None:
    data = BUSY()
    busy = [asyncio.create_task(measured(processes, data, memory_mib=200, cpu_s=60)) for _ in range(3)]
    await asyncio.sleep(0.5)
    assert await measured(processes, encoded(scene(), "GIF")) == (90, 60, None)
    assert not all(task.done() for task in busy)
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    assert await ended(descendants)


async def test_a_job_that_takes_longer_than_a_second_comes_after_the_others(
    processes: IsolatedProcesses, descendants: Descendants
) -> None:
    busy = asyncio.create_task(measured(processes, BUSY(), memory_mib=200, cpu_s=60))
    deadline, seen = time.monotonic() + 20, set[int]()
    while 15 not in seen and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        seen |= {process.nice() for process in descendants()}
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
    assert seen >= {5, 15}


@pytest.mark.promise("killed-reader-restarted")
async def test_a_server_that_was_killed_is_started_again(
    processes: IsolatedProcesses, descendants: Descendants
) -> None:
    assert await measured(processes, encoded(scene(), "GIF")) == (90, 60, None)
    assert await ended(descendants), "the process that measured may live a moment longer than its answer"
    (server,) = descendants()
    server.kill()
    server.wait()
    assert await measured(processes, encoded(scene(), "GIF")) == (90, 60, None)


@pytest.mark.promise("isolated-process-has-nothing")
async def test_processes_get_no_secret_and_no_connection(
    processes: IsolatedProcesses, monkeypatch: pytest.MonkeyPatch, descendants: Descendants
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_TOKEN", "secret-1")
    listener = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with listener:
        busy = asyncio.create_task(measured(processes, BUSY(), memory_mib=200, cpu_s=60))
        while len(descendants()) < 2:  # noqa: ASYNC110 - processes set no event
            await asyncio.sleep(0.02)
        for process in descendants():
            assert "LABEL_STUDIO_API_TOKEN" not in process.environ()
            assert process.net_connections("inet") == []
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)


@pytest.mark.promise("isolated-process-has-nothing")
async def test_what_a_library_writes_about_a_file_is_not_logged(
    processes: IsolatedProcesses, capfd: pytest.CaptureFixture[str]
) -> None:
    await measured(processes, hostile_files.tiff_of_warnings())
    assert capfd.readouterr().err == ""


@pytest.mark.promise("isolated-process-has-nothing")
def test_all_of_them_end_with_a_caller_that_is_killed() -> None:
    code = (
        "import asyncio, sys\n"
        "from tests.unit.adapters.isolation.test_processes import *\n"
        "async def main():\n"
        "    async with IsolatedProcesses() as processes:\n"
        "        await measured(processes, BUSY(), memory_mib=200, cpu_s=60)\n"
        "asyncio.run(main())\n"
    )
    caller = psutil.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 30
    while len(children := caller.children(recursive=True)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(children) == 2
    caller.kill()
    caller.wait()
    _, left = psutil.wait_procs(children, timeout=5)
    assert left == []
