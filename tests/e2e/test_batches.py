"""Retrieve predictions for many tasks; the backend restarted in between; passwords set on the backend."""

import base64
import os
from dataclasses import dataclass

import pytest
import requests

from tests.e2e import scenes
from tests.e2e.backend import Backend
from tests.e2e.browser import Browser
from tests.e2e.conftest import StartBackend
from tests.e2e.label_studio import LabelStudio
from tests.e2e.processes import wait_until
from tests.service.picture_server import PictureServer, serving

TASKS = 30
PICTURE_S = 0.5
LONG = bool(os.environ.get("E2E_LONG"))


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


@dataclass(frozen=True)
class Batch:
    """Tasks retrieved at once.

    Attributes:
        tasks: How many.
        budget_s: The service's time budget.
        different: Whether each shows another picture; if not, fetching is all that takes time.
    """

    tasks: int
    budget_s: int
    different: bool


@pytest.mark.parametrize(
    "batch",
    [
        # 8 pictures are fetched at a time: 80 in 5 s.
        pytest.param(Batch(200, 5, different=False), id="200 tasks"),
        pytest.param(
            Batch(500, 90, different=True),
            id="500 tasks",
            marks=[
                pytest.mark.skipif(not LONG, reason="takes ten minutes: run `make e2e-long`"),
                pytest.mark.timeout(1800),
            ],
        ),
    ],
)
def test_a_selection_too_large_for_one_answer_is_finished_by_further_retrieves(
    label_studio: LabelStudio, start_backend: StartBackend, label_config: str, batch: Batch
) -> None:
    backend = start_backend(ALLOWED_IMAGE_HOSTS="127.0.0.1", TIME_BUDGET_SECONDS=str(batch.budget_s))
    project = label_studio.project("Slow pictures", label_config)
    with serving() as pictures:
        tasks = label_studio.import_tasks(project, [{"image": url} for url in _slow(pictures, batch)])
        label_studio.connect(project, backend.wire.url)
        stored: list[set[int]] = [set()]
        while len(stored[-1]) < batch.tasks:
            before = len(backend.wire.requests("/predict"))
            label_studio.retrieve_predictions(project, tasks)
            (asked,) = backend.wire.requests("/predict")[before:]
            numbers = [task["id"] for task in asked.body["tasks"]]
            assert set(numbers) == set(tasks) - stored[-1], "what has a prediction is not asked for again"
            done = {n for n, slot in zip(numbers, asked.answer["results"], strict=True) if slot != []}
            assert done, "each retrieve brings some"
            why = {failure["task"]: failure["reason"] for failure in asked.answer["failures"]}
            assert why == dict.fromkeys(set(numbers) - done, "time_budget")
            assert _with_a_prediction(label_studio, project) == stored[-1] | done
            stored.append(stored[-1] | done)
        before = len(backend.wire.requests("/predict"))
        label_studio.retrieve_predictions(project, tasks)

    print("stored after each retrieve:", [len(tasks) for tasks in stored[1:]])
    assert len(stored) > 2, "one answer was not enough"
    assert backend.status()["last_failures"][-1]["reason"] == "time_budget"
    assert len(backend.wire.requests("/predict")) == before, "nothing is asked for once all are there"
    predictions = label_studio.call("GET", f"/api/predictions?project={project}")
    assert sorted(prediction["task"] for prediction in predictions) == tasks, "one for each"


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
    (told,) = again.answer["failures"]
    assert (told["task"], told["reason"]) == (missing, "server_error")
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
    assert "Set them in Label Studio at the model" in backend.log()
    assert model["state"] == "CO"
    credentials = "Basic " + base64.b64encode(b"label-studio:a pass: word").decode()
    (asked,) = backend.wire.requests("/predict")
    assert asked.headers["Authorization"] == credentials
    assert requests.get(f"{backend.url}/status", timeout=5).status_code == 401


def _slow(pictures: PictureServer, batch: Batch) -> list[str]:
    """Addresses of pictures that take their time."""
    people = [scenes.jpeg(count) for count in (1, 2, 3)]
    for n in range(batch.tasks):
        pictures.add(f"/{n}.jpg", _commented(people[n % 3], n) if batch.different else people[0])
        pictures.delays[f"/{n}.jpg"] = PICTURE_S
    return [f"{pictures.url}{path}" for path in pictures.files]


def _with_a_prediction(label_studio: LabelStudio, project: int) -> set[int]:
    page = label_studio.call("GET", f"/api/tasks?project={project}&page_size=500")
    return {task["id"] for task in page["tasks"] if task["total_predictions"]}


def _commented(jpeg: bytes, number: int) -> bytes:
    """The same picture in a file of its own: with a comment after its first marker."""
    text = str(number).encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def _retrieve_all_by_hand(browser: Browser, label_studio: LabelStudio, project: int) -> None:
    browser.open(f"{label_studio.url}/projects/{project}/data")
    browser.place("[data-testid=table-row]")
    browser.click("[aria-label='Select all rows']")
    browser.click("[aria-label='Tasks Actions']")
    browser.click(".lsf-actionButton", "Retrieve Predictions")
    browser.click("[aria-label=Confirm]")
