"""The manifest pins every network completely."""

import re
from pathlib import Path

import pytest

from runners.manifest import EMBEDDED, MODES, ModelFile

MODELS = list(dict.fromkeys(model for models in MODES.values() for model in models))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_each_network_is_pinned_and_says_where_it_comes_from(model: ModelFile) -> None:
    digest = re.compile("[0-9a-f]{64}")
    assert digest.fullmatch(model.sha256)
    assert digest.fullmatch(model.source.wheel.sha256)
    assert model.size > 100_000
    assert min(model.input_size) > 0
    assert model.licence == "Apache-2.0"
    assert model.origin.startswith("https://")
    assert model.paper.startswith("https://")


def test_the_notice_names_each_network_with_its_origin_and_paper() -> None:
    entries = (Path(__file__).parents[2] / "NOTICE").read_text(encoding="utf-8").split("\n\n")
    for model in MODELS:
        (entry,) = [entry for entry in entries if entry.startswith(f"{model.name}\n")]
        assert {model.origin, model.paper} <= set(re.findall(r"https://[^\s,;)]+", entry))


def test_one_file_name_means_one_file() -> None:
    assert len({model.filename for model in MODELS}) == len(MODELS)


def test_a_network_is_converted_exactly_when_it_is_a_tflite_file() -> None:
    for model in MODELS:
        assert (model.source.tflite_outputs is not None) == model.source.member.endswith(".tflite")


def test_the_embedded_mode_has_a_network_for_every_part() -> None:
    assert [model.task for model in EMBEDDED] == [
        "person detection",
        "body and feet keypoints",
        "hand keypoints",
        "face detection",
        "face keypoints",
    ]
    assert MODES["embedded"] == EMBEDDED
