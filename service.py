"""The Bento: connects the runners to the HTTP routes for Label Studio."""

import asyncio
import gc
import sys
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import aiohttp
import bentoml

from adapters.cache.prediction_cache import open_prediction_cache
from adapters.concurrency.admission import Admission
from adapters.concurrency.precedence import Precedence
from adapters.concurrency.threads import run_in_thread
from adapters.http.errors import error_response
from adapters.http.gateway import BasicAuth, Gateway
from adapters.http.guards.cross_origin import CrossOrigin
from adapters.http.guards.hosts import KnownHosts
from adapters.http.malformed import malformed_response
from adapters.http.openapi import complete
from adapters.http.results import results_response
from adapters.http.routes import get_routes
from adapters.label_studio.client.api import LabelStudioApi
from adapters.label_studio.client.retry import RetryPolicy
from adapters.label_studio.compact_request import compact_request
from adapters.label_studio.corrections.watch import CorrectionWatch, correction_watch
from adapters.label_studio.corrections.webhooks import NO_TRAINING, answer_to, lacks_payload
from adapters.label_studio.label_config.tree import LabelConfigError
from adapters.label_studio.schemas import (
    PredictRequest,
    PredictResponse,
    SetupRequest,
    SetupResponse,
    WebhookRequest,
)
from adapters.label_studio.setup import check_label_config
from adapters.observability import metrics
from adapters.observability.logs import configure_logging
from adapters.observability.loop_lag import event_loop_watched
from adapters.observability.processes import PROCESS_NAME
from adapters.observability.status import NetworkInUse, Status
from adapters.observability.tracing import TracingError, configure_tracing, trace_requests
from adapters.prediction.predictor import TASKS_IN_HAND, Predictor
from adapters.settings import SettingsError, load_settings
from adapters.time_limits import TIME_LIMITS
from adapters.wiring import label_studio_credentials, open_predictor, runner_config
from runners.bento.install import check_in_use, install
from runners.devices.cpu_lanes import lanes_of
from runners.plan import resolve
from runners.serving.services import assemble_runners, runner_services
from runners.startup.apart import run_apart

try:
    settings = load_settings()
except SettingsError as error:
    sys.exit(str(error))
configure_logging(settings.effective_log_level, settings.log_format)
try:
    configure_tracing()
except TracingError as error:
    sys.exit(str(error))

config = runner_config(settings)
install(batches_at_once=lanes_of(config), refuse=malformed_response)
status = Status(settings.mode, settings.device)
admission = Admission(TASKS_IN_HAND)
DetectorRunner, PoseRunner = runner_services(
    config, call_limit_s=TIME_LIMITS.call_s, batch_limit_s=TIME_LIMITS.batch_s
)
for runner in (DetectorRunner, PoseRunner):
    trace_requests(runner)


def watch_workers() -> None:
    """Let BentoML's supervisor watch the workers that it is about to start."""
    from runners.bento.supervision import supervise  # noqa: PLC0415 - of no use to the workers

    supervise(name_variable=PROCESS_NAME)


@bentoml.service(
    name="rtmlib-ml-backend",
    # Set here, or BentoML adds a compiler and git, which nothing needs.
    image=bentoml.images.Image(base_image="python:3.11-slim", distro="slim"),
    http={"port": settings.backend_port},
    traffic={"timeout": TIME_LIMITS.request_s},
    # `__is_ready__` asks the runners, with a time limit; BentoML's own probe can hang for 15 s.
    runner_probe={"enabled": False},
    # `Gateway` logs requests, with ids and without secrets, and counts them. BentoML's own metrics have a label for
    # every requested path.
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Backend:
    """Label Studio ML backend that draws 133 whole-body keypoints per person."""

    detector = bentoml.depends(DetectorRunner)
    pose = bentoml.depends(PoseRunner)
    watched = bentoml.on_deployment(watch_workers)

    def __init__(self) -> None:
        self._open = AsyncExitStack()
        self._predictor: Predictor | None = None
        self._corrections: CorrectionWatch | None = None

    @bentoml.on_startup
    async def open(self) -> None:
        """Open the connections that requests need."""
        check_in_use()
        plan = resolve(config)
        networks = [
            NetworkInUse(one.name, one.file.name, one.engine, one.precision) for one in plan.networks.values()
        ]
        status.serving(plan.version, networks)
        metrics.begin_at_zero()
        await self._open.enter_async_context(event_loop_watched())
        precedence = Precedence()
        detector, estimator = assemble_runners(
            plan, self.detector, self.pose, call_limit_s=TIME_LIMITS.call_s, turn=precedence.turn
        )
        cache = open_prediction_cache(settings.prediction_cache_bytes, settings.redis_address)
        predictor = open_predictor(
            settings,
            detector=detector,
            estimator=estimator,
            status=status,
            admission=admission,
            precedence=precedence,
            cache=await self._open.enter_async_context(cache) if cache else None,
        )
        self._predictor = await self._open.enter_async_context(predictor)
        url, credentials = settings.label_studio_url, label_studio_credentials(settings)
        if url and credentials:
            api = LabelStudioApi(url, credentials, retries=RetryPolicy(attempts=2))
            watch = correction_watch(api, status.model_version)
            self._corrections = await self._open.enter_async_context(watch)

        # Imported objects live as long as the process; collecting them would pause the process for 0.1 s.
        gc.collect()
        gc.freeze()

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Close them again."""
        await self._open.aclose()

    async def __is_ready__(self) -> bool:
        runners: list[Any] = [self.detector, self.pose]
        try:
            async with asyncio.timeout(TIME_LIMITS.readiness_s):
                return all(
                    await asyncio.gather(*(runner.is_ready(TIME_LIMITS.readiness_s) for runner in runners))
                )
        except (TimeoutError, OSError, aiohttp.ClientError):
            return False

    @bentoml.api(route="/predict")
    async def predict(self, body: PredictRequest, /) -> PredictResponse:
        """Predict the tasks: one slot for each, and the reason of each empty one."""
        assert self._predictor is not None, "requests arrive after start-up"
        try:
            slots = await self._predictor.predict(body, settings.time_budget_seconds)
        except LabelConfigError as error:
            return cast("PredictResponse", error_response(400, str(error)))
        return cast("PredictResponse", await results_response(slots))

    @bentoml.api(route="/setup")
    async def setup(self, body: SetupRequest, /) -> SetupResponse:
        """Check a project's label config and return the model version."""
        await check_label_config(body, status)
        return SetupResponse(model_version=status.model_version)

    @bentoml.api(route="/webhook")
    async def webhook(self, body: WebhookRequest, /) -> dict[str, Any]:
        """Acknowledge an event; annotations are compared with their predictions in the background."""
        if lacks_payload(body):
            status.webhooks_without_payload += 1
        if self._corrections is not None:
            self._corrections.note(body)
        return {"message": answer_to(body)}

    @bentoml.api(route="/train")
    async def train(self, body: WebhookRequest, /) -> dict[str, Any]:
        """Answer what can be done instead, as this backend does not train its model."""
        return {"message": NO_TRAINING}


def retry_after_s() -> int | None:
    """Return Retry-After in seconds if overloaded, else None."""
    seconds = admission.retry_after_s()
    if seconds is not None:
        status.refused()
    return seconds


async def compact(body: bytes) -> bytes:
    """Return the shortened body of a prediction request."""
    return await run_in_thread(run_apart, compact_request, body, limit_s=TIME_LIMITS.compact_s)


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document."""
    try:
        ours = version("rtmlib-ml-backend")
    except PackageNotFoundError:  # in a Bento the code is copied, not installed
        ours = str(Backend.bento.tag.version) if Backend.bento else "unknown"
    return complete(Backend.openapi_spec.asdict(), ours, password_needed=basic_auth is not None)


trace_requests(Backend)
password = settings.basic_auth_pass
basic_auth = (
    BasicAuth(settings.basic_auth_user, password.get_secret_value())
    if settings.basic_auth_user and password
    else None
)
Backend.add_asgi_middleware(
    cast(Any, Gateway),  # BentoML's protocol for middleware describes the instance, not the class
    routes=get_routes(status, openapi),
    auth=basic_auth,
    max_request_bytes=settings.max_request_bytes,
    retry_after_s=retry_after_s,
    cross_origin=CrossOrigin(frozenset(settings.cors_allowed_origins)),
    hosts=KnownHosts.named(settings.backend_hosts),
    compact=compact,
)
