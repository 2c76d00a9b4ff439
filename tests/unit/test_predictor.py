"""From the tasks of a request to their predictions: together, in order, and failing one by one."""

import asyncio
import base64
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from adapters.admission import Admission
from adapters.label_studio.label_config_template import Selection, label_config_template
from adapters.label_studio.label_config_tree import LabelConfigError
from adapters.label_studio.predictions import Thresholds
from adapters.label_studio.schemas import PredictRequest
from adapters.pictures.source import PictureLimits, PictureSource
from adapters.predictor import TASKS_IN_HAND, TASKS_IN_HAND_PER_REQUEST, Predictor
from adapters.status import Status
from wholebody.estimation import NetworkError
from wholebody.person import Person

Picture = NDArray[np.uint8]
FindPeople = Callable[[Picture, NDArray[np.float32] | None], Awaitable[list[Person]]]

CONFIG = label_config_template([Selection.BODY])
VERSION = "rtmlib-test-1a2b3c4d"
MAX_PIXELS = 10_000


def picture(width: int = 40, height: int = 20, colour: tuple[int, int, int] = (255, 0, 0)) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def person(x: float = 10, score: float = 0.9) -> Person:
    return Person(
        box=np.array([x, 2, x + 10, 18], np.float32),
        box_score=0.8,
        keypoints=np.full((133, 2), [x + 5, 10], np.float32),
        scores=np.full(133, score, np.float32),
    )


async def one_person(_: Picture, __: NDArray[np.float32] | None) -> list[Person]:
    return [person()]


@asynccontextmanager
async def predicting(find: FindPeople = one_person) -> AsyncIterator[tuple[Predictor, Status]]:
    status = Status(mode="test", device="cpu", model_version=VERSION)
    source = PictureSource(
        label_studio_url=None,
        credentials=None,
        allowed_hosts=(),
        local_files_root=None,
        limits=PictureLimits(max_bytes=100_000, max_pixels=MAX_PIXELS),
    )
    async with source as pictures, asyncio.timeout(20):
        yield (
            Predictor(
                pictures=pictures,
                find_people=find,
                max_pixels=MAX_PIXELS,
                thresholds=Thresholds(person=0.0, keypoint=0.3),
                admission=Admission(TASKS_IN_HAND),
                status=status,
            ),
            status,
        )


def request(*pictures: str, label_config: str | None = CONFIG, drawn: Any = None) -> PredictRequest:
    return PredictRequest.model_validate(
        {
            "tasks": [{"id": number, "data": {"image": at}} for number, at in enumerate(pictures, 1)],
            "project": "7.1",
            "label_config": label_config,
            "params": {"context": {"result": drawn} if drawn else None},
        }
    )


def reasons(status: Status) -> dict[Any, str]:
    return {failure["task"]: failure["reason"] for failure in status.as_dict()["last_failures"]}


async def test_every_task_has_its_slot_in_the_order_of_the_tasks() -> None:
    async def find(seen: Picture, _: NDArray[np.float32] | None) -> list[Person]:
        await asyncio.sleep(0.05 if seen.shape[1] == 40 else 0)  # the first is done last
        return [person(x=float(seen.shape[1]) / 4)]

    async with predicting(find) as (predictor, _):
        slots = await predictor.predict(request(picture(40), picture(50), picture(60)))

    assert [slot["result"][0]["original_width"] for slot in slots if isinstance(slot, dict)] == [40, 50, 60]
    assert {slot["model_version"] for slot in slots if isinstance(slot, dict)} == {VERSION}


async def test_the_networks_get_the_picture_in_bgr_uint8() -> None:
    seen: list[Picture] = []

    async def find(given: Picture, boxes: NDArray[np.float32] | None) -> list[Person]:
        assert boxes is None
        seen.append(given)
        return []

    async with predicting(find) as (predictor, _):
        await predictor.predict(request(picture(40, 20, (255, 128, 0))))

    assert (seen[0].dtype, seen[0].shape) == (np.uint8, (20, 40, 3))
    assert seen[0][0, 0].tolist() == [0, 128, 255]


async def test_nobody_in_the_picture_is_an_empty_result_and_no_failure() -> None:
    async def nobody(_: Picture, __: NDArray[np.float32] | None) -> list[Person]:
        return []

    async with predicting(nobody) as (predictor, status):
        (slot,) = await predictor.predict(request(picture()))

    assert slot == {"model_version": VERSION, "score": 0.0, "result": []}
    assert status.as_dict()["tasks"]["succeeded"] == 1


async def test_no_tasks_are_no_slots() -> None:
    async with predicting() as (predictor, _):
        assert await predictor.predict(request()) == []


async def test_without_a_label_config_all_keypoints_are_sent() -> None:
    async with predicting() as (predictor, _):
        (slot,) = await predictor.predict(request(picture(), label_config=None))

    assert isinstance(slot, dict)
    assert len(slot["result"]) == 1 + 133


async def test_a_label_config_that_cannot_be_read_is_the_requests_error() -> None:
    async with predicting() as (predictor, status):
        with pytest.raises(LabelConfigError):
            await predictor.predict(request(picture(), label_config="no XML"))

    assert status.as_dict()["tasks"]["failed"] == 0


class TestFailures:
    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            ("", "no_picture"),
            ("data:image/png;base64,bm8gcGljdHVyZQ==", "not_a_picture"),
            (picture()[:-40], "broken_picture"),
            (picture(101, 100), "too_many_pixels"),
            ("http://127.0.0.1/a.png", "refused"),
            ("nonsense", "bad_address"),
        ],
    )
    async def test_a_bad_picture_fails_its_own_slot_alone(self, bad: str, reason: str) -> None:
        async with predicting() as (predictor, status):
            slots = await predictor.predict(request(picture(), bad, picture()))

        assert slots[1] == []
        assert all(isinstance(slot, dict) and slot["result"] for slot in (slots[0], slots[2]))
        assert reasons(status) == {2: reason}
        tasks = status.as_dict()["tasks"]
        assert {"waiting": 0, "in_hand": 0, "succeeded": 2, "failed": 1}.items() <= tasks.items()

    @pytest.mark.parametrize(
        ("error", "reason"),
        [(NetworkError("The body network failed."), "network"), (KeyError("x"), "internal")],
    )
    async def test_a_failing_network_and_a_surprise_cost_one_slot_too(
        self, error: Exception, reason: str
    ) -> None:
        async def find(seen: Picture, boxes: NDArray[np.float32] | None) -> list[Person]:
            if seen.shape[1] == 50:
                raise error
            return [person()]

        async with predicting(find) as (predictor, status):
            slots = await predictor.predict(request(picture(40), picture(50)))

        assert isinstance(slots[0], dict)
        assert slots[1] == []
        assert reasons(status) == {2: reason}

    async def test_the_log_names_task_project_and_reason(self, caplog: pytest.LogCaptureFixture) -> None:
        async with predicting() as (predictor, _):
            with caplog.at_level(logging.WARNING, "adapters.predictor"):
                await predictor.predict(request("", picture()))

        (line,) = caplog.messages
        assert line.startswith("task=1 project=7.1 failed reason=no_picture: ")

    async def test_a_label_config_without_anything_of_ours_fails_every_task_and_says_what_to_add(
        self,
    ) -> None:
        async with predicting() as (predictor, status):
            slots = await predictor.predict(request(picture(), picture(), label_config="<View/>"))

        assert slots == [[], []]
        (first, _) = status.as_dict()["last_failures"]
        assert first["reason"] == "label_config"
        assert '<Image name="image" value="$image"/>' in first["detail"]


class TestTime:
    async def test_what_is_not_done_in_time_fails_and_the_rest_is_answered(self) -> None:
        cancelled: list[int] = []

        async def find(seen: Picture, _: NDArray[np.float32] | None) -> list[Person]:
            if seen.shape[1] == 50:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    cancelled.append(seen.shape[1])
                    raise
            return [person()]

        async with predicting(find) as (predictor, status):
            slots = await predictor.predict(request(picture(40), picture(50)), time_budget_s=0.5)

        assert isinstance(slots[0], dict)
        assert slots[1] == []
        assert reasons(status) == {2: "time_budget"}
        assert cancelled == [50], "nobody works on for it"

    async def test_a_caller_who_goes_away_takes_their_work_along(self) -> None:
        started, cancelled = asyncio.Event(), asyncio.Event()

        async def find(_: Picture, __: NDArray[np.float32] | None) -> list[Person]:
            started.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise
            return []

        async with predicting(find) as (predictor, status):
            asked = asyncio.create_task(predictor.predict(request(*[picture()] * 30)))
            await started.wait()
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            await cancelled.wait()
            await asyncio.sleep(0.05)
            tasks = status.as_dict()["tasks"]

        assert (tasks["waiting"], tasks["in_hand"]) == (0, 0)

    async def test_a_batch_leaves_room_for_an_annotator(self) -> None:
        """The whole selection of a project in one request, and one who opens a task meanwhile."""
        release, crowded, crowd = asyncio.Event(), asyncio.Event(), []

        async def find(seen: Picture, _: NDArray[np.float32] | None) -> list[Person]:
            if seen.shape[1] == 40:
                crowd.append(seen)
                if len(crowd) == TASKS_IN_HAND_PER_REQUEST:
                    crowded.set()
                await release.wait()
            return [person()]

        async with predicting(find) as (predictor, status):
            batch = asyncio.create_task(predictor.predict(request(*[picture(40)] * 60)))
            await crowded.wait()
            await asyncio.sleep(0.05)  # in which one more could come
            assert len(crowd) == TASKS_IN_HAND_PER_REQUEST
            assert status.as_dict()["tasks"]["in_hand"] == TASKS_IN_HAND_PER_REQUEST
            assert status.as_dict()["tasks"]["waiting"] == 60 - TASKS_IN_HAND_PER_REQUEST

            (slot,) = await predictor.predict(request(picture(50)))
            assert isinstance(slot, dict)
            assert not batch.done()
            release.set()
            assert len(await batch) == 60

    async def test_no_more_tasks_than_the_limit_are_in_hand_over_all_requests(self) -> None:
        now, most = 0, 0

        async def find(_: Picture, __: NDArray[np.float32] | None) -> list[Person]:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.02)
            now -= 1
            return []

        async with predicting(find) as (predictor, _):
            await asyncio.gather(*(predictor.predict(request(*[picture()] * 10)) for _ in range(5)))

        assert most == TASKS_IN_HAND


def drawn(kind: str, value: dict[str, Any], to_name: str = "image") -> list[dict[str, Any]]:
    tag = {"rectanglelabels": "person", "keypointlabels": "keypoints"}[kind]
    return [
        {"id": "r1", "type": kind, "from_name": tag, "to_name": to_name, "origin": "manual", "value": value}
    ]


BOX = {"x": 25, "y": 10, "width": 50, "height": 80, "rotation": 0, "rectanglelabels": ["person"]}


class TestPrompts:
    async def test_a_drawn_box_is_what_the_networks_look_at(self) -> None:
        looked_at: list[Any] = []

        async def find(_: Picture, boxes: NDArray[np.float32] | None) -> list[Person]:
            looked_at.append(None if boxes is None else boxes.tolist())
            return [person()]

        async with predicting(find) as (predictor, _):
            (slot,) = await predictor.predict(request(picture(40, 20), drawn=drawn("rectanglelabels", BOX)))

        assert looked_at == [[[10, 2, 30, 18]]]
        assert isinstance(slot, dict)
        assert "r1" not in {region["id"] for region in slot["result"]}

    async def test_in_a_box_with_no_keypoint_to_show_is_nobody(self) -> None:
        async def find(_: Picture, __: NDArray[np.float32] | None) -> list[Person]:
            return [person(score=0.29)]

        async with predicting(find) as (predictor, _):
            (slot,) = await predictor.predict(request(picture(), drawn=drawn("rectanglelabels", BOX)))

        assert isinstance(slot, dict)
        assert slot["result"] == []

    async def test_a_drawn_point_chooses_one_of_the_people(self) -> None:
        async def find(_: Picture, __: NDArray[np.float32] | None) -> list[Person]:
            return [person(x=2), person(x=28)]

        value = {"x": 82, "y": 50, "width": 1, "keypointlabels": ["nose"]}
        async with predicting(find) as (predictor, _):
            (slot,) = await predictor.predict(request(picture(), drawn=drawn("keypointlabels", value)))

        assert isinstance(slot, dict)
        (box,) = [region for region in slot["result"] if region["type"] == "rectanglelabels"]
        assert box["value"]["x"] == pytest.approx(70)

    @pytest.mark.parametrize(
        ("prompt", "reason"),
        [
            (drawn("rectanglelabels", {"x": "wide"}), "prompt"),
            (drawn("rectanglelabels", BOX, to_name="another"), "label_config"),
        ],
    )
    async def test_what_cannot_be_used_fails_its_task(self, prompt: Any, reason: str) -> None:
        async with predicting() as (predictor, status):
            slots = await predictor.predict(request(picture(), drawn=prompt))

        assert slots == [[]]
        assert reasons(status) == {1: reason}
