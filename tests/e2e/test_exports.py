"""What was predicted and submitted comes out again person by person: Label Studio's YOLO export, and ours."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from tests.e2e import scenes
from tests.e2e.backend import Backend
from tests.e2e.commands import command
from tests.e2e.label_studio import LabelStudio
from wholebody.schema import KEYPOINT_COUNT

COLUMNS = 1 + 4 + 3 * KEYPOINT_COUNT  # class, box, and x, y, visibility of every keypoint


def test_the_yolo_export_has_a_row_with_all_keypoints_for_every_person(
    label_studio: LabelStudio, backend: Backend, label_config: str
) -> None:
    project = label_studio.project("Export", label_config)
    tasks = label_studio.upload(project, {f"{n}.jpg": scenes.jpeg(n) for n in (1, 2, 3)})
    label_studio.connect(project, backend.wire.url)
    label_studio.retrieve_predictions(project, tasks)
    for task in tasks:
        (stored,) = label_studio.predictions(task)
        label_studio.annotate(task, stored["result"])

    archive = zipfile.ZipFile(io.BytesIO(label_studio.export(project, "YOLO")))

    files = sorted(name for name in archive.namelist() if name.endswith(".txt") and "labels/" in name)
    rows = [[line.split() for line in archive.read(name).decode().splitlines()] for name in files]
    assert sorted(len(people) for people in rows) == [1, 2, 3]
    assert {len(columns) for people in rows for columns in people} == {COLUMNS} == {404}
    for people in rows:
        noses = sorted(100 * float(columns[5]) for columns in people)
        drawn = [points["nose"][0] for points in scenes.drawn_points(len(people))]
        assert all(abs(nose - x) < 3 for nose, x in zip(noses, drawn, strict=True))


def test_our_export_has_an_annotation_with_all_groups_of_keypoints_for_every_person(
    label_studio: LabelStudio, backend: Backend, label_config: str, tmp_path: Path
) -> None:
    project, tasks = annotated_project(label_studio, backend, label_config, "COCO-WholeBody")

    said = command(label_studio, tmp_path, "export-coco", "coco.json", "--project", str(project))

    assert "coco.json: 3 pictures, 6 people; Annotations of COCO-WholeBody" in said
    document = json.loads((tmp_path / "coco.json").read_text("utf-8"))
    assert [image["task_id"] for image in document["images"]] == tasks
    assert all(image["file_name"].endswith(f"{n}.jpg") for n, image in enumerate(document["images"], start=1))
    width, height = scenes.SIZE
    for image in document["images"]:
        assert (image["width"], image["height"]) == scenes.SIZE
        people = [person for person in document["annotations"] if person["image_id"] == image["id"]]
        drawn = scenes.drawn_points(image["id"])
        assert len(people) == len(drawn)
        for person, points in zip(sorted(people, key=lambda one: one["keypoints"][0]), drawn, strict=True):
            x, y, flag = person["keypoints"][:3]
            assert flag == 2
            assert (x, y) == pytest.approx(
                (points["nose"][0] * width / 100, points["nose"][1] * height / 100), abs=8
            )
            assert person["face_valid"]
            assert len(person["face_kpts"]) == 68 * 3


def test_predictions_and_what_was_submitted_unchanged_agree_and_a_deleted_person_is_invented(
    label_studio: LabelStudio, backend: Backend, label_config: str, tmp_path: Path
) -> None:
    project, tasks = annotated_project(label_studio, backend, label_config, "Evaluation", delete_one_in=3)

    command(label_studio, tmp_path, "evaluate", "--project", str(project), "--json", "figures.json")

    figures = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert figures["groups"]["wholebody"]["people"] == 5
    assert figures["groups"]["wholebody"]["ar"] == pytest.approx(1)
    worst, *others = figures["pictures"]
    assert (worst["task"], worst["invented"], worst["agreement"]) == (
        tasks[2],
        1,
        pytest.approx(2 / 3, abs=1e-3),
    )
    assert all(picture["agreement"] == pytest.approx(1, abs=1e-3) for picture in others)


def annotated_project(
    label_studio: LabelStudio,
    backend: Backend,
    label_config: str,
    title: str,
    delete_one_in: int | None = None,
) -> tuple[int, list[int]]:
    """A project with one, two and three people, predicted and submitted, of whom one may be deleted before."""
    project = label_studio.project(title, label_config)
    tasks = label_studio.upload(project, {f"{n}.jpg": scenes.jpeg(n) for n in (1, 2, 3)})
    label_studio.connect(project, backend.wire.url)
    label_studio.retrieve_predictions(project, tasks)
    for people, task in enumerate(tasks, start=1):
        (stored,) = label_studio.predictions(task)
        gone = "p0-" if people == delete_one_in else "nothing"
        label_studio.annotate(
            task, [region for region in stored["result"] if not region["id"].startswith(gone)]
        )
    return project, tasks
