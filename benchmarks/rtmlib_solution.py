"""Rtmlib with its defaults, on the networks of the service."""

from typing import Any

from rtmlib import BodyWithFeet, Wholebody

from adapters.settings import load_settings
from adapters.wiring import runner_config
from runners.plan import fetch


def rtmlib_solution() -> Any:
    """Return rtmlib's solution for MODE and DEVICE, on the same files as the service.

    Raises:
        RuntimeError: It would run on another device: ONNX Runtime falls back to the CPU and only logs it.
    """
    config = runner_config(load_settings())
    networks = fetch(config).networks
    detector, pose = networks["person"], networks["body"]
    solution = BodyWithFeet if config.mode == "embedded" else Wholebody
    loaded = solution(
        det=str(detector.path),
        det_input_size=detector.file.input_size,
        pose=str(pose.path),
        pose_input_size=pose.file.input_size,
        backend="onnxruntime",
        device=config.device,
    )
    if config.device.startswith("cuda"):
        for tool in (loaded.det_model, loaded.pose_model):
            if "CUDAExecutionProvider" not in (active := tool.session.get_providers()):
                raise RuntimeError(f"rtmlib was to compute with CUDA and has only {', '.join(active)}")
    return loaded
