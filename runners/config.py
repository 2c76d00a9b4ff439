"""What the runners need to know."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runners.engines import EngineName

PrecisionSetting = Literal["auto", "exact", "fast"]
"""`exact`: f32. `auto`: for each network the fastest that keeps its keypoints. `fast`: the fastest there is."""


@dataclass(frozen=True)
class RunnerConfig:
    """Which networks run, and on what.

    Attributes:
        mode: One of `manifest.MODES`.
        device: `cpu`, `cuda`, `cuda:N`, `gpu`, `gpu:N` or `mps`.
        threads: Threads for one network.
        cache_dir: Folder of the model store; None for the platform's cache folder.
        digests: File of pinned digests; None to take those of the manifest.
        engine: What runs the networks; `auto` for the fastest, found out once on each machine.
        precision: What they are computed in. The defaults here are the reference that all others are compared with.
        detector_model: The user's own person detector instead of the mode's, as DETECTOR_MODEL names it.
        pose_model: The user's own pose network instead of the mode's, as POSE_MODEL names it.
    """

    mode: str
    device: str
    threads: int
    cache_dir: Path | None
    digests: Path | None = None
    engine: Literal["auto"] | EngineName = "onnxruntime"
    precision: PrecisionSetting = "exact"
    detector_model: str | None = None
    pose_model: str | None = None
