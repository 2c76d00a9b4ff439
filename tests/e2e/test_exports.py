"""What was predicted and submitted comes out of Label Studio's YOLO export, person by person."""

import io
import zipfile

from tests.e2e import scenes
from tests.e2e.backend import Backend
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
