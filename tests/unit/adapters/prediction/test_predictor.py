"""From the tasks of a request to their predictions: together, in order, and failing one by one."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.cache.prediction_cache import PredictionCache, open_prediction_cache
from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.label_studio.label_config.tree import LabelConfigError
from adapters.label_studio.regions.predictions import prediction
from adapters.label_studio.schemas import MAX_TASKS, PredictRequest
from adapters.observability.status import Status
from adapters.prediction import predictor as predictor_module
from adapters.prediction.frames import MAX_FRAMES
from adapters.prediction.outcome import Failure, Slot
from adapters.prediction.people_in_pictures import FindPeople
from adapters.prediction.predictor import TASKS_IN_HAND, TASKS_IN_HAND_PER_REQUEST, Predictor
from tests.support.predictor import VERSION, person, picture
from tests.support.predictor import predicting as with_real_parts
from wholebody.estimation import InferenceError
from wholebody.person import Person
from wholebody.schema import PART_RANGES, Part

Picture = NDArray[np.uint8]

CONFIG = label_config_template([Selection.BODY])


def finding(*people: Person) -> FindPeople:
    """Finds the same people in every picture."""

    async def find(_: Picture, __: NDArray[np.float32] | None) -> list[Person]:
        return list(people)

    return find


one_person = finding(person())


class Crowded:
    """Finds nobody, in so many seconds; keeps how many pictures were looked at together at most."""

    def __init__(self, seconds: float) -> None:
        self.most = 0
        self._now = 0
        self._seconds = seconds

    async def __call__(self, _: Picture, __: NDArray[np.float32] | None) -> list[Person]:
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(self._seconds)
        self._now -= 1
        return []


@asynccontextmanager
async def keeping() -> AsyncIterator[PredictionCache]:
    """A cache that has room for everything."""
    cache = open_prediction_cache(1_000_000, None)
    assert cache is not None
    async with cache:
        yield cache


def predicting(
    find: FindPeople = one_person, cache: PredictionCache | None = None
) -> AbstractAsyncContextManager[tuple[Predictor, Status]]:
    return with_real_parts(find, cache)


def asking(data: Iterable[dict[str, Any]], label_config: str | None, drawn: Any = None) -> PredictRequest:
    """A request with tasks 1, 2, …; with what was drawn by a smart tool."""
    return PredictRequest.model_validate(
        {
            "tasks": [{"id": number, "data": one} for number, one in enumerate(data, 1)],
            "project": "7.1",
            "label_config": label_config,
            "params": {"context": None if drawn is None else {"result": drawn}},
        }
    )


def request(*pictures: str, label_config: str | None = CONFIG, drawn: Any = None) -> PredictRequest:
    return asking(({"image": at} for at in pictures), label_config, drawn)


def failed(slots: Iterable[Slot]) -> dict[Any, str]:
    """The reasons of the tasks that have no prediction."""
    return {slot.task: slot.reason for slot in slots if isinstance(slot, Failure)}


def reasons(status: Status) -> dict[Any, str]:
    """Those that an operator sees."""
    return {failure["task"]: failure["reason"] for failure in status.as_dict()["last_failures"]}


async def answered(
    asked: PredictRequest, find: FindPeople = one_person, time_budget_s: float = 20
) -> tuple[list[Slot], Status]:
    async with predicting(find) as (predictor, status):
        slots = await predictor.predict(asked, time_budget_s=time_budget_s)
    assert failed(slots).items() <= reasons(status).items()
    return slots, status


async def predicted(asked: PredictRequest, find: FindPeople = one_person) -> dict[str, Any]:
    """The prediction of the only task."""
    (slot,), _ = await answered(asked, find)
    assert isinstance(slot, dict)
    return slot


async def failures(asked: PredictRequest) -> dict[Any, str]:
    """The reasons of the tasks that have no prediction, as an operator sees them too."""
    slots, status = await answered(asked)
    assert failed(slots) == reasons(status)
    return failed(slots)


async def test_every_task_has_its_slot_in_the_order_of_the_tasks() -> None:
    async def find(seen: Picture, _: NDArray[np.float32] | None) -> list[Person]:
        await asyncio.sleep(0.05 if seen.shape[1] == 40 else 0)  # the first is done last
        return [person(x=float(seen.shape[1]) / 4)]

    slots, _ = await answered(request(picture(40), picture(50), picture(60)), find)

    assert [slot["result"][0]["original_width"] for slot in slots if isinstance(slot, dict)] == [40, 50, 60]
    assert {slot["model_version"] for slot in slots if isinstance(slot, dict)} == {VERSION}


async def test_the_networks_get_the_picture_in_bgr_uint8() -> None:
    seen: list[Picture] = []

    async def find(given: Picture, boxes: NDArray[np.float32] | None) -> list[Person]:
        assert boxes is None
        seen.append(given)
        return []

    await answered(request(picture(40, 20, (255, 128, 0))), find)

    assert (seen[0].dtype, seen[0].shape) == (np.uint8, (20, 40, 3))
    assert seen[0][0, 0].tolist() == [0, 128, 255]


async def test_nobody_in_the_picture_is_an_empty_result_and_no_failure() -> None:
    (slot,), status = await answered(request(picture()), finding())

    assert slot == {"model_version": VERSION, "score": 0.0, "result": []}
    assert status.as_dict()["tasks"]["succeeded"] == 1


def a_hand_alone() -> Person:
    """A right hand without a body."""
    points = np.linspace([15, 5], [25, 15], 21, dtype=np.float32)
    return Person.of_part(Part.RIGHT_HAND, points, np.ones(21, np.float32))


def without_hands() -> Person:
    scores = np.ones(133, np.float32)
    scores[PART_RANGES[Part.LEFT_HAND].start :] = 0
    return replace(person(), scores=scores)


HANDS_ONLY = label_config_template([Selection.HANDS])
WHOLE = [[0, 0, 40, 20]]


@pytest.mark.parametrize(
    ("config", "people", "asked", "hands"),
    [
        (HANDS_ONLY, [], [None, WHOLE], 21),
        (HANDS_ONLY, [without_hands()], [None, WHOLE], 21),
        (HANDS_ONLY, [person()], [None], 42),
        (label_config_template([Selection.WHOLE]), [], [None], 0),
    ],
    ids=["nobody", "nobody with a hand", "somebody with hands", "not only hands wanted"],
)
async def test_hands_without_a_body_are_searched_where_only_hands_are_wanted(
    config: str, people: list[Person], asked: list[Any], hands: int
) -> None:
    boxes: list[Any] = []

    async def find(_: Any, drawn: NDArray[np.float32] | None) -> list[Person]:
        boxes.append(None if drawn is None else drawn.tolist())
        return people if drawn is None else [a_hand_alone()]

    async with predicting(find) as (predictor, _):
        (slot,) = await predictor.predict(request(picture(), label_config=config))
    assert boxes == asked
    assert not isinstance(slot, Failure)
    assert sum(region["type"] == "keypointlabels" for region in slot["result"]) == hands


async def test_a_body_that_is_guessed_in_the_whole_picture_is_not_shown() -> None:
    async def find(_: Any, drawn: NDArray[np.float32] | None) -> list[Person]:
        return [] if drawn is None else [person()]

    async with predicting(find) as (predictor, _):
        (slot,) = await predictor.predict(request(picture(), label_config=HANDS_ONLY))
    assert not isinstance(slot, Failure)
    assert slot["result"] == []


async def test_no_tasks_are_no_slots() -> None:
    assert (await answered(request()))[0] == []


async def test_without_a_label_config_all_keypoints_are_sent() -> None:
    slot = await predicted(request(picture(), label_config=None))
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
        slots, status = await answered(request(picture(), bad, picture()))

        assert all(isinstance(slot, dict) and slot["result"] for slot in (slots[0], slots[2]))
        assert failed(slots) == reasons(status) == {2: reason}
        tasks = status.as_dict()["tasks"]
        assert {"waiting": 0, "in_hand": 0, "succeeded": 2, "failed": 1}.items() <= tasks.items()

    @pytest.mark.parametrize(
        ("error", "reason"),
        [(InferenceError("The body network failed."), "inference"), (KeyError("x"), "internal")],
    )
    async def test_a_failing_network_and_a_surprise_cost_one_slot_too(
        self, error: Exception, reason: str
    ) -> None:
        async def find(seen: Picture, boxes: NDArray[np.float32] | None) -> list[Person]:
            if seen.shape[1] == 50:
                raise error
            return [person()]

        slots, status = await answered(request(picture(40), picture(50)), find)

        assert isinstance(slots[0], dict)
        assert failed(slots) == reasons(status) == {2: reason}

    async def test_the_log_names_task_project_and_reason(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, "adapters.prediction.predictor"):
            await answered(request("", picture()))

        (line,) = caplog.messages
        assert line.startswith("task failed task=1 project=7.1 stage=queue reason=no_picture seconds=0.0")

    async def test_a_label_config_without_anything_of_ours_fails_every_task_and_says_what_to_add(
        self,
    ) -> None:
        slots, status = await answered(request(picture(), picture(), label_config="<View/>"))

        assert failed(slots) == reasons(status) == {1: "label_config", 2: "label_config"}
        (first, _) = status.as_dict()["last_failures"]
        assert '<Image name="image" value="$image"/>' in first["detail"]
        assert [slot.detail for slot in slots if isinstance(slot, Failure)] == [first["detail"]] * 2

    async def test_a_tag_that_a_task_does_not_fill_is_no_failure(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        both = "".join(
            f'<Image name="{name}" value="${name}"/><RectangleLabels name="of-{name}" toName="{name}">'
            '<Label value="person"/></RectangleLabels>'
            for name in ("front", "side")
        )
        tasks = [{"front": None, "side": picture()}, {"front": None}]

        caplog.set_level(logging.INFO, "adapters.prediction.predictor")
        (one, nothing), status = await answered(asking(tasks, f"<View>{both}</View>"))

        assert isinstance(one, dict)
        assert [region["to_name"] for region in one["result"]] == ["side"]
        assert "tag not filled task=1" in caplog.text
        assert "no picture under '$front'" in caplog.text
        assert failed([nothing]) == reasons(status) == {2: "no_picture"}, "a task need not fill every tag"


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

        slots, status = await answered(request(picture(40), picture(50)), find, time_budget_s=0.5)

        assert isinstance(slots[0], dict)
        assert failed(slots) == reasons(status) == {2: "time_budget"}
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
        networks = Crowded(seconds=0.02)

        async with predicting(networks) as (predictor, _):
            await asyncio.gather(*(predictor.predict(request(*[picture()] * 10)) for _ in range(5)))

        assert networks.most == TASKS_IN_HAND


def drawn(kind: str, value: dict[str, Any], to_name: str = "image", **fields: Any) -> list[dict[str, Any]]:
    tag = {"rectanglelabels": "person", "keypointlabels": "body"}[kind]
    place = {"type": kind, "from_name": tag, "to_name": to_name, "origin": "manual", "value": value}
    return [{"id": "r1", **place, **fields}]


BOX = {"x": 25, "y": 10, "width": 50, "height": 80, "rotation": 0, "rectanglelabels": ["person"]}


class TestPrompts:
    async def test_a_drawn_box_is_what_the_networks_look_at(self) -> None:
        looked_at: list[Any] = []

        async def find(_: Picture, boxes: NDArray[np.float32] | None) -> list[Person]:
            looked_at.append(None if boxes is None else boxes.tolist())
            return [person()]

        slot = await predicted(request(picture(40, 20), drawn=drawn("rectanglelabels", BOX)), find)

        assert looked_at == [[[10, 2, 30, 18]]]
        assert "r1" not in {region["id"] for region in slot["result"]}

    async def test_in_a_box_with_no_keypoint_to_show_is_nobody(self) -> None:
        unsure = finding(person(score=0.29))

        slot = await predicted(request(picture(), drawn=drawn("rectanglelabels", BOX)), unsure)

        assert slot["result"] == []

    async def test_the_answer_has_the_label_that_was_drawn_with(self) -> None:
        config = (
            '<View><Image name="image" value="$image"/><RectangleLabels name="who" toName="image" smart="true">'
            '<Label value="signer"/><Label value="person B"/></RectangleLabels></View>'
        )
        value = {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["person B"]}

        by_hand = drawn("rectanglelabels", value, from_name="who")
        slot = await predicted(request(picture(), label_config=config, drawn=by_hand))

        assert [region["value"].get("rectanglelabels") for region in slot["result"]] == [["person B"]]

    async def test_every_box_that_waits_gets_its_person_and_one_drawn_by_hand_none(self) -> None:
        """Label Studio shows the last answer only, and removes all drawings that wait when it is accepted."""

        async def find(_: Picture, boxes: NDArray[np.float32] | None) -> list[Person]:
            assert boxes is not None
            return [person(x=float(boxes[0, 0]))]

        by_hand = drawn("rectanglelabels", {**BOX, "x": 0}, id="by-hand")
        first = drawn("rectanglelabels", {**BOX, "x": 25}, id="first")
        second = drawn("rectanglelabels", {**BOX, "x": 50}, id="second")
        async with predicting(find) as (predictor, _):
            await predictor.predict(request(picture(), drawn=[*by_hand, *first]))
            (slot,) = await predictor.predict(request(picture(), drawn=[*by_hand, *first, *second]))

        assert isinstance(slot, dict)
        boxes = {r["id"]: r["value"]["x"] for r in slot["result"] if r["type"] == "rectanglelabels"}
        assert boxes == {"first-p0-box": 25, "second-p0-box": 50}
        ids = [region["id"] for region in slot["result"]]
        assert len(ids) == len(set(ids))

    async def test_an_accepted_box_is_not_answered_again(self) -> None:
        first = drawn("rectanglelabels", BOX, id="first")
        accepted = drawn("rectanglelabels", BOX, id="first-p0-box", score=0.9)
        second = drawn("rectanglelabels", BOX, id="second")
        async with predicting() as (predictor, _):
            await predictor.predict(request(picture(), drawn=first))
            (slot,) = await predictor.predict(request(picture(), drawn=[*accepted, *second]))

        assert isinstance(slot, dict)
        assert {region["id"].split("-")[0] for region in slot["result"]} == {"second"}

    @pytest.mark.parametrize("left", [[], drawn("rectanglelabels", BOX, id="first-p0-box", score=0.9)])
    async def test_a_drawing_that_was_deleted_is_answered_with_nothing(self, left: Any) -> None:
        """Label Studio asks then, too, with what is left; people who were not asked for must not appear."""
        (slot,), status = await answered(request(picture(), drawn=left))

        assert slot == {"model_version": VERSION, "score": 0.0, "result": []}
        assert status.as_dict()["tasks"]["failed"] == 0

    async def test_a_drawn_point_chooses_one_of_the_people(self) -> None:
        two = finding(person(x=2), person(x=28))
        value = {"x": 82, "y": 50, "width": 1, "keypointlabels": ["nose"]}

        slot = await predicted(request(picture(), drawn=drawn("keypointlabels", value)), two)

        (box,) = [region for region in slot["result"] if region["type"] == "rectanglelabels"]
        assert box["value"]["x"] == pytest.approx(70)

    @pytest.mark.parametrize("kind", ["drafts", "annotations", "predictions"])
    async def test_what_is_asked_for_joins_the_person_who_is_on_the_page(self, kind: str) -> None:
        config = label_config_template([Selection.WHOLE], skeleton=True)

        def asked(**task: Any) -> PredictRequest:
            value = {"x": 37.5, "y": 50, "width": 1, "keypointlabels": ["add left_hand"]}
            by_hand = drawn("keypointlabels", value, from_name="add") if task else None
            one = request(picture(), label_config=config, drawn=by_hand).model_dump(mode="json")
            one["tasks"][0] |= task
            return PredictRequest.model_validate(one)

        async with predicting() as (predictor, status):
            (page,) = await predictor.predict(asked())
            assert isinstance(page, dict)
            regions = [region for region in page["result"] if "left_hand" not in region["id"]]
            (slot,) = await predictor.predict(asked(**{kind: [{"result": regions}]}))

        assert isinstance(slot, dict), reasons(status)
        (hand,) = slot["result"]
        assert hand.get("parentID") == "p0-bones-body"
        assert hand["id"].startswith("p0-bones-left_hand-")

    @pytest.mark.parametrize("odd", [7, "text", [7], [{"result": [7, {"id": 1}]}], [{"result": {}}]])
    async def test_works_that_cannot_be_read_cost_no_answer(self, odd: Any) -> None:
        value = {"x": 37.5, "y": 50, "width": 1, "keypointlabels": ["nose"]}
        one = request(picture(), drawn=drawn("keypointlabels", value)).model_dump(mode="json")
        one["tasks"][0] |= {"drafts": odd, "annotations": odd, "predictions": odd}

        assert (await predicted(PredictRequest.model_validate(one)))["result"]

    @pytest.mark.parametrize(
        ("prompt", "reason"),
        [
            (drawn("rectanglelabels", {"x": "wide"}), "prompt"),
            (drawn("rectanglelabels", BOX, to_name="another"), "label_config"),
        ],
    )
    async def test_what_cannot_be_used_fails_its_task(self, prompt: Any, reason: str) -> None:
        assert await failures(request(picture(), drawn=prompt)) == {1: reason}


FRAMES_CONFIG = label_config_template([Selection.BODY], frames=True)


def clip(*addresses: Any, drawn: Any = None) -> PredictRequest:
    return asking([{"frames": list(addresses)}], FRAMES_CONFIG, drawn)


BROKEN = picture()[:-40]
UNREACHABLE = "http://127.0.0.1/a.png"


class TestFrames:
    async def test_every_frame_has_its_people_with_its_number(self) -> None:
        async def find(seen: Picture, _: NDArray[np.float32] | None) -> list[Person]:
            await asyncio.sleep(0.05 if seen.shape[1] == 40 else 0)  # the first is done last
            return [person(), person()][: 1 if seen.shape[1] == 50 else 2]

        slot = await predicted(clip(picture(40), picture(50), picture(60)), find)
        boxes = [r for r in slot["result"] if r["type"] == "rectanglelabels"]
        assert [(r.get("item_index"), r["original_width"]) for r in boxes] == [
            (0, 40),
            (0, 40),
            (1, 50),
            (2, 60),
            (2, 60),
        ]
        drawn = [r for r in slot["result"] if r["type"] != "textarea"]  # notes have the id of their region
        frame_of = {r["id"]: r.get("item_index") for r in drawn}
        assert len(frame_of) == len(drawn), "ids are unique over the frames"
        points = [r for r in slot["result"] if r["type"] == "keypointlabels"]
        assert all(frame_of[r.get("parentID", "")] == r.get("item_index") for r in points)

    async def test_frames_are_worked_on_side_by_side_but_not_more_than_one_request_may(self) -> None:
        networks = Crowded(seconds=0.02)

        await predicted(clip(*(picture(40 + n) for n in range(40))), networks)

        assert networks.most == TASKS_IN_HAND_PER_REQUEST

    async def test_many_clips_at_once_neither_block_each_other_nor_take_more_places_than_there_are(
        self,
    ) -> None:
        networks = Crowded(seconds=0.005)

        async with predicting(networks) as (predictor, _):
            clips = [clip(*(picture(40 + n) for n in range(6))) for _ in range(40)]
            answers = await asyncio.gather(*(predictor.predict(one) for one in clips))

        assert all(isinstance(slot, dict) for (slot,) in answers)
        assert networks.most == TASKS_IN_HAND

    @pytest.mark.parametrize(
        ("bad", "reason"), [(BROKEN, "broken_picture"), ("", "no_picture"), (7, "no_picture")]
    )
    async def test_a_frame_that_will_never_be_one_is_left_out_and_named(self, bad: Any, reason: str) -> None:
        (slot,), status = await answered(clip(picture(), bad, picture()))

        assert isinstance(slot, dict)
        assert {region.get("item_index") for region in slot["result"]} == {0, 2}
        (failure,) = status.as_dict()["last_failures"]
        assert (failure["task"], failure["reason"]) == (1, reason)
        assert failure["detail"].startswith("1 of 3 frames failed (number 2): ")
        tasks = status.as_dict()["tasks"]
        assert (tasks["succeeded"], tasks["failed"]) == (1, 0)

    async def test_a_frame_that_may_be_had_the_next_time_leaves_the_task_to_be_asked_again(self) -> None:
        seen: list[int] = []

        async def find(given: Picture, _: NDArray[np.float32] | None) -> list[Person]:
            seen.append(given.shape[1])
            if given.shape[1] == 50 and seen.count(50) == 1:
                raise InferenceError("The body network failed.")
            return [person()]

        async with keeping() as cache, predicting(find, cache) as (predictor, status):
            asked = clip(picture(40), picture(50), picture(60))
            (first,) = await predictor.predict(asked)
            (second,) = await predictor.predict(asked)

        assert failed([first]) == reasons(status) == {1: "inference"}
        assert isinstance(second, dict)
        assert {region.get("item_index") for region in second["result"]} == {0, 1, 2}
        assert sorted(seen) == [40, 50, 50, 60], "the others came from the cache"

    async def test_a_clip_without_any_usable_frame_fails(self) -> None:
        assert await failures(clip(BROKEN, "")) == {1: "broken_picture"}

    async def test_a_refused_address_is_the_operators_to_mend_so_the_task_is_asked_again(self) -> None:
        assert await failures(clip(picture(), UNREACHABLE)) == {1: "refused"}

    async def test_what_is_done_in_time_is_kept_until_all_frames_are_done(self) -> None:
        async def find(_: Picture, __: NDArray[np.float32] | None) -> list[Person]:
            await asyncio.sleep(0.1)
            return [person()]

        asked = clip(*(picture(40 + n) for n in range(30)))
        async with keeping() as cache, predicting(find, cache) as (predictor, status):
            answers: list[Any] = []
            while not answers or isinstance(answers[-1], Failure):
                answers += await predictor.predict(asked, time_budget_s=0.25)
                assert len(answers) < 10, "it gets on each time"

        assert 2 <= len(answers) <= 4
        assert len({region["item_index"] for region in answers[-1]["result"]}) == 30
        done = [answer.frames_done for answer in answers[:-1]]
        assert 0 < done[0] < 30
        assert done == sorted(set(done)), "it gets on each time"
        detail = status.as_dict()["last_failures"][0]["detail"]
        assert f"{done[0]} of its 30 frames are done and kept; retry for the rest" in detail

    async def test_too_many_frames_are_refused_with_what_to_do(self) -> None:
        slots, status = await answered(clip(*["data:x"] * (MAX_FRAMES + 1)))

        (failure,) = status.as_dict()["last_failures"]
        assert failed(slots) == {1: failure["reason"]} == {1: "too_many_frames"}
        assert "at most 1,000 are predicted: split the clip" in failure["detail"]

    async def test_what_is_drawn_on_a_frame_is_answered_on_this_frame(self) -> None:
        looked_at: list[int] = []

        async def find(given: Picture, _: NDArray[np.float32] | None) -> list[Person]:
            looked_at.append(given.shape[1])
            return [person()]

        by_hand = drawn("rectanglelabels", BOX, item_index=2)
        slot = await predicted(clip(picture(40), picture(50), picture(60), drawn=by_hand), find)

        assert looked_at == [60]
        assert {region.get("item_index") for region in slot["result"]} == {2}
        assert slot["result"][-1]["id"] == "r1-f2-p0-box"

    async def test_a_drawing_on_a_frame_that_is_not_there_fails(self) -> None:
        asked = clip(picture(), drawn=drawn("rectanglelabels", BOX, item_index=4))
        assert await failures(asked) == {1: "prompt"}


@pytest.mark.promise("health-beside-large-requests")
async def test_thousands_of_tasks_leave_the_event_loop_its_breath() -> None:
    """Label Studio sends a whole selection at once; measured in CPU time, since the machine may be busy."""
    steps: list[float] = []

    async def watch() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            steps.append(now - before)
            before = now

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    async with predicting() as (predictor, _):
        slots = await predictor.predict(request(*["ftp://nowhere"] * MAX_TASKS))
    watching.cancel()

    assert len(failed(slots)) == MAX_TASKS
    assert max(steps) < 0.3 * sum(steps)


@pytest.mark.promise("many-regions-in-a-thread")
async def test_the_regions_of_many_people_are_made_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd, or a clip of a thousand frames, has so many that the event loop would stand still."""
    threads: list[threading.Thread] = []

    def noted(*arguments: Any, **options: Any) -> Any:
        threads.append(threading.current_thread())
        return prediction(*arguments, **options)

    monkeypatch.setattr(predictor_module, "prediction", noted)
    crowd = finding(*(person(x=number) for number in range(30)))
    for find, elsewhere in ((one_person, False), (crowd, True)):
        await predicted(request(picture()), find)
        assert (threads.pop() is not threading.main_thread()) == elsewhere
