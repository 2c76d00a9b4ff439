"""Stand-ins: networks with the names, layers, shapes and costs of the zoo's, without their weights.

The official weights cannot be fetched everywhere, and speed does not depend on them. A stand-in detector returns the
same people for every picture; their number can be set.
"""

import hashlib
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.stand_in_detector import add_candidates

NAMES = {
    "yolox_tiny_416": "yolox_tiny_8xb8-300e_humanart-6f3252f9",
    "yolox_m_640": "yolox_m_8xb8-300e_humanart-c2c7a14a",
    "rtmw_m_256x192": "rtmw-dw-l-m_simcc-cocktail14_270e-256x192_20231122",
    "rtmw_l_256x192": "rtmw-dw-x-l_simcc-cocktail14_270e-256x192_20231122",
    "rtmw_l_384x288": "rtmw-dw-x-l_simcc-cocktail14_270e-384x288_20231122",
}


def install(stand_ins: Path, folder: Path, people: int | None = None) -> dict[str, str]:
    """Fill a model cache with the stand-ins.

    Args:
        stand_ins: Folder of the files named above.
        folder: The model cache to fill.
        people: Number of people that the detectors return; None for the file's number.

    Returns:
        Settings of the service for these files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pins: dict[str, str] = {}
    for stand_in, name in NAMES.items():
        source, target = stand_ins / f"{stand_in}.onnx", folder / f"{name}.onnx"
        if stand_in.startswith("yolox"):
            model = onnx.load(source)
            onnx.save(add_candidates(model if people is None else _with_people(model, people)), target)
        else:
            shutil.copyfile(source, target)
        pins[target.name] = hashlib.sha256(target.read_bytes()).hexdigest()
    digests = folder / "digests.json"
    digests.write_text(json.dumps(pins))
    return {"MODEL_CACHE_DIR": str(folder), "MODEL_DIGESTS": str(digests)}


def _with_people(model: Any, people: int) -> Any:
    """Change a stand-in detector to return a number of people, side by side."""
    graph = model.graph
    height, width = (axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim[2:])
    for weights in graph.initializer:
        array = numpy_helper.to_array(weights)
        if array.ndim == 3 and array.shape[2] == 5:
            edges = np.linspace(0, width, people + 1)
            boxes = [[a + 1, 0.1 * height, b - 1, 0.9 * height, 0.9] for a, b in itertools.pairwise(edges)]
            weights.CopyFrom(numpy_helper.from_array(np.array([boxes], np.float32), weights.name))
        elif array.ndim == 2 and array.shape[0] == 1 and not array.any():
            weights.CopyFrom(numpy_helper.from_array(np.zeros((1, people), np.float32), weights.name))
    for output in graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = people
    return model
