"""`rtmlib-backend doctor` reads the label config of a file or a project, and says what it lacks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from adapters.label_studio.label_config.template import Selection, label_config_template
from tests.support.doctor_command import TOKEN, Doctor, answering

GOOD = label_config_template([Selection.HANDS])
MISSPELT = GOOD.replace('value="left_thumb_1"', 'value="left_thum_1"')


@pytest.fixture
def label_studio() -> Iterator[str]:
    """A Label Studio with two projects: 1 is good, 2 has a misspelt label."""
    configs = {"/api/projects/1": GOOD, "/api/projects/2": MISSPELT}

    def answer(path: str, known: bool) -> tuple[int, Any]:
        status = 401 if not known else 200 if path in configs else 404
        return status, {"id": 1, "title": "Hands", "label_config": configs.get(path)}

    with answering(answer) as url:
        yield url


def line(result: Result, name: str) -> str:
    """The check's line and what follows it."""
    return result.output[result.output.index(name) :]


@pytest.mark.parametrize(
    ("skeleton", "words"),
    [(True, "bones of face, left_hand, right_hand, upper_body"), (False, "121 keypoints, boxes")],
)
def test_a_good_label_config_in_a_file_is_told_in_words(
    doctor: Doctor, tmp_path: Path, skeleton: bool, words: str
) -> None:
    file = tmp_path / "config.xml"
    file.write_text(label_config_template([Selection.UPPER_BODY], skeleton=skeleton, frames=True))

    said = line(doctor("--label-config", str(file)), "Label config:").strip()
    assert said == f"Label config: {words} on every frame of 'image'"


def test_a_label_config_for_video_is_told_in_words(doctor: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "config.xml"
    file.write_text(
        '<View><Video name="clip" value="$video"/><VideoRectangle name="box" toName="clip"/>'
        '<Labels name="what" toName="clip"><Label value="person"/></Labels></View>'
    )

    assert (
        line(doctor("--label-config", str(file)), "Label config:").strip() == "Label config: people on 'clip'"
    )


def test_unknown_labels_in_a_file_are_named_with_similar_ones(doctor: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "config.xml"
    file.write_text(MISSPELT)

    result = doctor("--label-config", str(file))

    assert result.exit_code == 1
    assert (
        "Label 'left_thum_1' of KeyPointLabels 'left_hand' is no known keypoint; similar: 'left_thumb_1'"
        in (line(result, "Label config:"))
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[/]", "not well-formed XML"),
    ],
)
def test_a_file_that_is_no_label_config_is_explained(
    doctor: Doctor, tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "[config].xml"
    if content is not None:
        file.write_bytes(content)

    assert said in line(doctor("--label-config", str(file)), "Label config:")


def test_a_projects_label_config_is_read_from_label_studio(doctor: Doctor, label_studio: str) -> None:
    settings = {"LABEL_STUDIO_URL": label_studio, "LABEL_STUDIO_API_TOKEN": TOKEN}

    good, bad, missing = (doctor("--project", str(number), **settings) for number in (1, 2, 3))

    assert "42 keypoints, boxes on 'image'" in line(good, "Label config of project 1")
    assert "similar: 'left_thumb_1'" in line(bad, "Label config of project 2")
    assert "Project 3 does not exist" in line(missing, "Label config of project 3")


def test_without_a_token_a_projects_label_config_cannot_be_read(doctor: Doctor) -> None:
    assert "Set LABEL_STUDIO_URL and LABEL_STUDIO_API_TOKEN" in line(
        doctor("--project", "1"), "Label config of"
    )
