"""The OpenAPI document: what the API page shows, and what programs make clients of."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from adapters.label_studio.schemas import PredictRequest, PredictResponse, SetupRequest, WebhookRequest
from adapters.settings import Settings

ROOT = Path(__file__).parents[4]
POST = {
    "/predict": PredictRequest,
    "/setup": SetupRequest,
    "/webhook": WebhookRequest,
    "/train": WebhookRequest,
}
GET = ["/health", "/versions", "/status", "/metrics", "/livez", "/readyz"]


def document_with(folder: Path, **settings: str) -> Any:
    """The service's own document, made in a process of its own: importing the service configures logging."""
    ours = {name.upper() for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    made = subprocess.run(
        [sys.executable, "-c", "import json, service; print(json.dumps(service.openapi()))"],
        cwd=ROOT,
        env=environment | {"BENTOML_HOME": str(folder)} | settings,
        stdout=subprocess.PIPE,
        timeout=240,
        check=True,
    )
    return json.loads(made.stdout)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return document_with(tmp_path_factory.mktemp("bentoml"))


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The document of a service that asks for a password."""
    folder = tmp_path_factory.mktemp("bentoml")
    return document_with(folder, BASIC_AUTH_USER="label-studio", BASIC_AUTH_PASS="never-told")


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_it_is_a_valid_openapi_document(document: Any) -> None:
    validate(document)


def test_every_reference_leads_somewhere(document: Any) -> None:
    found = set(references(document))

    assert found
    for reference in found:
        assert reference.startswith("#/")
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_it_describes_all_routes_and_no_others(document: Any) -> None:
    assert set(document["paths"]) == {*POST, *GET}
    assert all(set(document["paths"][path]) == {"post"} for path in POST)
    assert all(set(document["paths"][path]) == {"get"} for path in GET)


def test_every_operation_has_a_name_a_summary_and_a_description(document: Any) -> None:
    operations = [operation for item in document["paths"].values() for operation in item.values()]

    assert all(operation["summary"] and operation["description"] for operation in operations)
    assert len({operation["operationId"] for operation in operations}) == len(operations)


@pytest.mark.parametrize("path", POST)
def test_the_examples_are_bodies_that_the_route_takes(document: Any, path: str) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]

    assert set(content) == {"application/json"}
    POST[path].model_validate(content["application/json"]["example"])


def test_the_example_of_an_answer_says_why_a_task_failed(document: Any) -> None:
    answer = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"][
        "example"
    ]

    PredictResponse.model_validate(answer)
    assert answer["results"].count([]) == len(answer["failures"]) == 1


def test_schemas_have_names_of_ours_and_each_is_used(document: Any) -> None:
    assert set(document["components"]["schemas"]) == {
        *("PredictRequest", "PredictParams", "Task", "PredictResponse", "PredictionBody", "RegionBody"),
        "FailureBody",
        *("SetupRequest", "SetupResponse", "WebhookRequest", "Error"),
    }


@pytest.mark.parametrize("path", ["/predict", "/setup", "/health", "/versions", "/status"])
def test_programs_learn_what_an_answer_holds(document: Any, path: str) -> None:
    (operation,) = document["paths"][path].values()
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]

    assert "$ref" in schema or schema["type"] == "object"


@pytest.mark.parametrize("path", POST)
def test_the_errors_are_described_in_their_one_shape(document: Any, path: str) -> None:
    responses = document["paths"][path]["post"]["responses"]

    assert {"200", "400", "401", "413", "415", "500"} <= set(responses)
    for status, response in responses.items():
        if status != "200":
            assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
    assert set(document["components"]["schemas"]["Error"]["properties"]) == {"error", "detail", "request_id"}


def body_schema(document: Any, path: str) -> Any:
    reference = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "$ref"
    ]
    return document["components"]["schemas"][reference.rpartition("/")[2]]


@pytest.mark.parametrize("path", ["/predict", "/setup"])
def test_projects_and_tasks_may_be_numbers_texts_or_nothing(document: Any, path: str) -> None:
    """As Label Studio sends them: programs that check bodies by the document must let them through."""
    described = [body_schema(document, path)["properties"]["project"]]
    described += [document["components"]["schemas"]["Task"]["properties"]["id"]]

    for schema in described:
        assert {option["type"] for option in schema["anyOf"]} == {"integer", "string", "null"}


def test_it_names_the_version_of_the_package(document: Any) -> None:
    from importlib.metadata import version

    assert document["info"]["version"] == version("rtmlib-ml-backend")


def test_without_a_password_nothing_is_said_of_one(document: Any) -> None:
    assert "securitySchemes" not in document["components"]
    assert "security" not in document


def test_with_one_programs_and_the_api_page_learn_where_to_send_it(protected: Any) -> None:
    validate(protected)
    (name,) = protected["components"]["securitySchemes"]
    scheme = protected["components"]["securitySchemes"][name]

    assert (scheme["type"], scheme["scheme"]) == ("http", "basic")
    assert protected["security"] == [{name: []}]
    assert "never-told" not in json.dumps(protected)


def test_what_is_open_to_everybody_asks_for_none(protected: Any) -> None:
    """The same routes as in tests/service/test_protection.py."""
    operations = {path: operation for path, item in protected["paths"].items() for operation in item.values()}

    assert {path for path, operation in operations.items() if operation.get("security") == []} == {
        *("/health", "/livez", "/readyz", "/webhook"),
    }
    assert all(operation.get("security", []) == [] for operation in operations.values())
