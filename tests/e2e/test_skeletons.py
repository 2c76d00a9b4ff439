"""Bones as lines: drawn over the people, nested under their boxes, and the same after submitting."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from adapters.label_studio.label_config.parsing import parse_label_config
from tests.e2e import scenes
from tests.e2e.backend import Backend
from tests.e2e.browser import Browser
from tests.e2e.commands import command
from tests.e2e.label_studio import LabelStudio
from tests.e2e.labeling_page import LabelingPage

GREEN = ImageColor.getrgb("#2ca02c")


@pytest.fixture(scope="module")
def skeleton_config() -> str:
    """What the command printed before bones came without boxes: it stays in people's projects."""
    file = Path(__file__).parents[1] / "data" / "label_studio" / "printed_before_bones.xml"
    return file.read_text("utf-8")


def test_bones_lie_on_the_people_and_survive_submitting(  # noqa: PLR0917 - fixtures
    label_studio: LabelStudio,
    backend: Backend,
    browser: Browser,
    skeleton_config: str,
    screenshot: Callable[..., Path],
    tmp_path: Path,
) -> None:
    assert parse_label_config(skeleton_config).sentences == ()
    project = label_studio.project("Skeletons", skeleton_config)
    (task,) = label_studio.upload(project, {"two.jpg": scenes.jpeg(2)})
    label_studio.connect(project, backend.wire.url)

    page = LabelingPage(browser, label_studio, project, task)
    rows = page.region_rows()
    browser.evaluate("document.querySelector('.lsf-tree-list-holder').scrollTop = 0")
    screenshot("label-studio-skeleton.jpg")
    browser.screenshot(tmp_path / "page.png")
    page.submit()

    (stored,) = label_studio.predictions(task)
    assert [row.label for row in rows if row.depth == 0] == ["person", "person"]
    assert {row.label for row in rows if row.depth == 1} <= {"body", "left_hand", "right_hand", "face"}
    assert len(rows) == len(stored["result"])
    painted = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"), int)
    for person in scenes.drawn_points(2):
        for a, b in (
            ("left_shoulder", "left_elbow"),
            ("right_shoulder", "right_elbow"),
            ("left_knee", "left_ankle"),
        ):
            middle = ((person[a][0] + person[b][0]) / 2, (person[a][1] + person[b][1]) / 2)
            x, y = (round(one) for one in page.place(middle))
            near = painted[y - 8 : y + 9, x - 8 : x + 9]
            assert np.abs(near - GREEN).max(axis=2).min() < 60, f"no bone between {a} and {b}"
    (annotation,) = label_studio.annotations(task)
    assert trees(annotation["result"]) == trees(stored["result"])
    kept, predicted = vertices(annotation["result"]), vertices(stored["result"])
    assert kept == pytest.approx(predicted, abs=0.011), "Label Studio rounds to hundredths of a percent"
    exported = tmp_path / "people.json"
    command(label_studio, tmp_path, "export-coco", str(exported), "--project", str(project))
    people = sorted(json.loads(exported.read_text("utf-8"))["annotations"], key=lambda one: one["bbox"][0])
    for person, points in zip(people, scenes.drawn_points(2), strict=True):
        x, y, flag = person["keypoints"][:3]
        nose = [share * side / 100 for share, side in zip(points["nose"], scenes.SIZE, strict=True)]
        assert flag == 2
        assert (x, y) == pytest.approx(nose, abs=8)


def test_a_smart_rectangle_suggests_bones(
    label_studio: LabelStudio, backend: Backend, browser: Browser, skeleton_config: str
) -> None:
    project = label_studio.project("Smart bones", skeleton_config)
    label_studio.call("PATCH", f"/api/projects/{project}", json={"show_collab_predictions": False})
    (task,) = label_studio.upload(project, {"two.jpg": scenes.jpeg(2)})
    label_studio.connect(project, backend.wire.url)
    page = LabelingPage(browser, label_studio, project, task)
    page.switch_auto_annotation_on()
    page.switch_auto_accept(on=False)

    page.choose("rectangle-tool", "person")
    page.draw_rectangle((3, 3), (33, 98))
    offered = page.suggestions()
    page.accept_suggestions()
    page.submit()

    (annotation,) = label_studio.annotations(task)
    assert len(annotation["result"]) == offered
    (box,) = [region["id"] for region in annotation["result"] if region["type"] == "rectanglelabels"]
    bones = [region for region in annotation["result"] if region["type"] == "vectorlabels"]
    assert {region["parentID"] for region in bones} == {box}
    assert "body" in {region["value"]["vectorlabels"][0] for region in bones}


def trees(result: list[dict[str, Any]]) -> dict[str, list[tuple[Any, ...]]]:
    """Every line's label and parent, and what its vertices hang on."""
    return {
        line["id"]: [
            (line["value"]["vectorlabels"][0], line["parentID"]),
            *((vertex["id"], vertex["prevPointId"]) for vertex in line["value"]["vertices"]),
        ]
        for line in lines(result)
    }


def vertices(result: list[dict[str, Any]]) -> dict[str, float]:
    """Where every line's vertices are, in percent."""
    return {
        f"{line['id']} {vertex['id']} {axis}": vertex[axis]
        for line in lines(result)
        for vertex in line["value"]["vertices"]
        for axis in ("x", "y")
    }


def lines(result: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [region for region in result if region["type"] == "vectorlabels"]
