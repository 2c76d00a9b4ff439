"""The runners: BentoML services that batch calls to the networks.

A call has one picture's crops. BentoML collects the calls of many requests; `run_calls` runs them in batches.
"""

import asyncio
import logging
import pickle
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
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
from runners.pipeline import assemble
from runners.plan import NetworkPlan, fetch
from runners.serving.batch_sizes import calls_at_once, calls_sent
from runners.serving.batching import Answer, Crops, Failed
from runners.serving.worker import Worker
from runners.startup.preparation import prepare_networks
from wholebody.detection import PersonDetector
from wholebody.estimation import InferenceError, PoseEstimator
from wholebody.networks import Network

logger = logging.getLogger(__name__)

RESTART_PAUSE_S = 0.2
"""Pause before a retry after a runner's worker ended. Its socket stays open: the new worker answers the retry."""

_SERVICE: dict[str, Any] = {
    # By default every 100 requests the connection to a runner is renewed, which breaks requests in flight.
    "runner_connection": {"max_requests": 10**9, "max_age": 1e9},
    # Only the entry service logs requests.
    "logging": {"access": {"enabled": False}},
}


Turn = Callable[[asyncio.Semaphore], AbstractAsyncContextManager[object]]
"""Waits for the turn of a call, which takes one of the places of its network or goes first."""

Answers = Annotated[list[Any], ContentType("application/json")]
"""The return type of a runner's method. Without the media type BentoML would derive it from a schema at each call."""

_batchable = partial(
    bentoml.api,
    batchable=True,
    # BentoML rejects calls whose estimated wait exceeds this, and estimates badly. The entry service controls
    # admission, so this must never be reached.
    max_latency_ms=600_000,
)


def runner_services(config: RunnerConfig, *, call_limit_s: float, batch_limit_s: float) -> tuple[Any, Any]:
    """Return the BentoML services of the detector runner and the pose runner.

    Missing files are fetched and networks prepared once, before any worker starts and loads them. If that fails the
    server exits, because a worker without its networks would be restarted for ever.

    Args:
        config: Configuration of the runners.
        call_limit_s: Timeout of the callers, seconds.
        batch_limit_s: Timeout of a batch, seconds, after which its worker is replaced.
    """
    lanes = lanes_of(config)
    # On CPUs one worker with a thread for each lane; else one worker for each device.
    kind: dict[str, Any] = _SERVICE | {
        "workers": len(gpus_of(config.device)),
        "threads": lanes,
        # Longer than the callers' timeout, which must expire first.
        "traffic": {"timeout": call_limit_s + 10},
    }
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
        """Detects people in letterboxed pictures."""

        prepared = bentoml.on_deployment(prepare)

        def __init__(self) -> None:
            self._worker = Worker(config, ("person",), batch_limit_s)

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
            self._worker = Worker(config, ("body", "hand", "palm", "face", "face_mesh"), batch_limit_s)

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
        def palm(self, calls: list[Any]) -> Answers:
            return self._worker.run("palm", calls)

        @crop_calls()
        def face(self, calls: list[Any]) -> Answers:
            return self._worker.run("face", calls)

        @crop_calls()
        def face_mesh(self, calls: list[Any]) -> Answers:
            return self._worker.run("face_mesh", calls)

    return DetectorRunner, PoseRunner


def assemble_runners(
    plan: NetworkPlan,
    detector: Any,
    pose: Any,
    *,
    call_limit_s: float,
    turn: Turn,
) -> tuple[PersonDetector, PoseEstimator]:
    """Return a detector and a pose estimator whose networks run in the runners.

    Args:
        plan: The networks.
        detector: The detector runner's client in the entry service (`bentoml.depends`).
        pose: The pose runner's client.
        call_limit_s: Timeout of a call, retry included, seconds.
        turn: Waits for the turn of a call.
    """
    device = plan.config.device
    batches = max(lanes_of(plan.config), len(gpus_of(device)))

    def network(name: NetworkName) -> Network[Any]:
        places = asyncio.Semaphore(calls_sent(name, device, batches))
        return _remote(detector if name == "person" else pose, name, call_limit_s, lambda: turn(places))

    return assemble(plan.files, network)


def _remote(
    runner: Any, name: NetworkName, limit_s: float, turn: Callable[[], AbstractAsyncContextManager[object]]
) -> Network[Any]:
    async def ask(crops: Crops) -> Answer:
        (answer,) = await getattr(runner.to_async, name)(calls=[crops])
        return pickle.loads(answer)  # noqa: S301 - from the runner, over a private socket

    async def run(crops: Crops) -> Sequence[Any]:
        try:
            async with turn(), asyncio.timeout(limit_s):
                try:
                    answer = await ask(crops)
                except aiohttp.ClientConnectionError:
                    # The worker ended and is being replaced. Inference has no side effects: a retry is safe.
                    logger.warning("The runner of the %s network has ended; retrying once", name)
                    await asyncio.sleep(RESTART_PAUSE_S)
                    answer = await ask(crops)
        except (aiohttp.ClientError, TimeoutError, bentoml.exceptions.BentoMLException) as error:
            raise InferenceError(f"The runner of the {name} network does not answer: {error!r}") from error
        if isinstance(answer, Failed):
            raise InferenceError(f"The {name} network failed: {answer.reason}")
        return answer

    return run
