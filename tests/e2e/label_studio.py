"""The real Label Studio: its process, and its API as a logged-in user."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.e2e.processes import Server, free_port

USER, PASSWORD = "annotator@example.com", "an-ordinary-password"
LEGACY_TOKEN = "0123456789abcdef0123456789abcdef01234567"
START_LIMIT_S = 240
CALL_LIMIT_S = 120
RETRIEVE_LIMIT_S = 300
"""It waits 100 s for the model, and stores the answer afterwards."""


@dataclass(frozen=True)
class LabelStudio:
    """A running Label Studio.

    Attributes:
        url: Its address.
        session: Logged in as its only user.
        token: A personal access token of that user.
    """

    url: str
    session: requests.Session = field(repr=False)
    token: str = field(repr=False)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Call the API; JSON in, JSON out."""
        response = self.session.request(
            method,
            self.url + path,
            headers={"X-CSRFToken": self.session.cookies.get("csrftoken") or "", "Referer": self.url},
            **{"timeout": CALL_LIMIT_S, **options},
        )
        assert response.ok, f"{method} {path}: {response.status_code} {response.text[:1000]}"
        return response.json() if response.content else None

    def project(self, title: str, label_config: str) -> int:
        return self.call("POST", "/api/projects", json={"title": title, "label_config": label_config})["id"]

    def upload(self, project: int, pictures: Mapping[str, bytes]) -> list[int]:
        """Import pictures by file name, as dropping them on the page does; return the tasks' ids."""
        # Of several files in one field Label Studio takes the last only.
        files = {name: (name, data, "image/jpeg") for name, data in pictures.items()}
        self.call("POST", f"/api/projects/{project}/import", files=files)
        return self.task_ids(project)

    def import_tasks(self, project: int, data: Sequence[Mapping[str, Any]]) -> list[int]:
        self.call("POST", f"/api/projects/{project}/import", json=list(data))
        return self.task_ids(project)

    def task_ids(self, project: int) -> list[int]:
        page = self.call("GET", f"/api/tasks?project={project}&page_size=500")
        return sorted(task["id"] for task in page["tasks"])

    def connect(self, project: int, url: str, **fields: Any) -> dict[str, Any]:
        """Add a model to a project, as "Connect Model" does."""
        body = {"project": project, "url": url, "title": "RTMLib", "is_interactive": True, **fields}
        return self.call("POST", "/api/ml", json=body)

    def backend(self, number: int) -> dict[str, Any]:
        return self.call("GET", f"/api/ml/{number}")

    def open_task(self, project: int, task: int) -> dict[str, Any]:
        """Ask for a task as its page does: a task without predictions gets them now."""
        return self.call("GET", f"/api/tasks/{task}?project={project}")

    def retrieve_predictions(self, project: int, tasks: Sequence[int]) -> dict[str, Any]:
        """Choose tasks in the data manager and press "Retrieve Predictions"."""
        body = {"selectedItems": {"all": False, "included": list(tasks)}}
        path = f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}"
        return self.call("POST", path, json=body, timeout=RETRIEVE_LIMIT_S)

    def predictions(self, task: int) -> list[dict[str, Any]]:
        return self.call("GET", f"/api/predictions?task={task}")

    def add_prediction(self, task: int, result: Sequence[Any], model_version: str) -> None:
        """Store a prediction that no backend was asked for."""
        body = {"task": task, "result": list(result), "model_version": model_version, "score": 0.9}
        self.call("POST", "/api/predictions", json=body)

    def replace_prediction(self, stored: Mapping[str, Any], result: Sequence[Any]) -> None:
        """Store other regions in the place of a prediction."""
        self.call("DELETE", f"/api/predictions/{stored['id']}")
        self.add_prediction(stored["task"], result, stored["model_version"])

    def annotations(self, task: int) -> list[dict[str, Any]]:
        return self.call("GET", f"/api/tasks/{task}/annotations")

    def annotate(self, task: int, result: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return self.call("POST", f"/api/tasks/{task}/annotations", json={"result": list(result)})

    def export(self, project: int, kind: str) -> bytes:
        path = f"{self.url}/api/projects/{project}/export?exportType={kind}"
        response = self.session.get(path, timeout=CALL_LIMIT_S)
        assert response.ok, f"{path}: {response.status_code} {response.text[:1000]}"
        return response.content


@contextmanager
def label_studio(program: Path, folder: Path, **settings: str) -> Iterator[LabelStudio]:
    """Start Label Studio with an empty SQLite database in a folder and these settings, log in, and end it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LABEL_STUDIO_USERNAME": USER,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": LEGACY_TOKEN,
        # Without it, Label Studio connects to no backend on a loopback or private address.
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "DJANGO_DB": "sqlite",
        **settings,
    }
    command = [str(program), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    server = Server(
        [*command, "--data-dir", str(folder / "data")],
        environment=environment,
        log=folder / "label-studio.log",
        health=f"{url}/health",
        limit_s=START_LIMIT_S,
    )
    try:
        with requests.Session() as session:
            user, password = environment["LABEL_STUDIO_USERNAME"], environment["LABEL_STUDIO_PASSWORD"]
            yield _logged_in(url, session, user, password)
    finally:
        server.stop()


def _logged_in(url: str, session: requests.Session, user: str, password: str) -> LabelStudio:
    session.get(f"{url}/user/login/", timeout=CALL_LIMIT_S)
    form = {"email": user, "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    answer = session.post(f"{url}/user/login/", data=form, timeout=CALL_LIMIT_S)
    assert answer.ok, answer.text[:1000]
    assert "/user/login" not in answer.url, answer.url
    pat = LabelStudio(url, session, "").call("POST", "/api/token/")
    return LabelStudio(url, session, pat["token"])
