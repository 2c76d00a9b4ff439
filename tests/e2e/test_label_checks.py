"""`check-labels --write` adds a column that the data manager sorts by, and leaves annotations as they are."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_mistakes import labelled
from benchmarks.made_people import made_person
from tests.e2e.commands import command
from tests.e2e.label_studio import LabelStudio
from wholebody.schema import KEYPOINTS

SIZE = 1000
HANDS_SWAPPED = [*range(91), *range(112, 133), *range(91, 112)]


def regions(order: list[int]) -> list[dict[str, Any]]:
    """A person who faces the camera; `order` gives the position that each keypoint has."""
    people = (made_person(np.random.default_rng(at), 500, 500, 600) for at in range(6, 100))
    made = next(person for person in people if abs(person.yaw) < 0.3)
    person = labelled(replace(made, seen=np.ones(133, np.bool_)))
    common = {"to_name": "image", "original_width": SIZE, "original_height": SIZE, "image_rotation": 0}
    x1, y1, x2, y2 = (float(edge) / SIZE * 100 for edge in person.box)
    value = {
        "x": x1,
        "y": y1,
        "width": x2 - x1,
        "height": y2 - y1,
        "rotation": 0,
        "rectanglelabels": ["person"],
    }
    drawn = [{**common, "id": "p0-box", "type": "rectanglelabels", "from_name": "person", "value": value}]
    for keypoint, at in zip(KEYPOINTS, order, strict=True):
        x, y = (float(position) / SIZE * 100 for position in person.keypoints[at])
        value = {"x": x, "y": y, "width": 0.3, "keypointlabels": [keypoint.name]}
        one = {
            "id": f"p0-{keypoint.name}",
            "type": "keypointlabels",
            "from_name": "keypoints",
            "parentID": "p0-box",
        }
        drawn.append({**common, **one, "value": value})
    return drawn


def test_the_data_manager_sorts_by_the_written_column(
    label_studio: LabelStudio, label_config: str, tmp_path: Path
) -> None:
    project = label_studio.project("Wrong labels", label_config)
    data = [{"image": f"https://pictures.example/{n}.jpg", "note": f"kept {n}"} for n in range(3)]
    tasks = label_studio.import_tasks(project, data)
    for task, order in zip(tasks, ([*range(133)], HANDS_SWAPPED, [*range(133)]), strict=True):
        label_studio.annotate(task, regions(order))
    before = [label_studio.annotations(task) for task in tasks]

    command(
        label_studio, tmp_path, "check-labels", "--project", str(project), "--write", "--json", "found.json"
    )

    (found,) = json.loads((tmp_path / "found.json").read_text("utf-8"))["suspicions"]
    assert (found["task"], found["reason"]) == (tasks[1], "left and right of the hands are swapped")
    columns = label_studio.call("GET", f"/api/dm/columns?project={project}")["columns"]
    assert {"label_check", "label_check_reason"} <= {column["id"] for column in columns}
    view = label_studio.call(
        "POST",
        "/api/dm/views",
        json={"project": project, "data": {"title": "Suspicious", "ordering": ["-tasks:data.label_check"]}},
    )["id"]
    page = label_studio.call("GET", f"/api/tasks?project={project}&view={view}")["tasks"]
    assert page[0]["id"] == tasks[1]
    assert page[0]["data"]["label_check"] > 0.5
    assert {task["data"]["label_check"] for task in page[1:]} == {0}
    assert sorted(task["data"]["note"] for task in page) == ["kept 0", "kept 1", "kept 2"]
    assert [label_studio.annotations(task) for task in tasks] == before
