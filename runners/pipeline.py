"""Builds a detector and a pose estimator from planned networks.

`assemble` gets networks by name, wherever they run: in the service in a runner process, in the command line in this
process.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runners.config import NetworkName, PartPrecision, RunnerConfig
from runners.engines import LoadedGraph, Place, load_graph
from runners.graphs.prepared import network_files
from runners.models.made_files import made_folders
from runners.models.manifest import ModelFile
from runners.networks.detector import PreparedDetector, published_detector
from runners.networks.mediapipe import FaceDetector, FaceMesher, HandLandmarker, PalmDetector
from runners.networks.simcc import SimccPose
from runners.plan import NetworkPlan, PlannedNetwork
from runners.serving.batch_sizes import largest_batch
from wholebody.detection import LetterboxDetector, PersonDetector
from wholebody.estimation import PartsEstimator, PoseEstimator, WholeBodyEstimator
from wholebody.hands.search import HandSearch
from wholebody.networks import Network
from wholebody.schema import KEYPOINT_COUNT

LoadedNetwork = Callable[[NDArray[np.uint8]], Sequence[Any]]
"""Takes crops, n×h×w×3 uint8, BGR, and returns one result for each."""


def load(
    network: PlannedNetwork, config: RunnerConfig, device: str | None = None, lanes: int = 1
) -> LoadedNetwork:
    """Load a network; prepare its graph first if necessary.

    Args:
        network: The network, with engine and precision. Its file is in the model store.
        config: Device and threads.
        device: One of the devices of `config.device`; None if there is only one.
        lanes: Number of concurrent callers, each with its share of the threads.

    Raises:
        ModelStoreError: No folder for the prepared graph is writable.
        ProviderUnavailableError: The device or the engine is unavailable.
    """
    found = network_files(network)
    one_by_one = largest_batch(network.name, config.device) == 1
    cache = made_folders(network.path.parent)[0]
    place = Place(device or config.device, config.threads, cache, lanes, one_by_one)
    graph = load_graph(found.files, network.engine, _computed_in(network, found.prepared), place)
    return _network(network, graph, prepared=found.prepared)


def _computed_in(network: PlannedNetwork, prepared: bool) -> tuple[PartPrecision, ...]:
    if network.precision != "mixed":
        return (network.precision,)
    return ("bf16", "f32") if prepared else ("f32",)  # a published graph is not cut


def _network(network: PlannedNetwork, graph: LoadedGraph, *, prepared: bool) -> LoadedNetwork:
    match network.name:
        case "person":
            return PreparedDetector(graph) if prepared else published_detector(network.file.detector, graph)
        case "body":
            return SimccPose(graph, prepared=prepared, one_by_one=network.file.one_by_one)
        case "hand":
            return HandLandmarker(graph)
        case "palm":
            return PalmDetector(graph)
        case "face":
            return FaceDetector(graph)
        case "face_mesh":
            return FaceMesher(graph)


def assemble(
    files: Mapping[NetworkName, ModelFile], network: Callable[[NetworkName], Network[Any]]
) -> tuple[PersonDetector, PoseEstimator]:
    """Return a detector and a pose estimator built from networks.

    Args:
        files: The file of each network.
        network: Returns a network by name.
    """
    detector = LetterboxDetector(network("person"), files["person"].input_size)
    body = files["body"]
    if body.keypoints == KEYPOINT_COUNT:
        return detector, WholeBodyEstimator(network("body"), body.input_size)
    return detector, PartsEstimator(
        body=network("body"),
        body_size=body.input_size,
        hands=HandSearch(
            network=network("hand"),
            size=files["hand"].input_size[0],
            palm_detector=network("palm"),
            palm_detector_size=files["palm"].input_size[0],
        ),
        face_detector=network("face"),
        face_detector_size=files["face"].input_size[0],
        face_mesh=network("face_mesh"),
        face_mesh_size=files["face_mesh"].input_size[0],
    )


def assemble_in_process(plan: NetworkPlan) -> tuple[PersonDetector, PoseEstimator]:
    """Return a detector and a pose estimator whose networks run in this process.

    The networks run one at a time, with `config.threads` threads each.

    Raises:
        ModelStoreError: No folder for a prepared graph is writable.
        ProviderUnavailableError: The device or the engine is unavailable.
    """
    loaded = {name: load(one, plan.config) for name, one in plan.networks.items()}
    turns = ThreadPoolExecutor(max_workers=1, thread_name_prefix="networks")

    def network(name: NetworkName) -> Network[Any]:
        async def run(crops: NDArray[np.uint8]) -> Sequence[Any]:
            return await asyncio.get_running_loop().run_in_executor(turns, loaded[name], crops)

        return run

    return assemble(plan.files, network)
