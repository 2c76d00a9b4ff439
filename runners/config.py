"""What the runners need to know."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunnerConfig:
    """Which networks run, and on what.

    Attributes:
        mode: One of `manifest.MODES`.
        device: `cpu`, `cuda`, `cuda:N` or `mps`.
        threads: Threads for one network.
        cache_dir: Folder of the model store; None for the platform's cache folder.
        digests: File of pinned digests; None to take those of the manifest.
    """

    mode: str
    device: str
    threads: int
    cache_dir: Path | None
    digests: Path | None = None
