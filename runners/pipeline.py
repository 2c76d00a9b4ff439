"""The networks of a mode, and how they become a detector and a pose estimator.

Where the networks run is left open: `assemble` asks for them by name. In the service a name is a method of a runner
process, in the command line a call in this process.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runners.config import RunnerConfig
from runners.engines import LoadedGraph, PartPrecision, Place, load_graph
from runners.graphs.prepared import NetworkSource, find_network_files, network_files
from runners.models.made_files import made_folders
from runners.models.manifest import ModelFile
from runners.models.own_networks import fetch_own
from runners.networks.detector import PreparedDetector, published_detector
from runners.networks.mediapipe import FaceDetector, FaceMesher, HandLandmarker
from runners.networks.simcc import SimccPose
from runners.serving.batch_sizes import largest_batch
from runners.startup.choice import (
    NetworkEngine,
    NetworkName,
    choice_of,
    engines_in_use,
    model_store,
    networks_of,
    own_networks_of,
)
from runners.startup.tolerance import mixture
from wholebody.detection import LetterboxDetector, PersonDetector
from wholebody.estimation import Network, PartsEstimator, PoseEstimator, WholeBodyEstimator
from wholebody.pipeline import PIPELINE_VERSION
from wholebody.schema import KEYPOINT_COUNT

LoadedNetwork = Callable[[NDArray[np.uint8]], Sequence[Any]]
"""Crops n×h×w×3 uint8, BGR, to one result for each."""


def _network(name: NetworkName, file: ModelFile, graph: LoadedGraph, *, prepared: bool) -> LoadedNetwork:
    match name:
        case "person":
            return PreparedDetector(graph) if prepared else published_detector(file.detector, graph)
        case "body":
            return SimccPose(graph, prepared=prepared, one_by_one=file.one_by_one)
        case "hand":
            return HandLandmarker(graph)
        case "face":
            return FaceDetector(graph)
        case "face_mesh":
            return FaceMesher(graph)


def fetch_files(config: RunnerConfig) -> None:
    """Have all files of the mode in the store.

    Raises:
        ModelUnavailableError: A file is not there and cannot be fetched.
    """
    store = model_store(config)
    for own in own_networks_of(config).values():
        fetch_own(store, own)
    store.ensure_all(tuple(networks_of(config).values()))


def model_version(config: RunnerConfig) -> str:
    """Return the version that predictions carry: it changes exactly when the same picture can give other keypoints.

    The precision counts as it was set, not as this machine chose it: machines that serve together share predictions,
    and `auto` bounds how much they differ.

    Raises:
        ModelUnavailableError: A file whose digest nobody has published is not in the store yet.
    """
    store = model_store(config)
    files = networks_of(config)
    own = own_networks_of(config)
    # Some files leave the size of their input open.
    sizes = [f"{name} {files[name].input_size}" for name in own]
    parts = [str(PIPELINE_VERSION), config.precision, *map(store.digest, files.values()), *sizes]
    mode = "own" if own else config.mode
    return f"rtmlib-{mode}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:8]}"


def load(name: NetworkName, config: RunnerConfig, device: str | None = None, lanes: int = 1) -> LoadedNetwork:
    """Load a network as `runners.startup.choice` decided for this machine; its file is fetched first if it is missing.

    Args:
        name: What it looks for.
        config: Which network that is, and how it runs.
        device: Which of several devices that `config.device` means; None if it means one.
        lanes: How many callers run it at once, each with its share of the threads.

    Raises:
        ModelUnavailableError: The file is not there and cannot be fetched.
        ProviderUnavailableError: The device or the engine is not available.
    """
    placed = config if device is None else replace(config, device=device)
    return load_as(name, placed, choice_of(name, config), lanes)


def load_as(name: NetworkName, config: RunnerConfig, choice: NetworkEngine, lanes: int = 1) -> LoadedNetwork:
    """Load a network in a certain engine and precision; see `load`."""
    store = model_store(config)
    store.ensure(networks_of(config)[name])
    source = _source(name, config, choice)
    found = network_files(source)
    place = Place(
        config.device,
        config.threads,
        made_folders(store.root)[0],
        lanes,
        one_by_one=largest_batch(name, config.device) == 1,
    )
    if choice.precision != "mixed":
        computed_in: tuple[PartPrecision, ...] = (choice.precision,)
    elif found.prepared and (mixed := mixture(name, source.digest)):
        computed_in = mixed.computed_in
    else:
        computed_in = ("f32",)  # what could not be cut
    graph = load_graph(found.files, choice.engine, computed_in, place)
    return _network(name, networks_of(config)[name], graph, prepared=found.prepared)


def are_prepared(config: RunnerConfig) -> bool:
    """Tell whether the files that the networks are loaded from are there, so that nothing is left to be made."""
    chosen = engines_in_use(config)
    return all(find_network_files(_source(name, config, chosen[name])) is not None for name in chosen)


def _source(name: NetworkName, config: RunnerConfig, choice: NetworkEngine) -> NetworkSource:
    store = model_store(config)
    model = networks_of(config)[name]
    digest = store.digest(model)
    mixed = mixture(name, digest) if choice.precision == "mixed" else None
    # Only these graphs are known so well that they can be changed.
    task = name if model.detector == "yolox" and not model.one_by_one else "as published"
    return NetworkSource(task, store.path(model), digest, mixed.cuts if mixed else ())


def assemble(
    files: Mapping[NetworkName, ModelFile], network: Callable[[NetworkName], Network[Any]]
) -> tuple[PersonDetector, PoseEstimator]:
    """Put networks together.

    Args:
        files: Which networks; see `networks_of`.
        network: Gives the network of a name.
    """
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
    loaded = {name: load(name, config) for name in networks_of(config)}
    turns = ThreadPoolExecutor(max_workers=1, thread_name_prefix="networks")

    def network(name: NetworkName) -> Network[Any]:
        async def run(crops: NDArray[np.uint8]) -> Sequence[Any]:
            return await asyncio.get_running_loop().run_in_executor(turns, loaded[name], crops)

        return run

    return assemble(networks_of(config), network)
