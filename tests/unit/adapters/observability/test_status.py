"""The status: counts, and the last failures with their reasons."""

import json

import pytest
from prometheus_client import REGISTRY

from adapters.observability import status as status_module
from adapters.observability.status import FAILURES_KEPT, PROJECTS_KEPT, NetworkInUse, Status


def status() -> Status:
    return Status(mode="embedded", device="cpu", model_version="rtmlib-embedded-1a2b3c4d")


def test_it_begins_with_nothing_done() -> None:
    shown = status().as_dict()

    assert shown["status"] == "UP"
    assert set(shown["tasks"].values()) == {0}
    assert shown["requests_refused"] == {"total": 0, "in_last_minute": 0}
    assert shown["last_failures"] == []
    assert shown["uptime_seconds"] == 0


def test_tasks_are_counted_by_outcome() -> None:
    kept = status()
    kept.succeeded()
    kept.succeeded()
    kept.failed()

    assert kept.as_dict()["tasks"]["succeeded"] == 2
    assert kept.as_dict()["tasks"]["failed"] == 1


def test_a_failure_is_kept_with_its_task_and_reason() -> None:
    kept = status()
    kept.keep_failure(
        request="r-1", project="1.17", task="a-7", stage="fetch", reason="timeout", detail="It took too long."
    )

    (failure,) = kept.as_dict()["last_failures"]
    assert failure["at"].endswith("+00:00")
    del failure["at"]
    assert failure == {
        "request": "r-1",
        "project": "1.17",
        "task": "a-7",
        "stage": "fetch",
        "reason": "timeout",
        "detail": "It took too long.",
    }


def test_only_the_last_failures_are_kept() -> None:
    kept = status()
    for task in range(FAILURES_KEPT + 5):
        kept.keep_failure(project=None, task=task, reason="timeout", detail="")

    shown = kept.as_dict()
    assert [failure["task"] for failure in shown["last_failures"]] == list(range(5, FAILURES_KEPT + 5))


def test_long_reasons_are_kept_short() -> None:
    kept = status()
    for _ in range(FAILURES_KEPT):
        kept.keep_failure(project=None, task=1, reason="internal", detail="d" * 10**6)

    assert len(json.dumps(kept.as_dict())) < 20_000


def test_what_the_label_config_of_each_project_lacks_is_shown_until_it_lacks_nothing() -> None:
    kept = status()
    assert kept.label_config_read("4.1", ["It has no image."])
    assert not kept.label_config_read("4.1", ["It has no image."]), "nothing new"
    assert kept.label_config_read("5.2", ["It has no label."])

    assert kept.as_dict()["label_config_problems"] == {
        "4.1": ["It has no image."],
        "5.2": ["It has no label."],
    }
    assert kept.label_config_read("4.1", [])
    assert kept.as_dict()["label_config_problems"] == {"5.2": ["It has no label."]}


def test_projects_are_forgotten_when_many_others_come() -> None:
    kept = status()
    for number in range(PROJECTS_KEPT + 5):
        kept.label_config_read(str(number), ["It has no image."])

    shown = kept.as_dict()["label_config_problems"]
    assert list(shown) == [str(number) for number in range(5, PROJECTS_KEPT + 5)]


def test_what_finished_is_forgotten_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(status_module.time, "monotonic", lambda: now)
    kept = status()
    kept.succeeded()
    kept.failed()
    now = 1059.9
    kept.succeeded()

    assert kept.as_dict()["tasks"]["finished_in_last_minute"] == 3

    now = 1060.0
    assert kept.as_dict()["tasks"]["finished_in_last_minute"] == 1
    assert kept.as_dict()["tasks"]["succeeded"] == 2


def test_requests_that_were_sent_away_are_counted() -> None:
    kept = status()
    kept.refused()
    kept.refused()

    assert kept.as_dict()["requests_refused"] == {"total": 2, "in_last_minute": 2}


def test_what_answers_is_shown_and_an_info_metric() -> None:
    kept = Status(mode="balanced", device="cuda:1")
    kept.serving(
        "rtmlib-balanced-5e6f7a8b",
        [
            NetworkInUse("person", "yolox_m", "onnxruntime", "f32"),
            NetworkInUse("body", "rtmw", "tensorrt", "f16"),
        ],
    )

    shown = kept.as_dict()
    assert shown["model_version"] == "rtmlib-balanced-5e6f7a8b"
    assert [network["weights"] for network in shown["networks"]] == ["yolox_m", "rtmw"]
    labels = {
        "mode": "balanced",
        "device": "cuda:1",
        "engine": "onnxruntime+tensorrt",
        "precision": "f16+f32",
        "model_version": "rtmlib-balanced-5e6f7a8b",
    }
    assert REGISTRY.get_sample_value("rtmlib_model_info", labels) == 1
