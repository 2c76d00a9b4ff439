"""What several test modules share."""

import os
from pathlib import Path

import pytest

from runners.models.manifest import EMBEDDED
from runners.models.store import ModelStore


@pytest.fixture(scope="session")
def model_store() -> ModelStore:
    """The user's own model store with the embedded networks in it, fetched on first use."""
    root = os.environ.get("MODEL_CACHE_DIR")
    store = ModelStore(Path(root) if root else None)
    store.ensure_all(tuple(EMBEDDED.values()))
    return store
