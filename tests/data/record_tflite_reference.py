"""Records what Google's own runtime computes, for tests/unit/runners/models/test_tflite.py.

Needs ai-edge-litert, which is no dependency of this project, and the wheel of mediapipe 0.10.21 (its address and
digest are in runners/models/manifest.py):

    uv run --no-project --with ai-edge-litert==2.3.0 --with numpy \
        python tests/data/record_tflite_reference.py mediapipe-0.10.21-….whl tests/data/tflite_reference.npz
"""

import sys
import zipfile

import numpy as np
from numpy.typing import NDArray

EVERY = {
    "palm_detection_full/Identity": 80,
    "palm_detection_full/Identity_1": 16,
    "face_detection_short_range/regressors": 32,
    "face_detection_short_range/classificators": 8,
    "face_landmark/conv2d_21": 4,
}  # of long outputs only each n-th value is kept


def stimulus(size: int, kind: int) -> NDArray[np.float32]:
    """A picture that every machine can make again: coloured waves with a bright disc, [size, size, 3], 0..1."""
    y, x = np.mgrid[:size, :size] / size
    waves = [np.sin((5 + 3 * kind + c) * x + (4 + 2 * c) * y * (kind + 1) + c) for c in range(3)]
    disc = np.hypot(x - 0.5, (y - 0.45) * 0.8) < 0.25
    return (0.5 + 0.25 * np.stack(waves, -1) + 0.2 * disc[..., None]).astype(np.float32)


def thinned(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values that are kept of one picture's output, whose name is `network/output`."""
    return values.ravel()[:: EVERY.get(name, 1)]


def record(wheel: str, target: str) -> None:
    """Run the networks on two pictures each and write their thinned outputs."""
    from ai_edge_litert.interpreter import Interpreter

    networks = {
        "hand_landmark/hand_landmark_full": ("Identity", "Identity_1", "Identity_2"),
        "palm_detection/palm_detection_full": ("Identity", "Identity_1"),
        "face_detection/face_detection_short_range": ("regressors", "classificators"),
        "face_landmark/face_landmark": ("conv2d_21", "conv2d_31"),
    }
    recorded: dict[str, NDArray[np.float32]] = {}
    for member, outputs in networks.items():
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(f"mediapipe/modules/{member}.tflite")
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        (picture,) = interpreter.get_input_details()
        network = member.split("/")[1]
        rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in outputs}
        for kind in (0, 1):
            interpreter.set_tensor(picture["index"], stimulus(int(picture["shape"][1]), kind)[None])
            interpreter.invoke()
            for output in interpreter.get_output_details():
                if output["name"] in rows:
                    kept = thinned(f"{network}/{output['name']}", interpreter.get_tensor(output["index"]))
                    rows[output["name"]].append(kept)
        for name, values in rows.items():
            recorded[f"{network}/{name}"] = np.round(np.stack(values), 4)
    np.savez_compressed(target, **recorded)


if __name__ == "__main__":
    record(*sys.argv[1:])
