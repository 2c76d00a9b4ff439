"""The runners: BentoML services around the networks, with adaptive batching.

A call carries one picture's crops. BentoML puts the calls of many requests together, and `run_calls` makes batches of
the network of them.
"""

import asyncio
import logging
import pickle
import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Annotated, Any

import aiohttp
import bentoml
from bentoml.validators import ContentType

from runners.bento.install import check_in_use
from runners.config import NetworkName, RunnerConfig
from runners.devices.cpu_lanes import lanes_of
from runners.devices.gpus import gpus_of
from runners.errors import ModelUnavailableError, ProviderUnavailableError
from runners.models.manifest import ModelFile
from runners.pipeline import assemble
from runners.plan import fetch
from runners.serving.batch_sizes import calls_at_once
from runners.serving.batching import Answer, Crops, Failed
from runners.serving.worker import Worker
from runners.startup.preparation import prepare_networks
from wholebody.detection import PersonDetector
from wholebody.estimation import InferenceError, Network, PoseEstimator

logger = logging.getLogger(__name__)

CALL_LIMIT_S = 80
"""Longest that a network's answer is waited for, asking again included: less than what a request has in all."""

RESTART_PAUSE_S = 0.2
"""Before a runner that is gone is asked again. Its socket stays: who connects is heard when its new worker is there."""

_SERVICE: dict[str, Any] = {
    # Longer than what callers wait, or BentoML answers a moment before they give up.
    "traffic": {"timeout": CALL_LIMIT_S + 10},
    # By default the connection to a runner is renewed every 100 requests, under the feet of those in flight.
    "runner_connection": {"max_requests": 10**9, "max_age": 1e9},
    # The entry service logs requests; calls to runners are its own business.
    "logging": {"access": {"enabled": False}},
}


Answers = Annotated[list[Any], ContentType("application/json")]
"""What a runner's method returns. With its media type, or BentoML would find it out from a schema at each call."""

_batchable = partial(
    bentoml.api,
    batchable=True,
    # BentoML sheds calls whose estimated waiting time is longer than this, and estimates badly. Admission is
    # controlled at the door, so this must never be reached.
    max_latency_ms=600_000,
)


def runner_services(config: RunnerConfig) -> tuple[Any, Any]:
    """Return the BentoML services of the detector runner and the pose runner.

    Before any worker starts, missing files are fetched, and networks prepared, once; each worker then loads its
    networks. What cannot be had ends the server here: a worker without it would be restarted for ever.
    """
    lanes = lanes_of(config)
    # On CPUs one worker, with a thread for each lane; else one on each device.
    kind: dict[str, Any] = _SERVICE | {"workers": len(gpus_of(config.device)), "threads": lanes}
    picture_calls = partial(_batchable, max_batch_size=calls_at_once("person", config.device))
    crop_calls = partial(_batchable, max_batch_size=calls_at_once("body", config.device))

    @cache
    def prepare() -> None:
        try:
            prepare_networks(fetch(config))
        except (ModelUnavailableError, ProviderUnavailableError) as error:
            sys.exit(str(error))

    @bentoml.service(name="detector_runner", **kind)
    class DetectorRunner:
        """Finds the people in letterboxed pictures."""

        prepared = bentoml.on_deployment(prepare)

        def __init__(self) -> None:
            self._worker = Worker(config, ("person",))

        @bentoml.on_startup
        def check(self) -> None:
            check_in_use()

        async def __is_alive__(self) -> bool:
            return self._worker.is_alive()

        @picture_calls()
        def person(self, calls: list[Any]) -> Answers:
            return self._worker.run("person", calls)

    @bentoml.service(name="pose_runner", **kind)
    class PoseRunner:
        """Finds keypoints in crops of people, hands and faces."""

        prepared = bentoml.on_deployment(prepare)

        def __init__(self) -> None:
            self._worker = Worker(config, ("body", "hand", "face", "face_mesh"))

        @bentoml.on_startup
        def check(self) -> None:
            check_in_use()

        async def __is_alive__(self) -> bool:
            return self._worker.is_alive()

        @crop_calls()
        def body(self, calls: list[Any]) -> Answers:
            return self._worker.run("body", calls)

        @crop_calls()
        def hand(self, calls: list[Any]) -> Answers:
            return self._worker.run("hand", calls)

        @crop_calls()
        def face(self, calls: list[Any]) -> Answers:
            return self._worker.run("face", calls)

        @crop_calls()
        def face_mesh(self, calls: list[Any]) -> Answers:
            return self._worker.run("face_mesh", calls)

    return DetectorRunner, PoseRunner


def assemble_runners(
    files: Mapping[NetworkName, ModelFile], detector: Any, pose: Any
) -> tuple[PersonDetector, PoseEstimator]:
    """Put networks together, each behind its runner.

    Args:
        files: What each network is.
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
            raise InferenceError(f"The runner of the {name} network does not answer: {error!r}") from error
        if isinstance(answer, Failed):
            raise InferenceError(f"The {name} network failed: {answer.reason}")
        return answer

    return run
