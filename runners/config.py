"""What the runners are told: which networks run, and on what.

The settings import it too, so it imports nothing heavy.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mode = Literal["embedded", "lightweight", "balanced", "performance"]
"""A set of networks; `runners.models.manifest.MODES` lists them."""

NetworkName = Literal["person", "body", "hand", "face", "face_mesh"]
"""What a network looks for. The body network of some modes finds all 133 keypoints; then there are no others."""

DetectorKind = Literal["yolox", "yolox_raw", "yolox_decoded", "rtmdet"]
"""`yolox` and `rtmdet`: as MMDeploy exports them, with their suppression inside. `yolox_raw`: as YOLOX's authors do,
without; `yolox_decoded`: the same, with boxes in pixels."""

EngineName = Literal["onnxruntime", "tensorrt", "openvino", "opencv"]
"""What runs a network's file; `runners.engines.ENGINES` describes each."""

EngineSetting = Literal["auto", EngineName]
"""`auto`: for each network the engine that `runners.choice` names."""

PartPrecision = Literal["f32", "tf32", "f16", "bf16"]
"""Arithmetic of one file of a network."""

Precision = Literal[PartPrecision, "mixed"]
"""Arithmetic of a network. `mixed`: bf16, with the last convolutions in f32."""

PrecisionSetting = Literal["auto", "exact", "fast"]
"""`exact`: f32. `auto`: for each network the fastest that keeps its keypoints. `fast`: the fastest there is."""


@dataclass(frozen=True)
class RunnerConfig:
    """Which networks run, and on what.

    Attributes:
        mode: The set of networks.
        device: `cpu`, `cuda`, `cuda:N`, `gpu`, `gpu:N` or `mps`.
        threads: Threads for one network.
        cache_dir: Folder of the model store; None for the platform's cache folder.
        digests: File of pinned digests; None to take those of the manifest.
        engine: What runs the networks.
        precision: Their arithmetic. The defaults here are the reference that all others are compared with.
        detector_model: The user's own person detector instead of the mode's, as DETECTOR_MODEL names it.
        pose_model: The user's own pose network instead of the mode's, as POSE_MODEL names it.
    """

    mode: Mode
    device: str
    threads: int
    cache_dir: Path | None
    digests: Path | None = None
    engine: EngineSetting = "onnxruntime"
    precision: PrecisionSetting = "exact"
    detector_model: str | None = None
    pose_model: str | None = None
