"""The folder that the processes of one server share with each other, and with no other server's."""

import os
import tempfile
from functools import cache
from pathlib import Path


def server_folder() -> Path:
    """Return the folder; in a process that belongs to no server, one of its own."""
    # BentoML makes it for metrics; `adapters/cli/serve.py` sees to it that each server has one of its own.
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else _of_this_process()


@cache
def _of_this_process() -> Path:
    return Path(tempfile.mkdtemp(prefix="rtmlib-ml-backend-"))
