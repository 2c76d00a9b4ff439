"""The bodies of Label Studio's requests: lenient where it varies, precise where something is wrong."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from adapters.label_studio.corrections.webhooks import submitted
from adapters.label_studio.regions.predictions import Thresholds, prediction
from adapters.label_studio.schemas import (
    MAX_TASKS,
    PredictRequest,
    PredictResponse,
    SetupRequest,
    SetupResponse,
    WebhookRequest,
)

SECRET = "correct-horse-battery-staple"


def test_a_prediction_request_as_label_studio_sends_it_is_read() -> None:
    request = PredictRequest.model_validate(
        {
            "tasks": [
                {
                    "id": 7,
                    "data": {"image": "a.jpg"},
                    "predictions": [],
                    "drafts": [],
                    "annotations": [],
                    "meta": {},
                }
            ],
            "project": "4.1795417339",
            "label_config": "<View/>",
            "params": {"login": "ann", "password": SECRET, "context": {"result": [{"id": "x"}]}},
            "model_version": None,
            "force_reload": False,
        }
    )

    assert (request.tasks[0].id, request.tasks[0].data) == (7, {"image": "a.jpg"})
    assert request.params.context == {"result": [{"id": "x"}]}


@pytest.mark.parametrize(
    "body",
    [
        {"tasks": []},
        {"tasks": [{}]},
        {"tasks": [{"id": None, "data": None}], "project": None, "label_config": None, "params": None},
        {"tasks": [{"id": "a", "data": {}}], "params": {"context": None, "login": None, "password": None}},
    ],
)
def test_what_may_be_missing_may_be_null(body: dict[str, Any]) -> None:
    request = PredictRequest.model_validate(body)

    assert request.label_config == ""
    assert request.params.context == {}
    assert all(task.data == {} for task in request.tasks)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ("tasks",)),
        ({"tasks": None}, ("tasks",)),
        ({"tasks": {}}, ("tasks",)),
        ({"tasks": [{"data": {}}, 7]}, ("tasks", 1)),
        ({"tasks": [{"data": "a.jpg"}]}, ("tasks", 0, "data")),
        ({"tasks": [], "label_config": ["<View/>"]}, ("label_config",)),
        ({"tasks": [], "params": {"context": []}}, ("params", "context")),
        ({"tasks": [{}] * (MAX_TASKS + 1)}, ("tasks",)),
        ([], ()),
        ("text", ()),
        (None, ()),
    ],
)
def test_a_wrong_body_is_refused_at_its_place(body: Any, place: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        PredictRequest.model_validate(body)

    assert [error["loc"] for error in refused.value.errors()] == [place]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {
            "project": "4.179",
            "schema": "<View/>",
            "hostname": "http://x",
            "access_token": SECRET,
            "extra_params": None,
        },
        {"project": 4, "schema": None, "hostname": None, "access_token": None, "extra_params": '{"a": 1}'},
        {"extra_params": {"a": [1]}, "unknown": True},
    ],
)
def test_a_setup_request_is_read_leniently(body: dict[str, Any]) -> None:
    request = SetupRequest.model_validate(body)

    assert request.label_config == (body.get("schema") or "")


@pytest.mark.parametrize(
    "body", [{}, {"action": "START_TRAINING", "project": {"id": 1}}, {"anything": [1, {"x": None}]}]
)
def test_any_object_is_a_webhook(body: dict[str, Any]) -> None:
    assert WebhookRequest.model_validate(body).action == body.get("action")


@pytest.mark.promise("webhook-keeps-three-ids")
def test_of_a_webhook_three_ids_are_kept_and_nothing_else_becomes_an_object() -> None:
    """Anybody can send one, and an annotation of megabytes would hold the event loop."""
    body = {
        "action": "ANNOTATION_CREATED",
        "project": {"id": 1, "title": "x"},
        "annotation": {"id": 2, "result": [{"value": {}}]},
        "task": {"id": 3, "data": {}},
    }
    read = WebhookRequest.model_validate_json(json.dumps(body))

    assert read.model_dump() == {
        "action": "ANNOTATION_CREATED",
        "project": {"id": 1},
        "annotation": {"id": 2},
        "task": {"id": 3},
    }


@pytest.mark.parametrize(
    "named", [7, "7", [1], {"id": "7"}, {"id": 7.5}, {"id": True}, {"id": [7]}, {"id": 10**30}]
)
def test_what_a_webhook_names_in_another_way_names_nothing(named: Any) -> None:
    read = WebhookRequest.model_validate_json(json.dumps({"action": "ANNOTATION_CREATED", "task": named}))

    assert submitted(read) == []


def test_secrets_do_not_appear_in_what_is_logged() -> None:
    setup = SetupRequest.model_validate({"access_token": SECRET, "extra_params": {"token": SECRET}})
    request = PredictRequest.model_validate({"tasks": [], "params": {"login": SECRET, "password": SECRET}})

    assert SECRET not in f"{setup!r}{setup}{request!r}{request}{request.model_dump()}"
    assert setup.access_token is not None
    assert setup.access_token.get_secret_value() == SECRET


def test_secrets_do_not_appear_in_error_messages() -> None:
    with pytest.raises(ValidationError) as refused:
        SetupRequest.model_validate({"access_token": [SECRET], "schema": {"x": SECRET}})

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "model", [PredictRequest, SetupRequest, WebhookRequest, PredictResponse, SetupResponse]
)
def test_the_json_schema_has_examples(model: type[BaseModel]) -> None:
    assert "examples" in str(model.model_json_schema())


def test_an_answer_has_a_slot_per_task_and_an_empty_one_for_a_failed_task() -> None:
    nobody = prediction([], model_version="v1", thresholds=Thresholds(0.3, 0.3))
    failure = {"task": 7, "reason": "time_budget", "detail": "Not done.", "frames_done": 3}
    answer = {"results": [nobody, []], "failures": [failure]}

    assert PredictResponse.model_validate(answer).model_dump() == answer
