"""What several modules of unit tests share."""

from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.support.doctor_command import Doctor

Descendants = Callable[[], list[psutil.Process]]


def _with_their_own(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in processes:
        try:
            found += [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture
def descendants() -> Descendants:
    """Lists the processes started since the test began, and theirs; servers of other tests are none of them."""
    others = set(psutil.Process().children())
    return lambda: _with_their_own(set(psutil.Process().children()) - others)


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
