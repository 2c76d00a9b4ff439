"""What a project that connects is told in the log and at /status."""

import asyncio
import logging

import pytest

from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.label_studio.schemas import SetupRequest
from adapters.label_studio.setup import check_label_config
from adapters.observability.status import Status

GOOD = label_config_template([Selection.BODY])


def problems(status: Status, label_config: str | None) -> list[str]:
    asyncio.run(
        check_label_config(SetupRequest.model_validate({"project": "7.1", "schema": label_config}), status)
    )
    return status.as_dict()["label_config_problems"].get("7.1", [])


@pytest.fixture
def status() -> Status:
    return Status(mode="embedded", device="cpu")


def test_labels_that_mean_nothing_of_ours_are_named_with_similar_ones(
    status: Status, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        (problem,) = problems(status, GOOD.replace('value="left_elbow"', 'value="left_elbwo"'))

    assert "'left_elbwo'" in problem
    assert "similar: 'left_elbow'" in problem
    (message,) = caplog.messages
    assert problem in message
    assert "7.1" in message


def test_a_task_that_is_opened_again_repeats_nothing(
    status: Status, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        problems(status, "<View>")
        problems(status, "<View>")

    assert len(caplog.messages) == 1


def test_a_label_config_that_cannot_be_read_is_told_and_fails_nothing(status: Status) -> None:
    assert problems(status, "<View>") == [
        "The label config is not well-formed XML: no element found: line 1, column 6."
    ]


@pytest.mark.parametrize("label_config", [GOOD, "", None])
def test_nothing_is_said_where_nothing_is_amiss(status: Status, label_config: str | None) -> None:
    assert problems(status, label_config) == []
