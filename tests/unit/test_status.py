"""The status: counts, and the last failures with their reasons."""

import json

from adapters.status import FAILURES_KEPT, Status


def status() -> Status:
    return Status(mode="embedded", device="cpu", model_version="rtmlib-embedded-1a2b3c4d")


def test_it_begins_with_nothing_done() -> None:
    shown = status().as_dict()

    assert shown["status"] == "UP"
    assert shown["tasks"] == {"waiting": 0, "in_hand": 0, "succeeded": 0, "failed": 0}
    assert shown["last_failures"] == []
    assert shown["uptime_seconds"] == 0


def test_tasks_are_counted_by_outcome() -> None:
    kept = status()
    kept.succeeded()
    kept.succeeded()
    kept.failed(project="1", task=7, reason="timeout", detail="It took too long.")

    assert kept.as_dict()["tasks"]["succeeded"] == 2
    assert kept.as_dict()["tasks"]["failed"] == 1


def test_a_failure_is_kept_with_its_task_and_reason() -> None:
    kept = status()
    kept.failed(project="1.17", task="a-7", reason="timeout", detail="It took too long.")

    (failure,) = kept.as_dict()["last_failures"]
    assert failure["at"].endswith("+00:00")
    del failure["at"]
    assert failure == {"project": "1.17", "task": "a-7", "reason": "timeout", "detail": "It took too long."}


def test_only_the_last_failures_are_kept() -> None:
    kept = status()
    for task in range(FAILURES_KEPT + 5):
        kept.failed(project=None, task=task, reason="timeout", detail="")

    shown = kept.as_dict()
    assert [failure["task"] for failure in shown["last_failures"]] == list(range(5, FAILURES_KEPT + 5))
    assert shown["tasks"]["failed"] == FAILURES_KEPT + 5


def test_long_reasons_are_kept_short() -> None:
    kept = status()
    for _ in range(FAILURES_KEPT):
        kept.failed(project=None, task=1, reason="internal", detail="d" * 10**6)

    assert len(json.dumps(kept.as_dict())) < 20_000


def test_the_label_config_of_the_last_project_is_judged() -> None:
    kept = status()
    kept.label_config_read(["It has no image."])
    kept.label_config_read([])

    assert kept.as_dict()["label_config_problems"] == []
