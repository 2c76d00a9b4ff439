"""The numbers at /metrics: conventions, the stages of a task, what is found, and the processes behind them."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from adapters.concurrency.container_limits import memory_limit_bytes
from adapters.isolation.processes import IsolatedProcesses
from adapters.observability import metrics
from adapters.observability.loop_lag import event_loop_watched
from adapters.observability.processes import (
    ServerProcess,
    ServerProcesses,
    children_of,
    server_processes,
)
from adapters.observability.progress import TaskProgress, entered, following, timed_stage
from adapters.pictures.decoding.isolated import measure_here
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT, PART_RANGES, Part


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class TestStages:
    def test_a_stage_is_timed_and_noted(self) -> None:
        way, before = TaskProgress(), value("rtmlib_stage_seconds_count", stage="fetch")
        with following(way), timed_stage("fetch"):
            pass

        assert way.stage == "fetch"
        assert value("rtmlib_stage_seconds_count", stage="fetch") == before + 1

    def test_a_stage_that_fails_is_timed_and_remembered_too(self) -> None:
        way, before = TaskProgress(), value("rtmlib_stage_seconds_count", stage="pose")
        with pytest.raises(ZeroDivisionError), following(way), timed_stage("detect"), timed_stage("pose"):
            _ = 1 / 0

        assert way.stage == "pose"
        assert value("rtmlib_stage_seconds_count", stage="pose") == before + 1

    async def test_tasks_at_the_same_time_have_ways_of_their_own(self) -> None:
        async def go(stage: str) -> str:
            way = TaskProgress()
            with following(way):
                entered(stage)
                await asyncio.sleep(0.01)
                await asyncio.create_task(asyncio.sleep(0))
            return way.stage

        assert await asyncio.gather(go("fetch"), go("decode")) == ["fetch", "decode"]

    def test_before_the_first_stage_a_task_is_in_the_queue(self) -> None:
        assert TaskProgress().stage == "queue"


def person(scores: dict[Part, float]) -> Person:
    all_scores = np.zeros(KEYPOINT_COUNT, np.float32)
    for part, score in scores.items():
        all_scores[list(PART_RANGES[part])] = score
    return Person(np.zeros(4, np.float32), 0.9, np.zeros((KEYPOINT_COUNT, 2), np.float32), all_scores)


class TestPeople:
    def test_people_and_the_confidence_of_their_parts_are_counted(self) -> None:
        people = value("rtmlib_picture_people_sum"), value("rtmlib_picture_people_count")
        face = value("rtmlib_keypoint_confidence_sum", part="face")
        unseen = value("rtmlib_keypoint_confidence_bucket", part="left_hand", le="0.0")

        found = [person({Part.FACE: 0.5}), person({Part.FACE: 0.75})]
        metrics.people_found(found, in_whole_picture=True)

        assert value("rtmlib_picture_people_sum") == people[0] + 2
        assert value("rtmlib_picture_people_count") == people[1] + 1
        assert value("rtmlib_keypoint_confidence_sum", part="face") == pytest.approx(face + 1.25)
        assert value("rtmlib_keypoint_confidence_bucket", part="left_hand", le="0.0") == unseen + 2

    def test_a_picture_with_nobody_is_a_picture(self) -> None:
        before = value("rtmlib_picture_people_bucket", le="0.0")
        metrics.people_found([], in_whole_picture=True)

        assert value("rtmlib_picture_people_bucket", le="0.0") == before + 1

    def test_the_one_in_a_drawn_box_tells_nothing_about_pictures(self) -> None:
        before = value("rtmlib_picture_people_count")
        metrics.people_found([person({})], in_whole_picture=False)

        assert value("rtmlib_picture_people_count") == before

    @pytest.mark.timing
    def test_counting_a_crowd_takes_no_time_that_anybody_notices(self) -> None:
        crowd = [person({Part.BODY: 0.5})] * 100
        started = time.perf_counter()
        metrics.people_found(crowd, in_whole_picture=True)

        assert time.perf_counter() - started < 0.05


async def test_a_blocked_event_loop_is_noticed() -> None:
    slow = value("rtmlib_event_loop_lag_seconds_count") - value(
        "rtmlib_event_loop_lag_seconds_bucket", le="0.05"
    )
    async with event_loop_watched(interval_s=0.01):
        await asyncio.sleep(0.02)
        time.sleep(0.1)  # noqa: ASYNC251 - that is the fault
        await asyncio.sleep(0.02)

    after = value("rtmlib_event_loop_lag_seconds_count") - value(
        "rtmlib_event_loop_lag_seconds_bucket", le="0.05"
    )
    assert after >= slow + 1


class TestProcesses:
    def test_a_process_alone_is_the_entry(self) -> None:
        (alone,) = server_processes()

        assert alone.name == "entry"
        assert 10 * 2**20 < alone.resident_bytes < 2**36
        assert alone.started <= time.time()

    def test_when_a_process_started_stays_the_same_when_the_clock_is_set(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (before,) = server_processes()
        create_time = psutil.Process.create_time
        monkeypatch.setattr(psutil.Process, "create_time", lambda process: create_time(process) + 3600)

        (after,) = server_processes()
        assert after.started == before.started

    @pytest.mark.skipif(sys.platform != "linux", reason="the list is Linux's")
    def test_children_are_found_without_looking_at_every_process_of_the_machine(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(psutil, "pids", lambda: pytest.fail("all processes are looked at"))
        with subprocess.Popen(["sleep", "60"]) as child:
            found = children_of(psutil.Process())
            child.kill()

        assert child.pid in found

    def test_workers_of_one_kind_are_added_up(self) -> None:
        registry = CollectorRegistry()
        workers = [
            ServerProcess("pose", 10, 100),
            ServerProcess("pose", 20, 50),
            ServerProcess("entry", 5, 7),
        ]
        registry.register(ServerProcesses(lambda: workers))

        assert registry.get_sample_value("rtmlib_resident_memory_bytes", {"process": "pose"}) == 150
        assert registry.get_sample_value("rtmlib_process_start_time_seconds", {"process": "pose"}) == 20
        assert registry.get_sample_value("rtmlib_resident_memory_bytes", {"process": "entry"}) == 7

    @pytest.mark.parametrize(
        ("own", "files", "expected"),
        [
            ("0::/pod/c\n", {"pod/c/memory.max": "4096\n", "pod/memory.max": "8192\n"}, 4096),
            ("0::/pod/c\n", {"pod/c/memory.max": "max\n", "pod/memory.max": "8192\n"}, 8192),
            ("0::/\n", {"memory.max": "1024\n"}, 1024),
            ("0::/host/path\n", {"memory.max": "2048\n"}, 2048),
            ("4:memory:/docker/x\n", {"memory/docker/x/memory.limit_in_bytes": "512\n"}, 512),
        ],
    )
    def test_the_limit_is_that_of_the_control_group(
        self, own: str, files: dict[str, str], expected: int, tmp_path: Path
    ) -> None:
        root = tmp_path / "cgroup"
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        (tmp_path / "own").write_text(own)

        assert memory_limit_bytes(root, tmp_path / "own") == expected

    @pytest.mark.parametrize("content", ["max\n", "9223372036854771712\n", "nonsense"])
    def test_without_a_limit_it_is_the_memory_of_the_machine(self, content: str, tmp_path: Path) -> None:
        (tmp_path / "memory.max").write_text(content)
        (tmp_path / "own").write_text("0::/\n")

        assert memory_limit_bytes(tmp_path, tmp_path / "own") == memory_limit_bytes(
            tmp_path, tmp_path / "none"
        )
        assert 2**28 < memory_limit_bytes(tmp_path, tmp_path / "own") < 2**50


MULTIPROCESS = """
import os, sys, time
from adapters.observability import metrics
metrics.tasks_in_hand().inc(3)
metrics.tasks_total().labels(outcome="succeeded", reason="").inc(5)
if sys.argv[1] == "die":
    os.kill(os.getpid(), 9)
print(metrics.exposition().decode())
"""


def test_what_a_killed_process_had_in_hand_is_forgotten_and_what_it_did_is_not(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, "-c", MULTIPROCESS]
    killed = subprocess.run([*command, "die"], check=False, env=environment, timeout=60)
    shown = subprocess.run(
        [*command, "live"], check=True, env=environment, timeout=60, capture_output=True, text=True
    )

    assert killed.returncode == -9, "it died as a runner dies"
    assert "rtmlib_tasks_in_hand 3.0\n" in shown.stdout
    assert 'rtmlib_tasks_total{outcome="succeeded",reason=""} 10.0\n' in shown.stdout
    assert 'rtmlib_resident_memory_bytes{process="entry"}' in shown.stdout


def test_a_process_that_has_just_created_its_file_does_not_break_a_scrape(tmp_path: Path) -> None:
    (tmp_path / "counter_1.db").touch()
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-c", MULTIPROCESS, "live"],
        check=True,
        env=environment,
        timeout=60,
        capture_output=True,
        text=True,
    )

    assert 'rtmlib_tasks_total{outcome="succeeded",reason=""} 5.0\n' in shown.stdout


async def test_the_processes_that_read_hostile_files_are_among_them() -> None:
    async with (
        IsolatedProcesses() as processes,
        processes.run(measure_here, b"BM", memory_bytes=2**24, cpu_seconds=5, max_pixels=1) as channel,
    ):
        await channel.receive()
        found = {process.name: process for process in server_processes()}
    assert set(found) == {"entry", "isolated"}
    assert 2**24 < found["isolated"].resident_bytes < 2**28
