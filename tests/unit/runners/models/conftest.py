"""What the tests of the model store share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runners.models.store import ModelStore
from tests.support.archive_server import ArchiveServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ArchiveServer]:
    """A server for networks, where rtmlib has none."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    server = ArchiveServer()
    yield server
    server.close()


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")
