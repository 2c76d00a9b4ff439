"""The manifest pins every network completely."""

import re
from pathlib import Path

import pytest
from rtmlib import Wholebody
from rtmlib.tools.file import get_mirror_url

from runners.config import Mode
from runners.models.manifest import (
    EMBEDDED,
    MODES,
    RTMW_L,
    RTMW_L_384,
    RTMW_M,
    ModelFile,
    WheelMember,
    ZipMember,
)

MODELS = list(dict.fromkeys(model for models in MODES.values() for model in models.values()))


# OpenMMLab publishes no digests, and nobody else's could be checked.
TRUSTED_ON_FIRST_USE = {RTMW_M, RTMW_L, RTMW_L_384}
DIGEST = re.compile("[0-9a-f]{64}")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_each_network_says_what_it_is_and_where_it_comes_from(model: ModelFile) -> None:
    assert model.size > 100_000
    assert min(model.input_size) > 0
    assert model.licence == "Apache-2.0"
    assert model.origin.startswith("https://")
    assert model.paper.startswith("https://")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_each_network_is_pinned_where_its_digest_is_known(model: ModelFile) -> None:
    assert (model.sha256 is None) == (model in TRUSTED_ON_FIRST_USE)
    assert model.sha256 is None or DIGEST.fullmatch(model.sha256)
    if isinstance(model.source, WheelMember):
        assert DIGEST.fullmatch(model.source.wheel.sha256)


def test_each_archive_has_its_home_and_a_mirror() -> None:
    archives = [model for model in MODELS if isinstance(model.source, ZipMember)]
    assert len(archives) == 5
    for model in archives:
        home, mirror = model.source.urls
        assert home.startswith("https://download.openmmlab.com/mmpose/v1/projects/")
        assert get_mirror_url(home) == mirror
        assert home.endswith(f"/{model.name}.zip")


@pytest.mark.parametrize("mode", ["lightweight", "balanced", "performance"])
def test_the_modes_of_the_zoo_are_rtmlibs(mode: Mode) -> None:
    theirs = Wholebody.MODE[mode]
    detector, pose = MODES[mode].values()
    assert (detector.source.urls[0], detector.input_size) == (theirs["det"], theirs["det_input_size"])
    assert (pose.source.urls[0], pose.input_size) == (theirs["pose"], theirs["pose_input_size"])
    assert (detector.keypoints, pose.keypoints) == (0, 133)


def test_the_notice_names_each_network_with_its_origin_and_paper() -> None:
    entries = (Path(__file__).parents[4] / "NOTICE").read_text(encoding="utf-8").split("\n\n")
    for model in MODELS:
        (entry,) = [entry for entry in entries if entry.startswith(f"{model.name}\n")]
        assert {model.origin, model.paper} <= set(re.findall(r"https://[^\s,;)]+", entry))


def test_one_file_name_means_one_file() -> None:
    files = {(model.filename, model.size, model.sha256) for model in MODELS}
    assert len({model.filename for model in MODELS}) == len(files)


def test_a_network_is_converted_exactly_when_it_is_a_tflite_file() -> None:
    for model in EMBEDDED.values():
        assert (model.source.tflite_outputs is not None) == model.source.member.endswith(".tflite")


def test_the_embedded_mode_has_a_network_for_every_part() -> None:
    assert [model.task for model in EMBEDDED.values()] == [
        "person detection",
        "body and feet keypoints",
        "hand keypoints",
        "palm detection",
        "face detection",
        "face keypoints",
    ]
    assert MODES["embedded"] == EMBEDDED
