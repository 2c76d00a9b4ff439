"""`compose.yaml`: its parts, started here with what it gives them, make a connected project with predicted tasks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import label_studio as label_studio_process
from tests.e2e.backend import ROOT, Backend
from tests.e2e.backend import backend as running_backend
from tests.e2e.label_studio import LabelStudio

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
CONTAINER_PATHS = frozenset({"HOME", "BENTOML_HOME", "MODEL_CACHE_DIR"})
PROGRAM = Path(sys.executable).with_name("rtmlib-backend")


def settings(service: str, label_studio: LabelStudio) -> dict[str, str]:
    """The environment of a service, with the addresses of this machine."""
    return {
        name: value.replace("http://label-studio:8080", label_studio.url)
        for name, value in SERVICES[service]["environment"].items()
        if name not in CONTAINER_PATHS
    }


@pytest.fixture(scope="module")
def label_studio(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """As `compose.yaml` starts it."""
    given = SERVICES["label-studio"]["environment"]
    with label_studio_process.label_studio(installed, tmp_path_factory.mktemp("compose"), **given) as running:
        yield running


@pytest.fixture(scope="module")
def backend(label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    folder = tmp_path_factory.mktemp("backend")
    with running_backend(PROGRAM, folder, **settings("backend", label_studio)) as running:
        yield running


def make_sample(label_studio: LabelStudio, backend: Backend) -> str:
    """Run the service `sample`; returns what it prints."""
    arguments = [
        argument.replace("http://backend:9090", backend.wire.url)
        for argument in SERVICES["sample"]["command"]
    ]
    done = subprocess.run(
        [PROGRAM, *arguments],
        env={**os.environ, **settings("sample", label_studio)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_parts_make_a_connected_project_with_predicted_tasks(
    label_studio: LabelStudio, backend: Backend
) -> None:
    said = make_sample(label_studio, backend)
    (project,) = label_studio.call("GET", "/api/projects")["results"]
    assert f"http://localhost:8080/projects/{project['id']}/data" in said
    (model,) = label_studio.call("GET", f"/api/ml?project={project['id']}")
    assert (model["state"], model["is_interactive"]) == ("CO", True)
    tasks = label_studio.task_ids(project["id"])
    people = []
    for task in tasks:
        (prediction,) = label_studio.predictions(task)
        assert prediction["model_version"] == project_of(label_studio, project["id"])["model_version"]
        people.append(sum("rectanglelabels" in region["value"] for region in prediction["result"]))
    assert sorted(people) == [1, 1, 2]


def test_a_second_start_changes_nothing(label_studio: LabelStudio, backend: Backend) -> None:
    make_sample(label_studio, backend)
    said = make_sample(label_studio, backend)
    assert "is there already" in said
    (project,) = label_studio.call("GET", "/api/projects")["results"]
    tasks = label_studio.task_ids(project["id"])
    assert len(tasks) == 3
    assert all(len(label_studio.predictions(task)) == 1 for task in tasks)


def project_of(label_studio: LabelStudio, number: int) -> dict[str, Any]:
    return label_studio.call("GET", f"/api/projects/{number}")
