"""What annotators changed in predictions is counted, and nobody but Label Studio can have a say in it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import REGISTRY

from adapters.label_studio.annotations.tasks import tasks_of
from adapters.label_studio.client.api import LabelStudioApi
from adapters.label_studio.client.credentials import Credentials
from adapters.label_studio.client.retry import RetryPolicy
from adapters.label_studio.corrections import watch as watching
from adapters.label_studio.corrections.comparison import REMOVED, Comparison, Outcome, compare
from adapters.label_studio.corrections.watch import CorrectionWatch, correction_watch
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.schemas import WebhookRequest
from tests.conftest import Within
from tests.support.corrections_made import (
    Form,
    accepted,
    occluded,
    person,
    predicted,
    region_of,
    relabelled_hand,
    swapped_hands,
    with_swapped_hands,
    without,
    without_keypoints,
    without_part,
)
from tests.support.drawn_regions import bones, box, point, task
from wholebody.schema import PART_RANGES, Part

VERSION = "rtmlib-embedded-1a2b3c4d"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
# A box of 300 × 400 pixels, so that its diagonal is 500; a percent is 10 pixels across and 5 down.
PREDICTED = [
    box("p0-box", x=10, y=10, width=30, height=80),
    point("p0-nose", 20, 30, parentID="p0-box"),
    point("p0-left_wrist_0", 25, 50, "left_wrist_0", parentID="p0-box"),
]


def compared(annotated: list[Any], predicted: list[Any] = PREDICTED, **more: Any) -> Comparison:
    annotation = {"id": 5, "result": annotated, "updated_at": "1", "parent_prediction": 9, **more}
    version = more.pop("version", VERSION)
    predictions = [{"id": 9, "result": predicted, "model_version": version}]
    (one,) = tasks_of([task(annotations=[annotation], predictions=predictions)])
    return compare(one, one.annotations[0], VERSION, LabelMeanings())


def moved(region: dict[str, Any], x: float) -> dict[str, Any]:
    return {**region, "value": {**region["value"], "x": x}}


class TestOneAnnotation:
    def test_left_as_it_was_predicted_is_accepted(self) -> None:
        assert compared(PREDICTED) == Comparison(Outcome.ACCEPTED, ((Part.BODY, 0.0), (Part.LEFT_HAND, 0.0)))

    def test_a_moved_point_counts_by_its_distance_in_diagonals_of_the_box(self) -> None:
        comparison = compared([PREDICTED[0], moved(PREDICTED[1], 25), PREDICTED[2]])

        assert comparison.outcome is Outcome.CORRECTED
        assert comparison.distances == ((Part.BODY, pytest.approx(50 / 500)), (Part.LEFT_HAND, 0.0))

    def test_the_vertices_of_bones_count_as_points_do(self) -> None:
        def drawn(x: float) -> list[Any]:
            line = bones("p0-bones-body", ("p0-nose", x, 30), ("p0-left_eye", 22, 28), parentID="p0-box")
            return [PREDICTED[0], line]

        comparison = compared(drawn(25), predicted=drawn(20))

        assert comparison.outcome is Outcome.CORRECTED
        assert comparison.distances == ((Part.BODY, pytest.approx(50 / 500)), (Part.BODY, 0.0))

    def test_a_removed_point_counts_as_one(self) -> None:
        assert compared(PREDICTED[:2]).distances == ((Part.BODY, 0.0), (Part.LEFT_HAND, REMOVED))

    def test_an_added_point_is_a_correction(self) -> None:
        added = point("Xy3", 30, 30, "right_eye")

        assert compared([*PREDICTED, added]).outcome is Outcome.CORRECTED

    def test_rounding_by_the_editor_is_none(self) -> None:
        assert (
            compared([PREDICTED[0], moved(PREDICTED[1], 20.0003), PREDICTED[2]]).outcome is Outcome.ACCEPTED
        )

    def test_everything_removed_from_a_prediction_counts(self) -> None:
        assert compared([]).distances == ((Part.BODY, REMOVED), (Part.LEFT_HAND, REMOVED))

    def test_made_by_hand_from_nothing_is_not_compared(self) -> None:
        by_hand = [box("a"), point("b", 20, 30, parentID="a")]

        assert compared(by_hand, parent_prediction=None) == Comparison(Outcome.NOT_PREDICTED)

    def test_of_another_model_or_version_is_not_compared(self) -> None:
        assert compared(PREDICTED, version="another") == Comparison(Outcome.NOT_PREDICTED)
        assert compared(PREDICTED, parent_prediction=8) == Comparison(Outcome.NOT_PREDICTED)

    def test_a_skipped_task_is_not_compared(self) -> None:
        assert compared(PREDICTED, was_cancelled=True) == Comparison(Outcome.SKIPPED)

    def test_without_boxes_the_points_tell_how_large_a_person_is(self) -> None:
        points = [{**region, "parentID": ""} for region in PREDICTED[1:]]
        predictions = [{"id": 9, "result": points, "model_version": VERSION}]
        annotation = {"id": 5, "result": [moved(points[0], 25), points[1]], "parent_prediction": 9}
        (one,) = tasks_of([task(annotations=[annotation], predictions=predictions)])

        (_, distance), _ = compare(one, one.annotations[0], VERSION, LabelMeanings()).distances

        assert distance == pytest.approx(50 / (50**2 + 100**2) ** 0.5)

    @pytest.mark.parametrize("odd", ["text", None, {}, {"id": "p0-nose"}, point("p0-nose", float("nan"), 3)])
    def test_regions_that_cannot_be_read_count_as_removed(self, odd: Any) -> None:
        assert compared([PREDICTED[0], odd, PREDICTED[2]]).distances[0] == (Part.BODY, REMOVED)


class TestWhatIsReadAsForExport:
    """The distances are those of what is exported; `annotations/test_what_was_meant.py` has the export."""

    ANNA = person()
    DIAGONAL = float(np.hypot(*(ANNA.box[2:] - ANNA.box[:2])))
    HANDS = (Part.LEFT_HAND, Part.RIGHT_HAND)

    @pytest.mark.parametrize("form", Form)
    def test_swapped_hands_are_a_correction_by_the_distance_between_them(self, form: Form) -> None:
        before = predicted([self.ANNA], form)

        comparison = compared(swapped_hands(before, "p0"), before)

        moved_by = (
            np.hypot(*(self.ANNA.keypoints - with_swapped_hands(self.ANNA).keypoints).T) / self.DIAGONAL
        )
        assert comparison.outcome is Outcome.CORRECTED
        assert [distance for _, distance in comparison.distances] == pytest.approx(moved_by, abs=1e-4)

    def test_a_hand_relabelled_alone_removes_the_one_and_adds_the_other(self) -> None:
        before = predicted([without_keypoints(self.ANNA, PART_RANGES[Part.RIGHT_HAND])], Form.BONES)

        comparison = compared(relabelled_hand(before, "p0", Part.LEFT_HAND), before)

        assert comparison.outcome is Outcome.CORRECTED
        assert {distance for part, distance in comparison.distances if part in self.HANDS} == {REMOVED}

    def test_an_occluded_point_is_a_correction_without_a_distance(self) -> None:
        before = predicted([self.ANNA], Form.POINTS)

        comparison = compared(occluded(before, "p0-nose"), before)

        assert comparison.outcome is Outcome.CORRECTED
        assert {distance for _, distance in comparison.distances} == {0.0}

    def test_all_of_a_person_whose_box_was_deleted_is_removed(self) -> None:
        before = predicted([self.ANNA, person(700)], Form.BONES)

        distances = compared(without(before, "p0-box"), before).distances

        assert [distance for _, distance in distances] == [REMOVED] * 133 + [0.0] * 133

    def test_points_in_a_new_box_are_where_they_were(self) -> None:
        before = predicted([self.ANNA], Form.POINTS)
        after = [*without(before, "p0-box"), {**region_of(before, "p0-box"), "id": "kT9_x"}]

        comparison = compared(after, before)

        assert comparison.outcome is Outcome.CORRECTED, "the box is another one"
        assert {distance for _, distance in comparison.distances} == {0.0}

    @pytest.mark.parametrize("under", ["p0-box", None])
    def test_a_hand_that_a_smart_tool_added_is_a_correction(self, under: str | None) -> None:
        half = without_keypoints(self.ANNA, PART_RANGES[Part.LEFT_HAND])
        before = predicted([half], Form.BONES)
        hand = predicted([self.ANNA], Form.BONES, id_prefix="Xy3-", only=Part.LEFT_HAND)

        comparison = compared(accepted(before, hand, under=under), before)

        assert comparison.outcome is Outcome.CORRECTED
        assert [distance for _, distance in comparison.distances] == [0.0] * (133 - 21)

    def test_a_person_added_in_a_project_without_boxes_is_a_correction(self) -> None:
        before = predicted([self.ANNA], Form.POINTS, boxes=False)
        added = predicted([person(700)], Form.POINTS, boxes=False, id_prefix="Xy3-")

        assert compared(accepted(before, added), before).outcome is Outcome.CORRECTED

    def test_each_frame_is_compared_with_itself(self) -> None:
        before = [*predicted([self.ANNA], Form.BONES, frame=0), *predicted([self.ANNA], Form.BONES, frame=1)]

        distances = compared(without_part(before, "f1-p0", Part.FACE), before).distances

        assert [distance for _, distance in distances].count(REMOVED) == 68
        assert len(distances) == 2 * 133


def key_frame(frame: int, x: float = 10, **more: Any) -> dict[str, Any]:
    return {
        "frame": frame,
        "x": x,
        "y": 20,
        "width": 30,
        "height": 40,
        "rotation": 0,
        "enabled": True,
        **more,
    }


def followed(*sequence: dict[str, Any], name: str = "p0-box") -> dict[str, Any]:
    """A person's box in a clip."""
    value = {"framesCount": 50, "duration": 2.0, "sequence": list(sequence), "labels": ["person"]}
    return {
        "id": name,
        "type": "videorectangle",
        "from_name": "box",
        "to_name": "video",
        "value": value,
        "meta": {},
    }


def wider(region: dict[str, Any], width: float) -> dict[str, Any]:
    return {**region, "value": {**region["value"], "width": width}}


class TestBoxes:
    """A box of 300 × 400 pixels: one of a hundred percent of its diagonal is half a percent across."""

    ONE = (box("p0-box", x=10, y=10, width=30, height=80),)

    @pytest.mark.parametrize(
        "annotated",
        [
            [moved(ONE[0], 11)],
            [wider(ONE[0], 31)],
            [box("p0-box", x=10, y=10, width=30, height=80, rotation=20)],
            [],
            [*ONE, box("Xy3", x=60)],
        ],
        ids=["moved", "resized", "turned", "removed", "added"],
    )
    def test_changed_is_a_correction(self, annotated: list[Any]) -> None:
        assert compared(annotated, predicted=[*self.ONE]) == Comparison(Outcome.CORRECTED)

    @pytest.mark.parametrize("x", [10, 10.0003, 10.4])
    def test_left_alone_or_almost_is_accepted(self, x: float) -> None:
        assert compared([moved(self.ONE[0], x)], predicted=[*self.ONE]) == Comparison(Outcome.ACCEPTED)

    def test_a_moved_box_around_points_that_were_left_alone_is_a_correction(self) -> None:
        comparison = compared([moved(PREDICTED[0], 15), *PREDICTED[1:]])

        assert comparison.outcome is Outcome.CORRECTED
        assert {distance for _, distance in comparison.distances} == {0.0}

    @pytest.mark.parametrize("odd", [None, "text", {"type": "rectanglelabels", "id": "p0-box"}, {"type": []}])
    def test_that_cannot_be_read_counts_as_removed(self, odd: Any) -> None:
        assert compared([odd], predicted=[*self.ONE]).outcome is Outcome.CORRECTED


class TestClips:
    PREDICTED = (followed(key_frame(1), key_frame(20, 40), key_frame(50, 60, enabled=False)),)

    def test_left_alone_are_accepted_by_the_ids_of_their_boxes(self) -> None:
        for parent in (9, None):
            comparison = compared([*self.PREDICTED], [*self.PREDICTED], parent_prediction=parent)
            assert comparison == Comparison(Outcome.ACCEPTED)

    @pytest.mark.parametrize(
        "annotated",
        [
            [followed(key_frame(1), key_frame(20, 45), key_frame(50, 60, enabled=False))],
            [followed(key_frame(1), key_frame(50, 60, enabled=False))],
            [followed(key_frame(1), key_frame(20, 40), key_frame(30, 48), key_frame(50, 60, enabled=False))],
            [followed(key_frame(1), key_frame(20, 40), key_frame(50, 60))],
            [],
            [*PREDICTED, followed(key_frame(5), name="Xy3")],
            [{**PREDICTED[0], "value": {"sequence": [{"frame": "first"}]}}],
        ],
        ids=["moved", "key frame removed", "key frame added", "seen longer", "removed", "added", "odd"],
    )
    def test_changed_are_a_correction(self, annotated: list[Any]) -> None:
        assert compared(annotated, predicted=[*self.PREDICTED]) == Comparison(Outcome.CORRECTED)


class TestVerticesByHand:
    LINE = (bones("p0-bones-body", ("p0-nose", 20, 30), ("p0-left_eye", 22, 28)),)

    @pytest.mark.parametrize(
        "annotated",
        [
            [bones("p0-bones-body", ("p0-nose", 20, 30), ("p0-left_eye", 22, 28), ("Xy3", 24, 28))],
            [*LINE, bones("Zz9", ("Xy3", 24, 28), ("Xy4", 25, 29))],
        ],
        ids=["in a predicted line", "in a line of their own"],
    )
    def test_are_a_correction(self, annotated: list[Any]) -> None:
        assert compared(annotated, predicted=[*self.LINE]).outcome is Outcome.CORRECTED

    def test_none_is_accepted(self) -> None:
        assert compared([*self.LINE], predicted=[*self.LINE]).outcome is Outcome.ACCEPTED


@dataclass
class Site:
    """A Label Studio that knows some tasks."""

    tasks: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    asked: int = 0
    status: int = 200
    busy: Callable[[], Any] | None = None
    label_config: str = '<View><Image name="image" value="$image"/></View>'
    configs_read: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.busy is not None:
            await self.busy()
        wanted = json.loads(request.query["query"])["selectedItems"]["included"]
        found = [self.tasks[number] for number in wanted if number in self.tasks]
        return web.json_response({"tasks": found, "total": len(found)}, status=self.status)

    async def project(self, request: web.Request) -> web.Response:
        self.configs_read += 1
        number = int(request.match_info["number"])
        return web.json_response({"id": number, "title": "x", "label_config": self.label_config})


@asynccontextmanager
async def running(site: Site) -> AsyncGenerator[CorrectionWatch]:
    application = web.Application()
    application.router.add_get("/api/tasks", site.answer)
    application.router.add_get("/api/projects/{number}", site.project)
    async with TestServer(application) as listening:
        url = str(listening.make_url("/"))
        api = LabelStudioApi(url, Credentials(url, TOKEN), retries=RetryPolicy(attempts=1))
        async with correction_watch(api, VERSION) as watch:
            yield watch


def annotated(
    number: int, result: list[Any], updated_at: str = "1", made_from: list[Any] = PREDICTED
) -> dict[str, Any]:
    annotation = {"id": number, "result": result, "updated_at": updated_at, "parent_prediction": 9}
    return task(
        number,
        annotations=[annotation],
        predictions=[{"id": 9, "result": made_from, "model_version": VERSION}],
    )


def webhook(number: int, result: Any = None) -> WebhookRequest:
    body = {
        "action": "ANNOTATION_UPDATED",
        "project": {"id": 1},
        "task": {"id": number},
        "annotation": {"id": number, "result": result},
    }
    return WebhookRequest.model_validate(body)


def counted(outcome: Outcome) -> float:
    return REGISTRY.get_sample_value("rtmlib_annotations_compared_total", {"outcome": outcome}) or 0


def distances() -> tuple[float, float]:
    """How many of body keypoints there are, and their sum."""
    count, total = (
        REGISTRY.get_sample_value(f"rtmlib_correction_distance_{what}", {"part": "body"}) or 0
        for what in ("count", "sum")
    )
    return count, total


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is counted sets no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def counting(outcome: Outcome, number: int = 1) -> AsyncGenerator[None]:
    """Wait at the end of the block until so many more annotations have an outcome."""
    before = counted(outcome)
    yield
    await until(lambda: counted(outcome) == before + number)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAUSE_S", 0)
    monkeypatch.setattr(watching, "SETTLING_S", 0)


class TestTheWatch:
    async def test_counts_what_was_changed(self) -> None:
        site = Site({1: annotated(1, [PREDICTED[0], moved(PREDICTED[1], 25), PREDICTED[2]])})
        (count, total) = distances()
        async with running(site) as watch, counting(Outcome.CORRECTED):
            watch.note(webhook(1))

        assert distances() == (count + 1, pytest.approx(total + 0.1))

    async def test_reads_what_labels_mean_once_for_a_project(self) -> None:
        points = """<View><Image name="image" value="$image"/><KeyPointLabels name="keypoints" toName="image">
          <Label value="Nase" predicted_values="nose"/></KeyPointLabels></View>"""
        named = point("p0-nose", 20, 30, "Nase")
        tasks = {n: annotated(n, [moved(named, 20 + 5 * n)], made_from=[named]) for n in (1, 2)}
        count, _ = distances()
        site = Site(tasks, label_config=points)
        async with running(site) as watch, counting(Outcome.CORRECTED, 2):
            watch.note(webhook(1))
            watch.note(webhook(2))

        assert distances()[0] == count + 2
        assert site.configs_read == 1

    @pytest.mark.parametrize("config", ["", "<View", "<View/>"])
    async def test_recognises_labels_by_their_spelling_without_a_usable_label_config(
        self, config: str
    ) -> None:
        site = Site({1: annotated(1, PREDICTED)}, label_config=config)
        async with running(site) as watch, counting(Outcome.ACCEPTED):
            watch.note(webhook(1))

    async def test_believes_label_studio_and_not_the_webhook(self) -> None:
        site = Site({1: annotated(1, PREDICTED)})
        _, total = distances()
        async with running(site) as watch, counting(Outcome.ACCEPTED):
            watch.note(webhook(1, result=[moved(PREDICTED[1], 99)]))

        assert distances()[1] == total

    async def test_counts_each_state_of_an_annotation_once(self) -> None:
        site = Site({1: annotated(1, PREDICTED), 2: annotated(2, PREDICTED[:2])})
        accepted = counted(Outcome.ACCEPTED)
        async with running(site) as watch, counting(Outcome.CORRECTED):
            for _ in range(3):
                before = site.asked
                watch.note(webhook(1))
                await until(lambda before=before: site.asked == before + 1)
            site.tasks[1] = annotated(1, PREDICTED, updated_at="2")
            watch.note(webhook(1))
            watch.note(webhook(2))

        assert counted(Outcome.ACCEPTED) == accepted + 2

    async def test_does_not_count_what_was_changed_long_ago(self) -> None:
        long_ago, just_now = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC)
        site = Site(
            {
                1: annotated(1, PREDICTED, long_ago.isoformat()),
                2: annotated(2, PREDICTED, just_now.isoformat()),
            }
        )
        old = counted(Outcome.OLD)
        async with running(site) as watch, counting(Outcome.ACCEPTED):
            watch.note(webhook(1))
            watch.note(webhook(2))

        assert counted(Outcome.OLD) == old + 1

    async def test_an_annotation_that_is_not_there_costs_one_question(self) -> None:
        site = Site()
        async with running(site) as watch, counting(Outcome.GONE):
            watch.note(webhook(77))

        assert site.asked == 1

    async def test_goes_on_when_label_studio_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        site = Site({1: annotated(1, PREDICTED)}, status=500)
        async with running(site) as watch:
            async with counting(Outcome.FAILED):
                watch.note(webhook(1))
            site.status = 200
            async with counting(Outcome.ACCEPTED):
                watch.note(webhook(1))

        assert "task=1 annotation=1 was not compared" in caplog.text

    async def test_gives_up_on_a_label_studio_that_does_not_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "LIMIT_S", 0.1)
        never = asyncio.Event()
        async with running(Site(busy=never.wait)) as watch:
            async with counting(Outcome.FAILED):
                watch.note(webhook(1))
            never.set()

    async def test_a_flood_is_dropped_and_never_waits(self, within: Within) -> None:
        gate = asyncio.Event()
        site = Site(busy=gate.wait)
        before = counted(Outcome.DROPPED)
        async with running(site) as watch:
            watch.note(webhook(1))
            await until(lambda: site.asked == 1)
            with within(2):
                for number in range(2, 5_002):
                    watch.note(webhook(number))
            gate.set()

        assert counted(Outcome.DROPPED) == before + 5_000 - watching.WAITING
        assert site.asked == 1, "one question at a time"

    async def test_the_same_annotation_waits_once(self) -> None:
        gate = asyncio.Event()
        site = Site({1: annotated(1, PREDICTED)}, busy=gate.wait)
        async with running(site) as watch:
            watch.note(webhook(2))
            await until(lambda: site.asked == 1)
            for _ in range(10):
                watch.note(webhook(1))
            gate.set()
            await until(lambda: site.asked == 2)
            await asyncio.sleep(0.1)

        assert site.asked == 2
