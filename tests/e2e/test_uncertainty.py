"""What to annotate first: tasks ordered in the data manager by confidence and by uncertainty."""

import re
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e import scenes
from tests.e2e.backend import ROOT, Backend
from tests.e2e.conftest import LABEL_STUDIO
from tests.e2e.label_studio import LabelStudio

MANUAL = ROOT / "docs" / "label-studio.md"


def test_tasks_can_be_ordered_by_confidence_and_by_uncertainty(
    label_studio: LabelStudio, backend: Backend, label_config: str, tmp_path: Path
) -> None:
    project = label_studio.project("What first", label_config)
    pictures = {f"{n}.jpg": scenes.jpeg(n, quality=quality) for n, quality in ((1, 85), (2, 12), (3, 4))}
    tasks = label_studio.upload(project, pictures)
    label_studio.connect(project, backend.wire.url)
    label_studio.retrieve_predictions(project, tasks)
    stored = {task: label_studio.predictions(task)[0] for task in tasks}

    scores = {task: prediction["score"] for task, prediction in stored.items()}
    assert len(set(scores.values())) == len(tasks)
    # Until then the column is empty: Label Studio looks for predictions whose version is the title of the model.
    chosen = {"model_version": backend.status()["model_version"]}
    label_studio.call("PATCH", f"/api/projects/{project}", json=chosen)
    assert ordered(label_studio, project, "tasks:predictions_score") == sorted(tasks, key=scores.__getitem__)

    program = tmp_path / "order.py"
    program.write_text(_program(label_studio, project))
    subprocess.run([LABEL_STUDIO.with_name("python"), program], check=True, timeout=120)

    doubts = {
        task: max(region["meta"]["uncertainty"] for region in prediction["result"] if "meta" in region)
        for task, prediction in stored.items()
    }
    assert len(set(doubts.values())) == len(tasks)
    most_doubtful_first = sorted(tasks, key=doubts.__getitem__, reverse=True)
    assert ordered(label_studio, project, "-tasks:data.uncertainty") == most_doubtful_first
    data: dict[str, Any] = label_studio.call("GET", f"/api/tasks/{tasks[0]}")["data"]
    assert data["image"].startswith("/data/upload/"), "the rest of the data is as it was"


def ordered(label_studio: LabelStudio, project: int, by: str) -> list[int]:
    """The tasks as a tab of the data manager shows them."""
    body = {"project": project, "data": {"title": by, "ordering": [by]}}
    view = label_studio.call("POST", "/api/dm/views", json=body)["id"]
    page = label_studio.call("GET", f"/api/tasks?project={project}&view={view}")
    return [task["id"] for task in page["tasks"]]


def _program(label_studio: LabelStudio, project: int) -> str:
    """The manual's program, with our address, token and project."""
    (program,) = re.findall(r"```python\n(.*?label_studio_sdk.*?)```", MANUAL.read_text(), re.DOTALL)
    for theirs, ours in (
        ("http://label-studio:8080", label_studio.url),
        ("a personal access token", label_studio.token),
        ("PROJECT = 1", f"PROJECT = {project}"),
    ):
        assert program.count(theirs) == 1, theirs
        program = program.replace(theirs, ours)
    return program
