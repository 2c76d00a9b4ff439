"""How far a download is: a bar on a terminal, plain log lines everywhere else."""

import logging
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


@contextmanager
def download_progress(title: str, size: int) -> Generator[Callable[[int], None]]:
    """Show one download of `size` bytes; call what is yielded with the number of bytes received so far."""
    console = Console(stderr=True)
    if not console.is_terminal:
        logger.info("Fetching %s (%.1f MB)", title, size / 1e6)
        yield lambda received: None
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
        yield lambda received: progress.update(task, completed=received)
