"""`rtmlib-backend preannotate` on projects of the real Label Studio."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from adapters.cli.preannotate import SOME_FAILED
from tests.e2e import scenes
from tests.e2e.conftest import StartBackend
from tests.e2e.label_studio import LabelStudio
from tests.e2e.processes import wait_until
from tests.support.pictures import encoded

TASKS = 200
RUN_LIMIT_S = 240


class Preannotate:
    """The command, with Label Studio's address and a personal access token."""

    def __init__(self, label_studio: LabelStudio, folder: Path, **settings: str) -> None:
        self._environment = {
            **os.environ,
            "LABEL_STUDIO_URL": label_studio.url,
            "LABEL_STUDIO_API_TOKEN": label_studio.token,
            **settings,
        }
        self.folder = folder
        self._started = 0

    def start(self, project: int, *options: str) -> subprocess.Popen[bytes]:
        self._started += 1
        program = Path(sys.executable).with_name("rtmlib-backend")
        with (self.folder / f"run-{self._started}.log").open("wb") as log:
            # A process group of its own, so that nothing of it outlives the test.
            return subprocess.Popen(
                [program, "preannotate", "--project", str(project), *options],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, project: int, *options: str) -> tuple[int, dict[str, Any]]:
        """Run it to its end; return its exit code and its report."""
        report = self.folder / "report.json"
        process = self.start(project, "--report", str(report), *options)
        return ended(process), json.loads(report.read_text())

    def log(self) -> str:
        """What the last run said."""
        return (self.folder / f"run-{self._started}.log").read_text()


def nobody() -> bytes:
    """A picture that costs the networks little."""
    return encoded(Image.new("RGB", (320, 240), "gray"), "JPEG")


def ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(RUN_LIMIT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def versions(label_studio: LabelStudio, project: int) -> dict[int, list[str]]:
    """The model versions of each task's predictions."""
    found: dict[int, list[str]] = {task: [] for task in label_studio.task_ids(project)}
    for prediction in label_studio.call("GET", f"/api/predictions?project={project}"):
        found[prediction["task"]].append(prediction["model_version"])
    return found


def predictions_made(label_studio: LabelStudio, project: int) -> int:
    page = label_studio.call("GET", f"/api/tasks?project={project}&page_size=1")
    return page["total_predictions"]


def tasks_showing(
    label_studio: LabelStudio, project: int, number: int, pictures: Sequence[bytes]
) -> list[int]:
    """Import many tasks that show a few uploaded pictures in turn."""
    uploaded = label_studio.upload(project, {f"{n}.jpg": data for n, data in enumerate(pictures)})
    addresses = [
        label_studio.call("GET", f"/api/tasks/{task}?project={project}")["data"]["image"] for task in uploaded
    ]
    more = [{"image": addresses[n % len(addresses)]} for n in range(number - len(uploaded))]
    return label_studio.import_tasks(project, more)


@pytest.fixture
def preannotate(label_studio: LabelStudio, tmp_path: Path) -> Preannotate:
    return Preannotate(label_studio, tmp_path)


def test_a_run_that_is_killed_is_taken_up_and_every_task_has_exactly_one_prediction(
    label_studio: LabelStudio, preannotate: Preannotate, label_config: str
) -> None:
    project = label_studio.project("Killed in the middle", label_config)
    tasks = tasks_showing(label_studio, project, TASKS, [nobody()] * 9 + [scenes.jpeg(1)])
    assert len(tasks) == TASKS

    first = preannotate.start(project)
    wait_until(lambda: predictions_made(label_studio, project) >= TASKS // 3, RUN_LIMIT_S, "a third is done")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(10)
    before = versions(label_studio, project)
    code, report = preannotate.run(project)
    again_code, again = preannotate.run(project)
    after = versions(label_studio, project)

    done_before = sum(len(found) for found in before.values())
    assert TASKS // 3 <= done_before < TASKS
    assert code == 0, preannotate.log()
    assert report["had_a_prediction"] + report["created"] == TASKS
    assert report["created"] >= TASKS - done_before - 8, "what the first run did is not done again"
    assert after == {task: [report["model_version"]] for task in tasks}
    assert (again_code, again["created"], again["had_a_prediction"]) == (0, 0, TASKS)


def test_two_runs_at_the_same_time_give_no_task_two_predictions(
    label_studio: LabelStudio, start_backend: StartBackend, tmp_path: Path, label_config: str
) -> None:
    password = {"BASIC_AUTH_USER": "annotators", "BASIC_AUTH_PASS": "a pass: word"}
    backend = start_backend(**password)
    project = label_studio.project("Two at once", label_config)
    tasks = tasks_showing(label_studio, project, 24, [scenes.jpeg(1)])
    for name in "ab":
        (tmp_path / name).mkdir()
    runs = [Preannotate(label_studio, tmp_path / name, **password) for name in "ab"]

    processes = [run.start(project, "--backend", backend.url) for run in runs]
    codes = [ended(process) for process in processes]

    assert codes == [0, 0], runs[0].log() + runs[1].log()
    version = backend.status(auth=tuple(password.values()))["model_version"]
    assert versions(label_studio, project) == {task: [version] for task in tasks}
    points = [one["type"] for one in label_studio.predictions(tasks[0])[0]["result"]]
    assert Counter(points).keys() == {"rectanglelabels", "keypointlabels"}


def test_a_run_that_is_asked_to_stop_finishes_what_is_in_hand(
    label_studio: LabelStudio, preannotate: Preannotate, label_config: str
) -> None:
    project = label_studio.project("Stopped", label_config)
    tasks_showing(label_studio, project, 100, [scenes.jpeg(1)])
    report = preannotate.folder / "stopped.json"

    run = preannotate.start(project, "--report", str(report))
    wait_until(lambda: predictions_made(label_studio, project) >= 5, RUN_LIMIT_S, "five are done")
    run.send_signal(signal.SIGINT)
    code = ended(run)

    said = json.loads(report.read_text())
    assert code == 128 + signal.SIGINT
    assert said["ended_by"] == "stopped"
    assert said["left"] > 0
    assert said["created"] == sum(len(found) for found in versions(label_studio, project).values())
    assert said["failures"] == []


def test_a_view_is_done_and_what_failed_is_reported(
    label_studio: LabelStudio, preannotate: Preannotate, label_config: str
) -> None:
    project = label_studio.project("A view", label_config)
    tasks = tasks_showing(label_studio, project, 6, [scenes.jpeg(2)])
    label_studio.import_tasks(project, [{"image": "/data/upload/0/gone.jpg"}])
    (gone,) = set(label_studio.task_ids(project)) - set(tasks)
    chosen = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": tasks[3]}
    filters = {"conjunction": "and", "items": [chosen]}
    view = label_studio.call(
        "POST", "/api/dm/views", json={"project": project, "data": {"title": "Later", "filters": filters}}
    )

    dry_code, dry = preannotate.run(project, "--view", str(view["id"]), "--dry-run")
    nothing_yet = predictions_made(label_studio, project)
    code, report = preannotate.run(project, "--view", str(view["id"]))
    said = preannotate.log()

    assert (dry_code, dry["tasks"], dry["left"], nothing_yet) == (0, 3, 3, 0)
    assert code == SOME_FAILED
    (failure,) = report["failures"]
    assert failure["task"] == gone
    assert "Upload the picture again" in failure["detail"]
    assert said.count(f"task {gone} failed (server_error)") == 1
    assert f"task={gone}" not in said, "no log line says it a second time"
    found = versions(label_studio, project)
    assert [task for task in found if found[task]] == tasks[4:]
