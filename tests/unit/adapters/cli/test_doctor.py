"""`rtmlib-backend doctor`: one line for each check, and for what is wrong a sentence that says what to do."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runners.models.store import ModelStore
from tests.support.doctor_command import TOKEN, Doctor, answering


@pytest.fixture
def label_studio() -> Iterator[str]:
    """What it asks of Label Studio, of a user with a legacy token."""

    def answer(path: str, known: bool) -> tuple[int, Any]:
        statuses = {"/health": 200, "/api/current-user/whoami": 200 if known else 401}
        return statuses.get(path, 404), {"email": "ada@example.org"}

    with answering(answer) as url:
        yield url


@pytest.mark.models
def test_where_all_is_well_it_says_so(doctor: Doctor, model_store: ModelStore, label_studio: str) -> None:
    result = doctor(
        MODEL_CACHE_DIR=str(model_store.root), LABEL_STUDIO_URL=label_studio, LABEL_STUDIO_API_TOKEN=TOKEN
    )

    assert result.exit_code == 0, result.output
    assert [line.partition(":")[0] for line in result.output.splitlines()] == [
        f"✓ {check}"
        for check in (
            "Python",
            "Packages",
            "Settings",
            "Networks",
            "Device",
            "Engines",
            "Port",
            "Label Studio",
        )
    ]
    assert "accepts the legacy token of ada@example.org" in result.output


@pytest.mark.models
class TestWhatIsWrong:
    @pytest.fixture(autouse=True)
    def with_networks(self, monkeypatch: pytest.MonkeyPatch, doctor: Doctor, model_store: ModelStore) -> None:
        monkeypatch.setenv("MODEL_CACHE_DIR", str(model_store.root))

    def test_a_port_that_is_taken(self, doctor: Doctor) -> None:
        with socket.create_server(("0.0.0.0", 0)) as taken:
            port = str(taken.getsockname()[1])
            result = doctor(BACKEND_PORT=port)

        assert result.exit_code == 1
        assert f"✗ Port: {port} is in use by another program" in result.output
        assert "Stop it, or set BACKEND_PORT" in result.output

    def test_a_label_studio_that_is_not_there(self, doctor: Doctor, unused_tcp_port: int) -> None:
        result = doctor(LABEL_STUDIO_URL=f"http://127.0.0.1:{unused_tcp_port}")

        assert result.exit_code == 1
        assert f"✗ Label Studio: http://127.0.0.1:{unused_tcp_port} is unreachable" in result.output

    def test_an_address_that_is_another_server_s(self, doctor: Doctor, label_studio: str) -> None:
        result = doctor(LABEL_STUDIO_URL=f"{label_studio}/elsewhere")

        assert result.exit_code == 1
        assert f"✗ Label Studio: {label_studio}/elsewhere/health returns 404" in result.output

    def test_a_token_that_is_refused_which_is_not_shown(self, doctor: Doctor, label_studio: str) -> None:
        wrong = "f" * 40
        result = doctor(LABEL_STUDIO_URL=label_studio, LABEL_STUDIO_API_TOKEN=wrong)

        assert result.exit_code == 1
        assert "✗ Label Studio: " in result.output
        assert "rejects the legacy token" in result.output
        assert wrong not in result.output


def test_networks_that_are_missing_are_not_fetched_by_asking(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    result = doctor()

    assert result.exit_code == 1
    assert "✗ Networks: 6 are missing or damaged" in result.output
    assert "Run `rtmlib-backend models pull --mode embedded`" in result.output
    assert "✗ Device: not checked: the networks are missing" in result.output
    assert not list(tmp_path.iterdir()), "not even begun"


def test_settings_that_are_wrong_are_named(doctor: Doctor) -> None:
    result = doctor(MODE="fast")

    assert result.exit_code == 1
    assert "✗ Settings: Wrong settings: MODE: " in result.output
