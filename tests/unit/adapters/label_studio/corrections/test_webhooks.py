"""What Label Studio's webhooks name, and what they are answered."""

from pathlib import Path
from typing import Any

import pytest

from adapters.label_studio.corrections.webhooks import (
    NO_TRAINING,
    Submitted,
    answer_to,
    lacks_payload,
    submitted,
)
from adapters.label_studio.schemas import WebhookRequest

RECORDED = Path(__file__).parents[4] / "data" / "label_studio"

CREATED = {"action": "ANNOTATION_CREATED", "project": {"id": 1}, "task": {"id": 2}, "annotation": {"id": 3}}


def webhook(body: dict[str, Any]) -> WebhookRequest:
    return WebhookRequest.model_validate(body)


@pytest.mark.parametrize("name", ["webhook_annotation_created", "webhook_annotation_updated"])
def test_the_annotation_that_label_studio_sends(name: str) -> None:
    body = WebhookRequest.model_validate_json((RECORDED / f"{name}.json").read_bytes())
    assert submitted(body) == [Submitted(project=19, task=43, annotation=3)]
    assert not lacks_payload(body)


def test_a_deletion_names_nothing_to_compare() -> None:
    body = WebhookRequest.model_validate_json((RECORDED / "webhook_annotations_deleted.json").read_bytes())
    assert submitted(body) == []
    assert not lacks_payload(body)


def test_several_annotations_at_once() -> None:
    """Label Studio's bulk event: lists of annotations and of their tasks, some of them of no use."""
    body = {
        "action": "ANNOTATIONS_CREATED",
        "project": {"id": 1},
        "task": [{"id": 2}, {"id": 3}, {"id": "x"}],
        "annotation": [{"id": 4, "result": []}, {"id": 5}, {"id": 6}],
    }
    assert submitted(webhook(body)) == [Submitted(1, 2, 4), Submitted(1, 3, 5)]


@pytest.mark.parametrize("number", [None, "3", 3.0, True, -1, 0, 2**63, [], {"id": {}}, [{}] * 2_000])
def test_what_is_no_number_is_ignored(number: Any) -> None:
    assert submitted(webhook({**CREATED, "annotation": {"id": number}})) == []
    assert submitted(webhook({**CREATED, "annotation": number})) == []


def test_a_webhook_without_its_payload_is_told_what_to_switch_on() -> None:
    body = webhook({"action": "ANNOTATION_UPDATED"})
    assert lacks_payload(body)
    assert "'Send payload'" in answer_to(body)


def test_start_training_is_told_what_can_be_done_instead() -> None:
    assert answer_to(webhook({"action": "START_TRAINING"})) == NO_TRAINING
    assert "export-coco" in NO_TRAINING
    assert "POSE_MODEL" in NO_TRAINING


@pytest.mark.parametrize("body", [CREATED, {}, {"action": "TASKS_CREATED"}])
def test_others_are_taken_note_of(body: dict[str, Any]) -> None:
    assert "received" in answer_to(webhook(body))
    assert not lacks_payload(webhook(body))
