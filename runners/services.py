"""The runners: BentoML services around the networks, with adaptive batching.

A call carries one picture's crops. BentoML puts the calls of many requests together, and `run_calls` makes batches of
the network of them.
"""

import asyncio
import logging
import os
import pickle
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import aiohttp
import bentoml
import numpy as np
from prometheus_client import Histogram

from runners.assembly import LoadedNetwork, NetworkName, assemble, fetch_files, load
from runners.batching import MAX_CROPS, MAX_PICTURES_ON_CPU, Answer, Crops, Failed, run_calls
from runners.choice import networks_of
from runners.config import RunnerConfig
from runners.errors import ModelUnavailableError, ProviderUnavailableError
from runners.manifest import ModelFile
from runners.preparation import prepare_networks
from wholebody.detection import PersonDetector
from wholebody.estimation import Network, NetworkError, PoseEstimator

logger = logging.getLogger(__name__)

CALL_LIMIT_S = 80
"""Longest that a network's answer is waited for, asking again included: less than what a request has in all."""

BATCH_LIMIT_S = 60
"""A network that takes longer for a batch hangs, and its process is replaced: one of 16 crops takes 1 to 10 s."""

NICENESS = 5
"""The service itself comes first where CPUs are scarce: it needs little, and probes and annotators wait for it."""

RESTART_PAUSE_S = 0.2
"""Before a runner that is gone is asked again. Its socket stays: who connects is heard when its new worker is there."""

_SERVICE: dict[str, Any] = {
    # One worker: its networks use all the threads that there are.
    "workers": 1,
    # Longer than what callers wait, or BentoML answers a moment before they give up.
    "traffic": {"timeout": CALL_LIMIT_S + 10},
    # By default the connection to a runner is renewed every 100 requests, under the feet of those in flight.
    "runner_connection": {"max_requests": 10**9, "max_age": 1e9},
    # The entry service logs requests; calls to runners are its own business.
    "logging": {"access": {"enabled": False}},
}


class _Runner:
    """Loads networks into a worker process and runs them on the calls that BentoML puts together."""

    def __init__(self, config: RunnerConfig, names: Sequence[NetworkName]) -> None:
        batch_size = Histogram(
            "rtmlib_network_batch_size",
            "Crops in a batch of a network",
            ["network"],
            buckets=(1, 2, 3, 4, 6, 8, 12, MAX_CROPS),
        )
        seconds = Histogram(
            "rtmlib_network_seconds",
            "Time of a batch in a network",
            ["network"],
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
        )
        os.nice(NICENESS)  # and the threads of the networks inherit it
        files = networks_of(config)
        self._pictures = MAX_PICTURES_ON_CPU if config.device == "cpu" else MAX_CROPS
        self._under_way: dict[object, float] = {}  # when each batch in the networks began
        self._networks: dict[NetworkName, LoadedNetwork] = {}
        for name in names:
            if name not in files:
                continue  # in some modes one network finds all keypoints
            network = load(name, config)
            width, height = files[name].input_size
            network(np.zeros((1, height, width, 3), np.uint8))  # the first run sets up buffers
            self._networks[name] = self._watched(
                network, batch_size.labels(network=name), seconds.labels(network=name)
            )

    def run(self, name: NetworkName, calls: Sequence[Crops]) -> list[bytes]:
        # Pickled here, or BentoML would make dictionaries of the dataclasses among the results.
        largest = self._pictures if name == "person" else MAX_CROPS
        return [pickle.dumps(answer) for answer in run_calls(self._networks[name], calls, largest)]

    def is_alive(self) -> bool:
        """Whether no batch has been in a network for so long that it will never come out; asked by the supervisor."""
        return all(time.monotonic() - began < BATCH_LIMIT_S for began in list(self._under_way.values()))

    def _watched(self, network: LoadedNetwork, batch_size: Any, seconds: Any) -> LoadedNetwork:
        def run(crops: Crops) -> Sequence[Any]:
            batch_size.observe(len(crops))
            batch = object()
            self._under_way[batch] = time.monotonic()
            try:
                with seconds.time():
                    return network(crops)
            finally:
                del self._under_way[batch]

        return run


_batchable = partial(
    bentoml.api,
    batchable=True,
    max_batch_size=32,
    # BentoML sheds calls whose estimated waiting time is longer than this, and estimates badly. Admission is
    # controlled at the door, so this must never be reached.
    max_latency_ms=600_000,
)


def runner_services(config: RunnerConfig) -> tuple[Any, Any]:
    """Return the BentoML services of the detector runner and the pose runner.

    Before any worker starts, missing files are fetched, and the engines tried, once; each worker then loads its
    networks. What cannot be had ends the server here: a worker without it would be restarted for ever.
    """

    @cache
    def prepare() -> None:
        try:
            fetch_files(config)
            prepare_networks(config)
        except (ModelUnavailableError, ProviderUnavailableError) as error:
            sys.exit(str(error))

    @bentoml.service(name="detector_runner", **_SERVICE)
    class DetectorRunner:
        """Finds the people in letterboxed pictures."""

        prepared = bentoml.on_deployment(prepare)

        def __init__(self) -> None:
            self._runner = _Runner(config, ("person",))

        async def __is_alive__(self) -> bool:
            return self._runner.is_alive()

        @_batchable()
        def person(self, calls: list[Any]) -> list[Any]:
            return self._runner.run("person", calls)

    @bentoml.service(name="pose_runner", **_SERVICE)
    class PoseRunner:
        """Finds keypoints in crops of people, hands and faces."""

        prepared = bentoml.on_deployment(prepare)

        def __init__(self) -> None:
            self._runner = _Runner(config, ("body", "hand", "face", "face_mesh"))

        async def __is_alive__(self) -> bool:
            return self._runner.is_alive()

        @_batchable()
        def body(self, calls: list[Any]) -> list[Any]:
            return self._runner.run("body", calls)

        @_batchable()
        def hand(self, calls: list[Any]) -> list[Any]:
            return self._runner.run("hand", calls)

        @_batchable()
        def face(self, calls: list[Any]) -> list[Any]:
            return self._runner.run("face", calls)

        @_batchable()
        def face_mesh(self, calls: list[Any]) -> list[Any]:
            return self._runner.run("face_mesh", calls)

    return DetectorRunner, PoseRunner


def assemble_runners(
    files: Mapping[NetworkName, ModelFile], detector: Any, pose: Any
) -> tuple[PersonDetector, PoseEstimator]:
    """Put networks together, each behind its runner.

    Args:
        files: Which networks; see `networks_of`.
        detector: The detector runner as the entry service sees it (`bentoml.depends`).
        pose: The pose runner, likewise.
    """

    def network(name: NetworkName) -> Network[Any]:
        return _remote(detector if name == "person" else pose, name)

    return assemble(files, network)


def _remote(runner: Any, name: NetworkName) -> Network[Any]:
    async def ask(crops: Crops) -> Answer:
        (answer,) = await getattr(runner.to_async, name)(calls=[crops])
        return pickle.loads(answer)  # noqa: S301 - from our own runner, over a socket that only we can open

    async def run(crops: Crops) -> Sequence[Any]:
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                try:
                    answer = await ask(crops)
                except aiohttp.ClientConnectionError:
                    # The worker ended, and is being started again. Inference changes nothing: it can be asked twice.
                    logger.warning("The runner of the %s network is gone; asking once more", name)
                    await asyncio.sleep(RESTART_PAUSE_S)
                    answer = await ask(crops)
        except (aiohttp.ClientError, TimeoutError, bentoml.exceptions.BentoMLException) as error:
            raise NetworkError(f"The runner of the {name} network does not answer: {error!r}") from error
        if isinstance(answer, Failed):
            raise NetworkError(f"The {name} network failed: {answer.reason}")
        return answer

    return run
