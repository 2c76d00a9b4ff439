"""From settings to runners and a predictor: the same in the service and in commands that predict in process."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import cv2

from adapters.cache.prediction_cache import PredictionCache
from adapters.concurrency.admission import Admission
from adapters.concurrency.container_limits import usable_cpus
from adapters.concurrency.precedence import Precedence
from adapters.isolation.processes import IsolatedProcesses
from adapters.label_studio.client.credentials import Credentials
from adapters.label_studio.regions.predictions import Thresholds
from adapters.observability.logs import Event
from adapters.observability.status import Status
from adapters.pictures.decoding.decoder import PictureDecoder
from adapters.pictures.fetching.source import PictureSource
from adapters.pictures.limits import PictureLimits
from adapters.prediction.predictor import Predictor, log_failure
from adapters.settings import Settings, SettingsError
from adapters.video.limits import ClipLimits
from adapters.video.people_in_clips import PeopleInClips
from runners.config import RunnerConfig
from wholebody.detection import PersonDetector
from wholebody.estimation import PoseEstimator
from wholebody.pipeline import find_people


def runner_config(settings: Settings) -> RunnerConfig:
    """Return what the runners need to know."""
    return RunnerConfig(
        mode=settings.mode,
        device=settings.device,
        threads=usable_cpus(),
        cache_dir=settings.model_cache_dir,
        digests=settings.model_digests,
        engine=settings.backend_type,
        precision=settings.precision,
        detector_model=settings.detector_model,
        pose_model=settings.pose_model,
    )


def label_studio_credentials(settings: Settings) -> Credentials | None:
    """Return what Label Studio must be shown, or None if the settings name no token."""
    url, token = settings.label_studio_url, settings.label_studio_api_token
    return Credentials(url, token.get_secret_value()) if url and token else None


def label_studio_access(settings: Settings, why: str) -> tuple[str, Credentials]:
    """Return the address of Label Studio, and what it must be shown.

    Args:
        settings: The service's own.
        why: What they are needed for; the end of the sentence that asks for them.

    Raises:
        SettingsError: The settings do not name both.
    """
    url, credentials = settings.label_studio_url, label_studio_credentials(settings)
    if url is None or credentials is None:
        raise SettingsError(f"Set LABEL_STUDIO_URL and LABEL_STUDIO_API_TOKEN {why}.")
    return url, credentials


def picture_source(
    settings: Settings, limits: PictureLimits, credentials: Credentials | None
) -> PictureSource:
    """Return the source of the pictures of tasks, to be opened as a context manager."""
    return PictureSource(
        label_studio_url=settings.label_studio_url,
        label_studio_aliases=settings.label_studio_aliases,
        proxy=settings.image_proxy.get_secret_value() if settings.image_proxy else None,
        credentials=credentials,
        allowed_hosts=settings.allowed_image_hosts,
        local_files_root=settings.local_files_document_root,
        limits=limits,
    )


@asynccontextmanager
async def open_predictor(  # noqa: PLR0913 - the parts of one predictor, each named by its caller
    settings: Settings,
    *,
    detector: PersonDetector,
    estimator: PoseEstimator,
    status: Status,
    admission: Admission,
    cache: PredictionCache | None = None,
    precedence: Precedence | None = None,
    warn: Callable[[Event], None] = log_failure,
) -> AsyncGenerator[Predictor]:
    """Open the connections that predictions need, and close them at the end.

    Args:
        settings: The service's own.
        detector: Finds the people in pictures, and in the frames of clips.
        estimator: Finds their keypoints.
        status: Is told what happens.
        admission: Gives places to tasks.
        cache: Keeps people that were found; without it, those in every picture are computed anew.
        precedence: Lets smart tools go before other tasks at the networks.
        warn: Gets an event for each failed task.
    """
    # The CPUs belong to the networks; a crop is too small to be cut by several threads.
    cv2.setNumThreads(1)
    credentials = label_studio_credentials(settings)
    async with AsyncExitStack() as opened:
        processes = await opened.enter_async_context(IsolatedProcesses())
        clips = await opened.enter_async_context(picture_source(settings, settings.video_limits, credentials))
        yield Predictor(
            pictures=await opened.enter_async_context(
                picture_source(settings, settings.picture_limits, credentials)
            ),
            find_people=lambda picture, boxes: find_people(picture, detector, estimator, boxes),
            find_part=estimator.part_at,
            decoder=await opened.enter_async_context(PictureDecoder(settings.max_image_pixels, processes)),
            thresholds=Thresholds(0.0, settings.confidence_threshold, settings.max_people),
            admission=admission,
            status=status,
            cache=cache,
            precedence=precedence,
            warn=warn,
            clips=PeopleInClips(clips, detector.detect, processes, ClipLimits(settings.max_video_pixels)),
        )
