"""The networks of a mode, and how they become a detector and a pose estimator.

Where the networks run is left open: `assemble` asks for them by name. In the service a name is a method of a runner
process, in the command line a call in this process.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from runners.config import RunnerConfig
from runners.detector import YoloxDetector
from runners.manifest import MODES, ModelFile
from runners.mediapipe import FaceDetector, FaceMesher, HandLandmarker
from runners.simcc import SimccPose
from runners.store import ModelStore
from wholebody.detection import LetterboxDetector, PersonDetector
from wholebody.estimation import Network, PartsEstimator, PoseEstimator, WholeBodyEstimator
from wholebody.pipeline import PIPELINE_VERSION
from wholebody.schema import KEYPOINT_COUNT

NetworkName = Literal["person", "body", "hand", "face", "face_mesh"]
"""What a network looks for. The body network of some modes finds all 133 keypoints; then there are no others."""

LoadedNetwork = Callable[[NDArray[np.uint8]], Sequence[Any]]
"""Crops n×h×w×3 uint8, BGR, to one result for each."""

_LOADERS: Mapping[NetworkName, Callable[..., LoadedNetwork]] = {
    "person": YoloxDetector,
    "body": SimccPose,
    "hand": HandLandmarker,
    "face": FaceDetector,
    "face_mesh": FaceMesher,
}


def files_of(mode: str) -> dict[NetworkName, ModelFile]:
    """Return the network files of a mode by what they look for."""
    return dict(zip(get_args(NetworkName), MODES[mode], strict=False))


def model_store(config: RunnerConfig) -> ModelStore:
    """Return the store that the networks of a configuration come from."""
    return ModelStore(config.cache_dir, digests=config.digests)


def fetch_files(config: RunnerConfig) -> None:
    """Have all files of the mode in the store.

    Raises:
        ModelUnavailableError: A file is not there and cannot be fetched.
    """
    model_store(config).ensure_all(tuple(files_of(config.mode).values()))


def model_version(config: RunnerConfig) -> str:
    """Return the version that predictions carry: it changes exactly when the same picture can give other keypoints.

    Raises:
        ModelUnavailableError: A file whose digest nobody has published is not in the store yet.
    """
    store = model_store(config)
    parts = [str(PIPELINE_VERSION), *(store.digest(file) for file in files_of(config.mode).values())]
    return f"rtmlib-{config.mode}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:8]}"


def load(name: NetworkName, config: RunnerConfig) -> LoadedNetwork:
    """Load a network from the model store, which fetches its file if it is missing.

    Raises:
        ModelUnavailableError: The file is not there and cannot be fetched.
        ProviderUnavailableError: The device is not available.
    """
    file = model_store(config).ensure(files_of(config.mode)[name])
    return _LOADERS[name](file, config)


def assemble(
    mode: str, network: Callable[[NetworkName], Network[Any]]
) -> tuple[PersonDetector, PoseEstimator]:
    """Put the networks of a mode together.

    Args:
        mode: One of `manifest.MODES`.
        network: Gives the network of a name.
    """
    files = files_of(mode)
    detector = LetterboxDetector(network("person"), files["person"].input_size)
    body = files["body"]
    if body.keypoints == KEYPOINT_COUNT:
        return detector, WholeBodyEstimator(network("body"), body.input_size)
    return detector, PartsEstimator(
        body=network("body"),
        body_size=body.input_size,
        hand=network("hand"),
        hand_size=files["hand"].input_size[0],
        face_detector=network("face"),
        face_detector_size=files["face"].input_size[0],
        face_mesh=network("face_mesh"),
        face_mesh_size=files["face_mesh"].input_size[0],
    )


def assemble_in_process(config: RunnerConfig) -> tuple[PersonDetector, PoseEstimator]:
    """Load the networks of a mode into this process and put them together.

    One thread runs them in turn, each with `config.threads` threads of its own.

    Raises:
        ModelUnavailableError: A file is not there and cannot be fetched.
        ProviderUnavailableError: The device is not available.
    """
    loaded = {name: load(name, config) for name in files_of(config.mode)}
    turns = ThreadPoolExecutor(max_workers=1, thread_name_prefix="networks")

    def network(name: NetworkName) -> Network[Any]:
        async def run(crops: NDArray[np.uint8]) -> Sequence[Any]:
            return await asyncio.get_running_loop().run_in_executor(turns, loaded[name], crops)

        return run

    return assemble(config.mode, network)
