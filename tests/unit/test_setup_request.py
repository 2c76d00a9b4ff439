"""What a project that connects is told in the log and at /status."""

import logging

import pytest

from adapters.label_studio.label_config_template import Selection, label_config_template
from adapters.label_studio.schemas import SetupRequest
from adapters.label_studio.setup import problems_of

GOOD = label_config_template([Selection.BODY])


def announced(label_config: str | None) -> SetupRequest:
    return SetupRequest.model_validate({"project": "7.1", "schema": label_config})


def test_labels_that_mean_nothing_of_ours_are_named_with_similar_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        problems = problems_of(announced(GOOD.replace('value="left_elbow"', 'value="left_elbwo"')))

    (problem,) = problems
    assert "'left_elbwo'" in problem
    assert "similar: 'left_elbow'" in problem
    (message,) = caplog.messages
    assert problem in message
    assert "7.1" in message


def test_a_label_config_that_cannot_be_read_is_told_and_fails_nothing() -> None:
    assert problems_of(announced("<View>")) == [
        "The label config is not well-formed XML: no element found: line 1, column 6."
    ]


@pytest.mark.parametrize("label_config", [GOOD, "", None])
def test_nothing_is_said_where_nothing_is_amiss(label_config: str | None) -> None:
    assert problems_of(announced(label_config)) == []
