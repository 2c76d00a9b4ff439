"""Download progress: a bar on a terminal, log lines elsewhere."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

logger = logging.getLogger(__name__)

Received = Callable[[int, int | None], None]
"""Progress callback: bytes received, and total bytes or None if unknown."""

LOG_INTERVAL_S = 30.0


@contextmanager
def download_progress(title: str, size: int) -> Generator[Received]:
    """Show one download of about `size` bytes; yield its progress callback."""
    console = Console(stderr=True)
    if not console.is_terminal:
        logger.info("Fetching %s (%.1f MB)", title, size / 1e6)
        yield _logged(title)
        logger.info("Fetched %s", title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=size)
        yield lambda received, total: progress.update(task, completed=received, total=total or size)


def _logged(title: str) -> Received:
    """Log the progress of a long download every `LOG_INTERVAL_S`."""
    said = time.monotonic()

    def received(done: int, total: int | None) -> None:
        nonlocal said
        if time.monotonic() - said >= LOG_INTERVAL_S:
            said = time.monotonic()
            logger.info(
                "Fetching %s: %.1f of %s MB", title, done / 1e6, f"{total / 1e6:.1f}" if total else "?"
            )

    return received
