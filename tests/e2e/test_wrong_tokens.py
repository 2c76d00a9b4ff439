"""A token that Label Studio refuses: no task is taken for done, and the operator is told what to do."""

import pytest

from tests.e2e import scenes
from tests.e2e.backend import Backend
from tests.e2e.conftest import StartBackend
from tests.e2e.label_studio import LEGACY_TOKEN, LabelStudio


def _foreign(token: str) -> str:
    """The same personal access token with another signature."""
    content, _, signature = token.rpartition(".")
    return f"{content}.{signature[::-1]}"


@pytest.mark.parametrize("kind", ["legacy token", "personal access token", "none"])
def test_a_refused_token_is_explained_and_its_tasks_come_again(
    label_studio: LabelStudio, start_backend: StartBackend, backend: Backend, label_config: str, kind: str
) -> None:
    token = {"legacy token": LEGACY_TOKEN, "personal access token": _foreign(label_studio.token), "none": ""}[
        kind
    ]
    refused = start_backend(LABEL_STUDIO_API_TOKEN=token)
    project = label_studio.project(f"Token: {kind}", label_config)
    (task,) = label_studio.upload(project, {"one.jpg": scenes.jpeg(1)})
    model = label_studio.connect(project, refused.wire.url)

    label_studio.open_task(project, task)

    answer = refused.wire.requests("/predict")[-1].answer
    assert answer["results"] == [[]]
    assert label_studio.predictions(task) == []
    (failure,) = refused.status()["last_failures"][-1:]
    assert (failure["task"], failure["reason"]) == (task, "unauthorized")
    told = failure["detail"]
    assert answer["failures"] == [{"task": task, "reason": "unauthorized", "detail": told}]
    assert "personal access token" in told
    if kind != "none":
        assert f"rejects the {kind}" in told
        assert "Account & Settings > Personal Access Token" in told
    assert f"task={task} " in refused.log()
    assert told in refused.log()
    assert not token or token not in refused.log()

    label_studio.call("PATCH", f"/api/ml/{model['id']}", json={"url": backend.wire.url, "project": project})
    label_studio.open_task(project, task)

    assert len(label_studio.predictions(task)) == 1
