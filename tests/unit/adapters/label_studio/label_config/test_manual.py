"""The label configs in the manual: each is one that we understand completely, and has what the manual says."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.cli.app import app
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.template import Selection

MANUAL = (Path(__file__).parents[5] / "docs" / "label-studio.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| `rtmlib-backend (label-config[^`]*)` \| (\d+) \|$", MANUAL, re.MULTILINE)
WRITTEN = re.findall(r"```xml\n(.*?)```", MANUAL, re.DOTALL)


@pytest.mark.parametrize(("purpose", "command", "labels"), ROWS, ids=[purpose for purpose, *_ in ROWS])
def test_a_command_prints_a_config_with_so_many_labels(purpose: str, command: str, labels: str) -> None:
    result = CliRunner().invoke(app, shlex.split(command))

    assert result.exit_code == 0, result.output
    config = parse_label_config(result.output)
    assert config.sentences == ()
    (image,) = config.images
    assert (image.box is not None) == ("points" in purpose)
    assert bool(image.skeletons) == ("bones" in purpose)
    assert image.shows_frames == ("frames" in purpose)
    controls = [*image.keypoints, *image.skeletons]
    assert sum(len(control.labels) for control in controls) == int(labels)


def test_there_is_one_for_each_purpose() -> None:
    purposes = " ".join(purpose for purpose, *_ in ROWS)

    assert all(
        word in purposes for word in ("whole", "signing", "hands", "bodies", "bones", "points", "frames")
    )


@pytest.mark.parametrize("config", WRITTEN, ids=[f"number {n}" for n in range(1, len(WRITTEN) + 1)])
def test_a_config_that_is_written_out_lacks_nothing(config: str) -> None:
    assert parse_label_config(config).sentences == ()


def test_every_part_is_named() -> None:
    (named,) = re.findall(r"`--parts` takes one or more of ([^;]+?), separated", MANUAL)

    assert set(re.findall(r"`([\w-]+)`", named)) == {selection.value for selection in Selection}
