"""Tasks with a list of pictures: every frame has its own people, in predictions and with the smart tools."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.label_studio.label_config.template import Selection, label_config_template
from tests.e2e import scenes
from tests.e2e.backend import Backend
from tests.e2e.browser import Browser
from tests.e2e.label_studio import LabelStudio
from tests.e2e.labeling_page import LabelingPage

CONFIG = label_config_template([Selection.BODY], frames=True)
NOTES = (
    "[...document.querySelectorAll('.lsf-outliner .lsf-textarea-tag__item input')].map(note => note.value)"
)


@pytest.fixture(scope="module")
def frames(label_studio: LabelStudio) -> list[str]:
    """Addresses of uploaded pictures with one, two and three people."""
    project = label_studio.project("Where the frames are", label_config_template([Selection.BODY]))
    tasks = label_studio.upload(project, {f"frame-{n}.jpg": scenes.jpeg(n) for n in (1, 2, 3)})
    return [label_studio.call("GET", f"/api/tasks/{task}")["data"]["image"] for task in tasks]


def test_every_frame_shows_its_own_people(
    label_studio: LabelStudio,
    backend: Backend,
    browser: Browser,
    frames: list[str],
    screenshot: Callable[..., Path],
) -> None:
    project = label_studio.project("Frames", CONFIG)
    (task,) = label_studio.import_tasks(project, [{"frames": frames}])
    label_studio.connect(project, backend.wire.url)

    page = LabelingPage(browser, label_studio, project, task)
    assert "frame 1, p0" in browser.evaluate(NOTES)
    page.next_frame()
    screenshot("label-studio-frames.jpg")
    page.submit()

    (stored,) = label_studio.predictions(task)
    (annotation,) = label_studio.annotations(task)
    for result in (stored["result"], annotation["result"]):
        assert _people(result) == {0: 1, 1: 2, 2: 3}
        drawn = [
            region for region in result if region["type"] != "textarea"
        ]  # notes have the id of their region
        frame_of = {region["id"]: region["item_index"] for region in drawn}
        assert len(frame_of) == len(drawn)
        points = [region for region in result if region["type"] == "keypointlabels"]
        assert all(region["item_index"] == frame_of[region["parentID"]] for region in points)
    for frame, people in enumerate((1, 2, 3)):
        noses = sorted(
            region["value"]["x"]
            for region in stored["result"]
            if region["item_index"] == frame and region["value"].get("keypointlabels") == ["nose"]
        )
        assert noses == pytest.approx([person["nose"][0] for person in scenes.drawn_points(people)], abs=3)


def test_the_data_manager_shows_the_first_frame(
    label_studio: LabelStudio, browser: Browser, frames: list[str]
) -> None:
    project = label_studio.project("Frames in the data manager", CONFIG)
    label_studio.import_tasks(project, [{"frames": frames}])

    browser.open(f"{label_studio.url}/projects/{project}/data")

    browser.wait_for("name => [...document.images].some(image => image.src.endsWith(name))", frames[0])


def test_a_part_is_added_to_the_person_of_the_frame_in_view(
    label_studio: LabelStudio, backend: Backend, browser: Browser, frames: list[str]
) -> None:
    xml = label_config_template([Selection.WHOLE], skeleton=True, frames=True)
    project = label_studio.project("Adding in a frame", xml)
    (task,) = label_studio.import_tasks(project, [{"frames": frames}])
    label_studio.connect(project, backend.wire.url)
    label_studio.open_task(project, task)
    (stored,) = label_studio.predictions(task)
    faces = [r for r in stored["result"] if r["item_index"] == 1 and "-bones-face_" in r["id"]]
    left = [r for r in stored["result"] if r not in faces]
    label_studio.replace_prediction(stored, left)
    page = LabelingPage(browser, label_studio, project, task)
    page.switch_auto_annotation_on()
    page.switch_auto_accept(on=False)
    page.next_frame()
    person = scenes.drawn_points(2)[0]

    page.press("m")
    page.press("f")
    page.click((person["nose"][0], (person["nose"][1] + person["left_shoulder"][1]) / 2))
    page.suggestions()
    page.accept_suggestions()
    page.submit()

    (annotation,) = label_studio.annotations(task)
    known = {region["id"] for region in left}
    added = [region for region in annotation["result"] if region["id"] not in known]
    assert len(added) >= 8
    assert {region["item_index"] for region in added} == {1}
    (handle,) = {region["parentID"] for region in added}
    assert handle.startswith("f1-p")
    assert handle in known


def test_a_rectangle_drawn_on_a_frame_is_answered_on_this_frame(
    label_studio: LabelStudio, backend: Backend, browser: Browser, frames: list[str]
) -> None:
    project = label_studio.project("Smart frames", CONFIG)
    label_studio.call("PATCH", f"/api/projects/{project}", json={"show_collab_predictions": False})
    (task,) = label_studio.import_tasks(project, [{"frames": frames}])
    label_studio.connect(project, backend.wire.url)
    page = LabelingPage(browser, label_studio, project, task)
    page.switch_auto_annotation_on()
    page.switch_auto_accept(on=False)

    page.next_frame()
    page.choose("rectangle-tool", "person")
    page.draw_rectangle((62, 13), (88, 98))
    page.suggestions()
    page.accept_suggestions()
    page.submit()

    asked = backend.wire.requests("/predict")[-1].body["params"]["context"]["result"]
    assert [region["item_index"] for region in asked] == [1]
    (annotation,) = label_studio.annotations(task)
    assert _people(annotation["result"]) == {1: 1}
    assert {region["item_index"] for region in annotation["result"]} == {1}


def _people(result: list[dict[str, object]]) -> Counter[object]:
    """How many people there are on each frame."""
    return Counter(region["item_index"] for region in result if region["type"] == "rectanglelabels")
