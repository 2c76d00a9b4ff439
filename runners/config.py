"""Configuration of the runners: networks, device, engine and precision.

The settings import this module, so it imports nothing heavy.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mode = Literal["embedded", "lightweight", "balanced", "performance"]
"""A set of networks; `runners.models.manifest.MODES` lists them."""

NetworkName = Literal["person", "body", "hand", "palm", "face", "face_mesh"]
"""A network's target. In some modes the body network finds all 133 keypoints, and there is no hand or face network."""

DetectorKind = Literal["yolox", "yolox_raw", "yolox_decoded", "rtmdet"]
"""`yolox` and `rtmdet`: MMDeploy's exports, with non-maximum suppression inside. `yolox_raw`: YOLOX's own export,
without suppression; `yolox_decoded`: the same, with boxes in pixels."""

EngineName = Literal["onnxruntime", "tensorrt", "openvino", "opencv"]
"""The inference engine; `runners.engines.ENGINES` describes each."""

EngineSetting = Literal["auto", EngineName]
"""`auto`: `runners.choice` selects the engine of each network."""

PartPrecision = Literal["f32", "tf32", "f16", "bf16"]
"""Precision of one file of a network."""

Precision = Literal[PartPrecision, "mixed"]
"""Precision of a network. `mixed`: bf16, with the last convolutions in f32."""

PrecisionSetting = Literal["auto", "exact", "fast"]
"""`exact`: f32. `auto`: the fastest that keeps each network's keypoints. `fast`: the fastest available."""


@dataclass(frozen=True)
class RunnerConfig:
    """Configuration of the runners.

    Attributes:
        mode: The set of networks.
        device: `cpu`, `cuda`, `cuda:N`, `gpu`, `gpu:N` or `mps`.
        threads: Threads for one network.
        cache_dir: Folder of the model store; None for the platform's cache folder.
        digests: File of pinned digests; None to take those of the manifest.
        engine: The inference engine. The defaults of engine and precision are the reference for all comparisons.
        precision: The precision policy.
        detector_model: DETECTOR_MODEL, a custom person detector that replaces the mode's.
        pose_model: POSE_MODEL, a custom pose network that replaces the mode's.
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
