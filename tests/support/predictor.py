"""A predictor with real parts: only the networks are stood in for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from aiohttp.abc import AbstractResolver
from PIL import Image

from adapters.cache.prediction_cache import PredictionCache
from adapters.concurrency.admission import Admission
from adapters.isolation.processes import IsolatedProcesses
from adapters.label_studio.regions.predictions import Thresholds
from adapters.observability.status import Status
from adapters.pictures.decoding.decoder import PictureDecoder
from adapters.pictures.fetching.source import PictureLimits, PictureSource
from adapters.prediction.people_in_pictures import FindPeople
from adapters.prediction.predictor import TASKS_IN_HAND, Predictor
from adapters.video.following import Detect
from adapters.video.people_in_clips import PeopleInClips
from tests.support.pictures import data_uri
from wholebody.person import Person

MAX_PIXELS = 10_000
VERSION = "rtmlib-test-1a2b3c4d"
SMALL = PictureLimits(max_bytes=100_000, max_pixels=MAX_PIXELS)


def picture(width: int = 40, height: int = 20, colour: tuple[int, int, int] = (255, 0, 0)) -> str:
    """The address of a PNG."""
    return data_uri(Image.new("RGB", (width, height), colour))


def person(x: float = 10, score: float = 0.9) -> Person:
    return Person(
        box=np.array([x, 2, x + 10, 18], np.float32),
        box_score=0.8,
        keypoints=np.full((133, 2), [x + 5, 10], np.float32),
        scores=np.full(133, score, np.float32),
    )


def picture_source(limits: PictureLimits = SMALL, resolver: AbstractResolver | None = None) -> PictureSource:
    """Knows no Label Studio."""
    return PictureSource(
        label_studio_url=None,
        credentials=None,
        allowed_hosts=(),
        local_files_root=None,
        limits=limits,
        resolver=resolver,
    )


@asynccontextmanager
async def predicting(
    find_people: FindPeople,
    cache: PredictionCache | None = None,
    detect: Detect | None = None,
    limits: PictureLimits = SMALL,
) -> AsyncIterator[tuple[Predictor, Status]]:
    """A predictor and its status, for at most 20 seconds; it predicts clips if people can be detected."""
    status = Status(mode="test", device="cpu", model_version=VERSION)
    async with (
        picture_source(limits) as pictures,
        IsolatedProcesses() as processes,
        PictureDecoder(MAX_PIXELS, processes) as decoder,
        asyncio.timeout(20),
    ):
        predictor = Predictor(
            pictures=pictures,
            find_people=find_people,
            decoder=decoder,
            thresholds=Thresholds(person=0.0, keypoint=0.3),
            admission=Admission(TASKS_IN_HAND),
            status=status,
            cache=cache,
            clips=None if detect is None else PeopleInClips(pictures, detect, processes),
        )
        yield predictor, status
