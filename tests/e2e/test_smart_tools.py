"""Draw with the smart tools, accept, submit: a person of one's own, whose points belong to their box."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import scenes
from tests.e2e.backend import Backend
from tests.e2e.browser import Browser
from tests.e2e.label_studio import LabelStudio
from tests.e2e.labeling_page import LabelingPage
from tests.e2e.processes import wait_until
from tests.e2e.test_opening_a_task import people_of
from tests.e2e.wire import Exchange

PRINTED_BEFORE = Path(__file__).parents[1] / "data" / "label_studio" / "printed_before_points.xml"


@pytest.fixture
def page(label_studio: LabelStudio, backend: Backend, browser: Browser) -> LabelingPage:
    """A task with two people, where nothing is drawn yet; in its label config, points are smart tools themselves."""
    project = label_studio.project("Smart tools", PRINTED_BEFORE.read_text("utf-8"))
    label_studio.call("PATCH", f"/api/projects/{project}", json={"show_collab_predictions": False})
    (task,) = label_studio.upload(project, {"two.jpg": scenes.jpeg(2)})
    label_studio.connect(project, backend.wire.url)
    page = LabelingPage(browser, label_studio, project, task)
    page.switch_auto_annotation_on()
    page.switch_auto_accept(on=False)  # which Label Studio keeps from one task to the next
    return page


def test_a_rectangle_around_a_person_gives_a_box_with_their_points_under_it(
    page: LabelingPage, label_studio: LabelStudio, backend: Backend, screenshot: Callable[..., Path]
) -> None:
    page.choose("rectangle-tool", "person")
    page.draw_rectangle((3, 3), (33, 98))
    offered = page.suggestions()
    screenshot("label-studio-smart-rectangle.jpg")
    page.accept_suggestions()
    rows = page.region_rows()
    page.submit()

    drawn = _interactive(backend)[-1].body["params"]["context"]["result"][-1]["id"]
    assert [row.label for row in rows if row.depth == 0] == ["person"]
    assert len(rows) == offered
    (annotation,) = label_studio.annotations(page.task)
    assert drawn not in {region["id"] for region in annotation["result"]}
    (person,) = people_of(annotation["result"])  # which fails where a point's box is not there
    assert len(person) == offered - 1
    nose = person["nose"]["value"]
    assert nose["x"] == pytest.approx(scenes.drawn_points(2)[0]["nose"][0], abs=3)


def test_a_keypoint_on_a_person_gives_this_person(
    page: LabelingPage, label_studio: LabelStudio, backend: Backend, screenshot: Callable[..., Path]
) -> None:
    second = scenes.drawn_points(2)[1]

    page.choose("key-point-tool", "nose")
    page.click(second["nose"])
    page.suggestions()
    screenshot("label-studio-smart-keypoint.jpg")
    page.accept_suggestions()
    page.submit()

    (annotation,) = label_studio.annotations(page.task)
    (person,) = people_of(annotation["result"])
    assert person["nose"]["value"]["x"] == pytest.approx(second["nose"][0], abs=3)
    asked = _interactive(backend)[-1].body["params"]["context"]["result"]
    assert [region["is_positive"] for region in asked] == [True]


def test_a_second_person_joins_the_first_when_each_is_accepted(
    page: LabelingPage, label_studio: LabelStudio
) -> None:
    for corner, opposite in (((3, 3), (33, 98)), ((62, 13), (88, 98))):
        page.choose("rectangle-tool", "person")
        page.draw_rectangle(corner, opposite)
        page.suggestions()
        page.accept_suggestions()
    page.submit()

    (annotation,) = label_studio.annotations(page.task)
    found = people_of(annotation["result"])
    noses = [person["nose"]["value"]["x"] for person in found]
    assert noses == pytest.approx([drawn["nose"][0] for drawn in scenes.drawn_points(2)], abs=3)


def test_people_drawn_one_after_the_other_are_accepted_together(
    page: LabelingPage, label_studio: LabelStudio, backend: Backend
) -> None:
    page.draw_by_hand("rectangle-tool", "person", (42, 20), (55, 60))
    for corner, opposite in (((3, 3), (33, 98)), ((62, 13), (88, 98))):
        page.choose("rectangle-tool", "person")
        page.draw_rectangle(corner, opposite)
        page.suggestions()
    _wait_for_requests(backend, page, 2)
    page.accept_suggestions()
    page.submit()

    asked = _interactive(backend)[-1].body["params"]["context"]["result"]
    assert len(asked) == 3, "the one drawn by hand looks as if it waited, too"
    (annotation,) = label_studio.annotations(page.task)
    found = people_of(annotation["result"])
    noses = [person["nose"]["value"]["x"] for person in found if person]
    assert noses == pytest.approx([drawn["nose"][0] for drawn in scenes.drawn_points(2)], abs=3)
    assert [len(person) for person in found].count(0) == 1, "the box drawn by hand stays as it is"
    boxes = [region["id"] for region in annotation["result"] if region["type"] == "rectanglelabels"]
    assert asked[0]["id"] in boxes
    assert asked[1]["id"] not in boxes
    assert asked[2]["id"] not in boxes


def test_with_auto_accept_several_people_can_be_drawn_one_after_the_other(
    page: LabelingPage, label_studio: LabelStudio, backend: Backend
) -> None:
    page.switch_auto_accept(on=True)
    for drawn, (corner, opposite) in enumerate((((3, 3), (33, 98)), ((62, 13), (88, 98))), start=1):
        page.choose("rectangle-tool", "person")
        page.draw_rectangle(corner, opposite)
        _wait_for_requests(backend, page, drawn)
    page.submit()

    (annotation,) = label_studio.annotations(page.task)
    found = people_of(annotation["result"])
    noses = [person["nose"]["value"]["x"] for person in found]
    assert noses == pytest.approx([drawn["nose"][0] for drawn in scenes.drawn_points(2)], abs=3)


def test_a_negative_point_beside_a_positive_one_leaves_the_person_of_the_positive_one(
    page: LabelingPage, label_studio: LabelStudio, backend: Backend
) -> None:
    first, second = scenes.drawn_points(2)

    page.choose("key-point-tool", "nose")
    page.click(first["nose"])
    page.suggestions()
    page.choose("key-point-tool", "nose")
    page.click(second["nose"], holding="alt")
    _wait_for_requests(backend, page, 2)
    page.suggestions()
    page.accept_suggestions()
    page.submit()

    asked = _interactive(backend)[-1].body["params"]["context"]["result"]
    assert [region["is_positive"] for region in asked] == [True, False]
    (annotation,) = label_studio.annotations(page.task)
    (person,) = people_of(annotation["result"])
    assert person["nose"]["value"]["x"] == pytest.approx(first["nose"][0], abs=3)


def test_a_rectangle_with_nobody_in_it_suggests_nothing(page: LabelingPage, backend: Backend) -> None:
    page.choose("rectangle-tool", "person")
    page.draw_rectangle((40, 5), (58, 80))

    _wait_for_requests(backend, page, 1)

    (slot,) = _interactive(backend)[-1].answer["results"]
    assert slot["result"] == []
    assert [row.depth for row in page.region_rows()] == [0]


def _interactive(backend: Backend) -> list[Exchange]:
    return [asked for asked in backend.wire.requests("/predict") if asked.body["params"].get("context")]


def _wait_for_requests(backend: Backend, page: LabelingPage, count: int) -> None:
    """Wait until so many drawings on this page's task were answered."""
    wait_until(
        lambda: sum(asked.body["tasks"][0]["id"] == page.task for asked in _interactive(backend)) >= count,
        30,
        f"{count} drawings answered",
    )
