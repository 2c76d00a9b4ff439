"""`rtmlib-backend sample-project`: what is drawn, and what it says when nothing answers."""

import io

import pytest
from PIL import Image
from typer.testing import CliRunner

from adapters.cli.app import app
from adapters.cli.sample_project import drawn_pictures


def test_three_pictures_are_drawn() -> None:
    sizes = {name: Image.open(io.BytesIO(data)).size for name, data in drawn_pictures().items()}
    assert sizes == {"one-person.jpg": (720, 960), "two-people.jpg": (1440, 960), "signing.jpg": (720, 528)}


def test_a_label_studio_that_does_not_answer_is_named(unused_tcp_port: int) -> None:
    settings = {
        "LABEL_STUDIO_URL": f"http://127.0.0.1:{unused_tcp_port}",
        "LABEL_STUDIO_API_TOKEN": "token",
    }
    result = CliRunner().invoke(
        app,
        ["sample-project", "--backend", f"http://127.0.0.1:{unused_tcp_port}/", "--wait", "0"],
        env=settings,
    )
    assert result.exit_code == 1
    assert "does not answer" in result.stderr
    assert str(unused_tcp_port) in result.stderr


def test_settings_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(app, ["sample-project", "--backend", "http://localhost:9090"])
    assert "Set LABEL_STUDIO_URL and LABEL_STUDIO_API_TOKEN" in str(result.exception)


def test_an_address_without_http_is_refused_at_once() -> None:
    result = CliRunner().invoke(app, ["sample-project", "--backend", "backend:9090"])
    assert result.exit_code == 2
    assert "http://host:9090" in result.stderr
