"""Interactive use: what an annotator draws with a smart tool is answered with the one person that they meant."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from adapters.label_studio.label_config.template import Selection, label_config_template
from tests.conftest import Within
from tests.service.server import Server, boxes, keypoints

LABEL_CONFIG = label_config_template([Selection.BODY])
SIZE = {"original_width": 240, "original_height": 320, "image_rotation": 0, "to_name": "image"}


def drawn_box(x: float, y: float, width: float, height: float) -> dict[str, Any]:
    return {
        **SIZE,
        "id": "drawn-1",
        "origin": "manual",
        "from_name": "person",
        "type": "rectanglelabels",
        "value": {
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "rotation": 0,
            "rectanglelabels": ["person"],
        },
    }


def drawn_point(x: float, y: float) -> dict[str, Any]:
    return {
        **SIZE,
        "id": "drawn-1",
        "origin": "manual",
        "from_name": "body",
        "type": "keypointlabels",
        "is_positive": True,
        "value": {"x": x, "y": y, "width": 0.5, "keypointlabels": ["nose"]},
    }


def answer(server: Server, figure: str, *regions: dict[str, Any]) -> list[Any]:
    (slot,) = server.predict(figure, label_config=LABEL_CONFIG, context={"result": list(regions)})
    assert isinstance(slot, dict), "the task failed"
    assert slot["model_version"]
    return slot["result"]


def assert_one_person_in_an_own_box(result: list[Any]) -> None:
    (box,) = boxes(result)
    points = keypoints(result)
    assert {point["parentID"] for point in points.values()} == {box["id"]}
    # The drawn region is deleted when the suggestion is accepted.
    assert "drawn-1" not in {region["id"] for region in result}
    assert abs(points["nose"]["value"]["x"] - 50) < 6
    assert abs(points["nose"]["value"]["y"] - 17) < 6
    assert abs(points["right_ankle"]["value"]["y"] - 86) < 6


def test_a_box_drawn_around_a_person_gives_them_in_a_box_of_our_own(server: Server, figure: str) -> None:
    assert_one_person_in_an_own_box(answer(server, figure, drawn_box(20, 2, 65, 92)))


def test_a_point_set_on_a_person_gives_the_person_under_it(server: Server, figure: str) -> None:
    assert_one_person_in_an_own_box(answer(server, figure, drawn_point(50, 40)))


def test_all_boxes_that_wait_are_answered_at_once_and_one_drawn_by_hand_is_not(
    server: Server, figure: str
) -> None:
    by_hand = drawn_box(15, 1, 72, 94) | {"id": "by-hand"}
    first = drawn_box(20, 2, 65, 92) | {"id": "first"}
    second = drawn_box(18, 1, 68, 94) | {"id": "second"}

    assert {box["id"] for box in boxes(answer(server, figure, by_hand, first))} == {"first-p0-box"}
    both = answer(server, figure, by_hand, first, second)

    assert [box["id"] for box in boxes(both)] == ["first-p0-box", "second-p0-box"]
    assert {region["id"].split("-")[0] for region in both} == {"first", "second"}


def test_regions_that_were_there_before_do_not_disturb(server: Server, figure: str) -> None:
    earlier = drawn_box(20, 2, 65, 92) | {"id": "old", "origin": "prediction"}

    assert_one_person_in_an_own_box(answer(server, figure, earlier, drawn_point(50, 40)))


def test_a_box_on_the_empty_sky_gives_an_empty_result(server: Server, figure: str) -> None:
    assert answer(server, figure, drawn_box(1, 1, 15, 15)) == []


def test_a_point_on_the_empty_sky_gives_an_empty_result(server: Server, figure: str) -> None:
    assert answer(server, figure, drawn_point(4, 4)) == []


@pytest.mark.parametrize(
    "region",
    [
        drawn_box(20, 2, 0, 0),
        drawn_box(150, 150, 10, 10),
        drawn_box(float(10**300), 0, 1, 1),
        drawn_point(-50, 20),
        drawn_box(1, 1, 1, 1) | {"value": {"x": "1"}},
        drawn_box(1, 1, 1, 1) | {"value": None},
        drawn_box(20, 2, 65, 92) | {"type": "brushlabels"},
        drawn_box(20, 2, 65, 92) | {"to_name": "another"},
    ],
)
def test_what_cannot_be_used_fails_its_task_only(server: Server, figure: str, region: dict[str, Any]) -> None:
    (slot,) = server.predict(figure, label_config=LABEL_CONFIG, context={"result": [region]})

    assert slot == []
    assert server.ask("GET", "/status").json["last_failures"][-1]["reason"] in ("prompt", "label_config")


@pytest.mark.promise("smart-tool-first")
@pytest.mark.parametrize(("batches", "limit_s"), [([60], 2), ([30, 30], 3)], ids=["one of 60", "two of 30"])
def test_a_smart_tool_goes_before_batches(
    server: Server, new_figure: Callable[[], str], batches: list[int], limit_s: float, within: Within
) -> None:
    with ThreadPoolExecutor() as callers:
        running: list[Future[list[Any]]] = [
            callers.submit(server.predict, *(new_figure() for _ in range(count)), label_config=LABEL_CONFIG)
            for count in batches
        ]
        while server.metric("rtmlib_tasks_in_hand") < 12:
            time.sleep(0.01)
        with within(limit_s):
            assert boxes(answer(server, new_figure(), drawn_box(20, 2, 65, 92)))
        assert any(not batch.done() for batch in running)
    assert all(slot for batch in running for slot in batch.result()), "batches get their answers"
