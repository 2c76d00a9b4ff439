"""What several modules of unit tests share."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.unit.doctor_command import Doctor


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unused_tcp_port: int) -> Doctor:
    """Runs `rtmlib-backend doctor`; without networks and Label Studio, if no settings name others."""
    from adapters.cli.app import app  # seconds, which other tests need not wait

    for name, value in {
        "BACKEND_PORT": str(unused_tcp_port),
        "MODEL_CACHE_DIR": str(tmp_path),
        "LABEL_STUDIO_URL": "",
        "LABEL_STUDIO_API_TOKEN": "",
        "COLUMNS": "500",
    }.items():
        monkeypatch.setenv(name, value)

    def run(*options: str, **settings: str) -> Result:
        return CliRunner().invoke(app, ["doctor", *options], env=settings)

    return run
