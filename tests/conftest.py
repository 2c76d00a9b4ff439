"""What several test modules share."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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


Within = Callable[[float], AbstractContextManager[None]]


def bounds_hold(config: pytest.Config) -> bool:
    """Whether this run checks bounds on time, as `make timing` does."""
    return config.option.markexpr == "timing"


@pytest.fixture
def within(pytestconfig: pytest.Config) -> Within:
    """Bounds the seconds that a block takes, in `make timing`; elsewhere the rest of the test counts."""

    @contextmanager
    def bounded(limit_s: float) -> Iterator[None]:
        started = time.monotonic()
        yield
        took_s = time.monotonic() - started
        assert took_s < limit_s or not bounds_hold(pytestconfig), f"took {took_s:.2f} s"

    return bounded


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only bounds time or needs root (`.ci/run timing root`), unless a marker, file or test is named."""
    if bounds_hold(config):
        for item in items:
            if "within" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.timing)
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason="needs root: run `.ci/run root`"))
    if config.option.markexpr or config.option.keyword or any(".py" in name for name in config.args):
        return
    apart = [item for item in items if item.get_closest_marker("timing") or item.get_closest_marker("root")]
    config.hook.pytest_deselected(items=apart)
    items[:] = [item for item in items if item not in apart]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write one line for each reason to skip."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
    )
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")
