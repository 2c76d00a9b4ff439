"""Retrieve predictions for many tasks; the backend restarted in between; passwords set on the backend."""

import base64

import requests

from tests.e2e import scenes
from tests.e2e.backend import Backend
from tests.e2e.browser import Browser
from tests.e2e.conftest import StartBackend
from tests.e2e.label_studio import LabelStudio
from tests.e2e.processes import wait_until

TASKS = 30


def test_thirty_tasks_are_retrieved_at_once_and_a_second_retrieve_duplicates_none(
    label_studio: LabelStudio, backend: Backend, browser: Browser, label_config: str
) -> None:
    project = label_studio.project("Thirty tasks", label_config)
    pictures = {f"picture-{n}.jpg": scenes.jpeg(1 + n % 3) for n in range(TASKS)}
    tasks = label_studio.upload(project, pictures)
    label_studio.connect(project, backend.wire.url)
    before = len(backend.wire.requests("/predict"))

    _retrieve_all_by_hand(browser, label_studio, project)
    wait_until(lambda: bool(label_studio.predictions(tasks[-1])), 100, "the last task has its prediction")
    first = {task: label_studio.predictions(task) for task in tasks}
    label_studio.retrieve_predictions(project, tasks)
    second = {task: label_studio.predictions(task) for task in tasks}

    asked = backend.wire.requests("/predict")[before:]
    assert len(asked[0].body["tasks"]) == TASKS
    assert [len(predictions) for predictions in first.values()] == [1] * TASKS
    boxes = [sum(one["type"] == "rectanglelabels" for one in first[task][0]["result"]) for task in tasks]
    assert boxes == [1 + n % 3 for n in range(TASKS)]
    assert {task: [one["id"] for one in second[task]] for task in tasks} == {
        task: [one["id"] for one in first[task]] for task in tasks
    }


def test_a_picture_that_is_missing_costs_its_own_task_only_and_comes_again(
    label_studio: LabelStudio, backend: Backend, label_config: str
) -> None:
    project = label_studio.project("One missing", label_config)
    tasks = label_studio.upload(project, {f"{n}.jpg": scenes.jpeg(1) for n in range(2)})
    label_studio.import_tasks(project, [{"image": "/data/upload/0/no-such-picture.jpg"}])
    (missing,) = set(label_studio.task_ids(project)) - set(tasks)
    label_studio.connect(project, backend.wire.url)

    label_studio.retrieve_predictions(project, [*tasks, missing])

    assert [len(label_studio.predictions(task)) for task in (*tasks, missing)] == [1, 1, 0]
    failure = backend.status()["last_failures"][-1]
    # Label Studio answers 500 for an upload that it does not have.
    assert (failure["task"], failure["reason"]) == (missing, "server_error")
    before = len(backend.wire.requests("/predict"))
    label_studio.retrieve_predictions(project, [*tasks, missing])
    (again,) = backend.wire.requests("/predict")[before:]
    assert [task["id"] for task in again.body["tasks"]] == [missing]


def test_a_backend_that_was_restarted_answers_the_next_task_that_is_opened(
    label_studio: LabelStudio, start_backend: StartBackend, label_config: str
) -> None:
    backend = start_backend()
    project = label_studio.project("Restart", label_config)
    first, second, third = label_studio.upload(project, {f"{n}.jpg": scenes.jpeg(n) for n in (1, 2, 3)})
    model = label_studio.connect(project, backend.wire.url)
    label_studio.open_task(project, first)

    backend.stop()
    label_studio.open_task(project, second)
    state_without = label_studio.backend(model["id"])["state"]
    backend.start()
    label_studio.open_task(project, third)
    label_studio.open_task(project, second)

    assert state_without == "DI"
    assert [len(label_studio.predictions(task)) for task in (first, second, third)] == [1, 1, 1]
    assert label_studio.backend(model["id"])["state"] == "CO"


def test_a_user_name_and_password_set_in_both_places_let_label_studio_in(
    label_studio: LabelStudio, start_backend: StartBackend, label_config: str
) -> None:
    backend = start_backend(BASIC_AUTH_USER="label-studio", BASIC_AUTH_PASS="a pass: word")
    project = label_studio.project("Passwords", label_config)
    (task,) = label_studio.upload(project, {"one.jpg": scenes.jpeg(1)})

    refused = label_studio.session.post(
        f"{label_studio.url}/api/ml",
        json={"project": project, "url": backend.wire.url, "title": "RTMLib"},
        headers={
            "X-CSRFToken": label_studio.session.cookies.get("csrftoken") or "",
            "Referer": label_studio.url,
        },
        timeout=60,
    )
    model = label_studio.connect(
        project,
        backend.wire.url,
        auth_method="BASIC_AUTH",
        basic_auth_user="label-studio",
        basic_auth_pass="a pass: word",
    )
    label_studio.open_task(project, task)
    (stored,) = label_studio.predictions(task)
    label_studio.annotate(task, stored["result"])

    assert refused.status_code == 400
    assert "401 Client Error: Unauthorized" in refused.text
    assert "status=401" in backend.log()
    assert "set them in Label Studio at the model" in backend.log()
    assert model["state"] == "CO"
    credentials = "Basic " + base64.b64encode(b"label-studio:a pass: word").decode()
    (asked,) = backend.wire.requests("/predict")
    assert asked.headers["Authorization"] == credentials
    assert requests.get(f"{backend.url}/status", timeout=5).status_code == 401


def _retrieve_all_by_hand(browser: Browser, label_studio: LabelStudio, project: int) -> None:
    browser.open(f"{label_studio.url}/projects/{project}/data")
    browser.place("[data-testid=table-row]")
    browser.click("[aria-label='Select all rows']")
    browser.click("[aria-label='Tasks Actions']")
    browser.click(".lsf-actionButton", "Retrieve Predictions")
    browser.click("[aria-label=Confirm]")
