"""Add a model, open a task: every person with a box, and named keypoints under it, where they belong."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from tests.e2e import scenes
from tests.e2e.backend import Backend
from tests.e2e.browser import Browser
from tests.e2e.label_studio import LabelStudio
from tests.e2e.labeling_page import LabelingPage
from wholebody.palette import keypoint_colour
from wholebody.schema import KEYPOINTS

FAR = 5.0  # percent of the picture's height: less than half a head of the smallest figure
Regions = list[dict[str, Any]]


def test_add_model_accepts_the_address(
    label_studio: LabelStudio,
    backend: Backend,
    browser: Browser,
    label_config: str,
    screenshot: Callable[..., Path],
) -> None:
    project = label_studio.project("Add a model", label_config)
    browser.open(f"{label_studio.url}/projects/{project}/settings/ml")
    browser.click("button", "Connect Model")
    browser.fill("input[name=title]", "RTMLib")
    browser.fill("input[name=url]", backend.wire.url)
    browser.click("label:has(> * input[name=is_interactive]), label:has(input[name=is_interactive]) span")
    assert browser.evaluate("document.querySelector('input[name=is_interactive]').checked")
    screenshot("label-studio-connect.png", (240, 40, 800, 700))

    browser.click("button", "Validate and Save")

    browser.wait_for("document.body.innerText.includes('Connected')")
    screenshot("label-studio-connected.png", (240, 48, 730, 220))
    connected = label_studio.call("GET", f"/api/ml?project={project}")[0]
    assert connected["state"] == "CO"
    assert connected["is_interactive"]
    assert connected["model_version"] == backend.status()["model_version"]


@pytest.fixture(scope="module")
def project(label_studio: LabelStudio, backend: Backend, label_config: str) -> tuple[int, list[int]]:
    """A connected project, and its tasks with one, two and three people."""
    project = label_studio.project("Open a task", label_config)
    tasks = label_studio.upload(project, {f"people-{n}.jpg": scenes.jpeg(n) for n in (1, 2, 3)})
    label_studio.connect(project, backend.wire.url)
    return project, tasks


def test_opening_a_task_stores_one_prediction_of_the_version_that_setup_answered(
    label_studio: LabelStudio, backend: Backend, project: tuple[int, list[int]]
) -> None:
    number, tasks = project

    for _ in range(2):
        label_studio.open_task(number, tasks[0])

    (stored,) = label_studio.predictions(tasks[0])
    assert stored["model_version"] == backend.status()["model_version"]
    assert stored["model_version"] == backend.wire.requests("/setup")[-1].answer["model_version"]
    assert 0.5 < stored["score"] <= 1


@pytest.mark.parametrize("people", [1, 2, 3])
def test_every_person_has_a_box_and_named_keypoints_where_they_were_drawn(
    label_studio: LabelStudio, project: tuple[int, list[int]], people: int
) -> None:
    number, tasks = project
    label_studio.open_task(number, tasks[people - 1])
    (stored,) = label_studio.predictions(tasks[people - 1])

    found = people_of(stored["result"])

    assert len(found) == people
    for person, drawn in zip(found, scenes.drawn_points(people), strict=True):
        for name, (x, y) in drawn.items():
            value = person[name]["value"]
            aspect = scenes.SIZE[0] / scenes.SIZE[1]
            assert np.hypot((value["x"] - x) * aspect, value["y"] - y) < FAR, name


def test_the_region_panel_nests_every_point_under_its_person(
    label_studio: LabelStudio,
    browser: Browser,
    project: tuple[int, list[int]],
    screenshot: Callable[..., Path],
) -> None:
    number, tasks = project
    page = LabelingPage(browser, label_studio, number, tasks[1])

    rows = page.region_rows()

    (stored,) = label_studio.predictions(tasks[1])
    assert [row.depth for row in rows if row.label == "person"] == [0, 0]
    names = {keypoint.name for keypoint in KEYPOINTS}
    assert {row.depth for row in rows if row.label in names} == {1}
    assert Counter(row.label for row in rows) == Counter(label_of(region) for region in stored["result"])
    browser.evaluate("document.querySelector('.lsf-tree-list-holder').scrollTop = 0")
    screenshot("label-studio-task.jpg")


def test_the_points_are_painted_on_the_people(
    label_studio: LabelStudio, browser: Browser, project: tuple[int, list[int]], tmp_path: Path
) -> None:
    number, tasks = project
    page = LabelingPage(browser, label_studio, number, tasks[2])
    browser.place(".lsf-outliner [role=treeitem]")

    browser.screenshot(tmp_path / "page.png")

    pixels = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"), int)
    for drawn in scenes.drawn_points(3):
        for name in ("left_wrist", "right_wrist", "left_knee", "right_knee"):
            x, y = (round(one) for one in page.place(drawn[name]))
            near = pixels[y - 8 : y + 9, x - 8 : x + 9]
            index = next(one.index for one in KEYPOINTS if one.name == name)
            wanted = ImageColor.getrgb(keypoint_colour(index))
            assert np.abs(near - wanted).max(axis=2).min() < 60, f"{name}: its colour is not at {x}, {y}"


@pytest.mark.skipif(not scenes.PHOTO.exists(), reason="no photograph: the folder shared/photos is not there")
def test_people_in_a_photograph_have_their_hands(
    label_studio: LabelStudio, backend: Backend, label_config: str
) -> None:
    number = label_studio.project("A photograph", label_config)
    (task,) = label_studio.upload(number, {"photo.jpg": scenes.PHOTO.read_bytes()})
    label_studio.connect(number, backend.wire.url)

    label_studio.open_task(number, task)

    (stored,) = label_studio.predictions(task)
    found = people_of(stored["result"])
    assert len(found) >= 4
    assert sum(f"{side}_index_8" in person for person in found for side in ("left", "right")) >= 4


def test_the_test_button_of_the_model_page_gets_a_prediction(
    label_studio: LabelStudio, backend: Backend, label_config: str
) -> None:
    number = label_studio.project("Test button", label_config)
    label_studio.upload(number, {"one.jpg": scenes.jpeg(1)})
    model = label_studio.connect(number, backend.wire.url)

    answer = label_studio.call("POST", f"/api/ml/{model['id']}/predict/test?random=true")

    assert answer["status"] == 200, answer
    assert len(people_of(answer["response"][0]["result"])) == 1


def people_of(result: Regions) -> list[dict[str, dict[str, Any]]]:
    """The people of a prediction from left to right: keypoint name to region. No point may be without a person."""
    boxes = [region for region in result if region["type"] == "rectanglelabels"]
    boxes.sort(key=lambda box: box["value"]["x"])
    people: dict[str, dict[str, dict[str, Any]]] = {box["id"]: {} for box in boxes}
    for region in result:
        if region["type"] == "keypointlabels":
            people[region["parentID"]][label_of(region)] = region
    return [people[box["id"]] for box in boxes]


def label_of(region: dict[str, Any]) -> str:
    return region["value"][region["type"]][0]
