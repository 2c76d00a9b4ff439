"""Where rtmlib itself keeps networks that it has fetched; it uses the same names."""

import os
from pathlib import Path


def rtmlib_file(filename: str) -> Path:
    """Where rtmlib keeps, or would keep, a network: the rule of `rtmlib.tools.file`."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/rtmlib")
    # Unlike Path.expanduser this does not fail for a user without a home, as in many containers.
    return Path(os.path.expanduser(home)) / "hub" / "checkpoints" / filename
