"""A client that is generated from the OpenAPI document can talk to the service."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.http.example import EXAMPLE_LABEL_CONFIG, example_picture
from runners.models.store import ModelStore
from tests.service.server import Server

PROGRAM = """
import json, sys

from client import Client
from client.api.label_studio import predict, setup
from client.api.operation import health, status, versions
from client.models import Error, PredictRequest, SetupRequest

address, label_config, picture = json.load(sys.stdin)
with Client(base_url=address, timeout=60) as client:
    version = health.sync(client=client).model_version
    assert versions.sync(client=client).versions == [version]
    announced = SetupRequest.from_dict({"project": "1.1", "schema": label_config})
    assert setup.sync(client=client, body=announced).model_version == version
    tasks = [{"id": 1, "data": {"image": picture}}, {"id": 2, "data": {}}]
    asked = PredictRequest.from_dict({"tasks": tasks, "project": "1.1", "label_config": label_config})
    answer = predict.sync(client=client, body=asked)
    found, failed = answer.results
    assert failed == []
    assert [(failure.task, failure.reason) for failure in answer.failures] == [(2, "no_picture")]
    assert found.model_version == version
    assert {region.type_ for region in found.result} == {"rectanglelabels", "keypointlabels"}
    assert status.sync(client=client).to_dict()["tasks"]["succeeded"] == 1
    refused = predict.sync(client=client, body=PredictRequest.from_dict({"tasks": [], "label_config": "<View>"}))
    assert isinstance(refused, Error) and refused.request_id
print("done")
"""


@pytest.fixture
def server(model_store: ModelStore, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server", {"MODEL_CACHE_DIR": str(model_store.root)})
    server.start()
    yield server
    assert server.stop() == []


@pytest.mark.service
@pytest.mark.models
def test_a_generated_client_predicts(tool: Callable[[str], str], server: Server, tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    document.write_bytes(server.ask("GET", "/docs.json").body)
    generator = Path(tool("openapi-python-client"))
    generated = subprocess.run(
        [
            generator,
            "generate",
            "--path",
            document,
            "--output-path",
            "client",
            "--meta",
            "none",
            "--fail-on-warning",
        ],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{generator.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert generated.returncode == 0, generated.stdout + generated.stderr

    used = subprocess.run(
        [generator.with_name("python"), "-c", PROGRAM],
        cwd=tmp_path,
        input=json.dumps([f"http://127.0.0.1:{server.port}", EXAMPLE_LABEL_CONFIG, example_picture()]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert used.stdout == "done\n", used.stderr
