"""The people in the picture at an address: fetch, cache look-up, decoding, inference."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.cache.entries import FoundPeople, PromptBox, entry_name, picture_digest
from adapters.cache.prediction_cache import PredictionCache
from adapters.concurrency.threads import run_in_thread
from adapters.observability import metrics
from adapters.observability.progress import entered, timed_stage
from adapters.pictures.decoding.decode import PictureHeader, PictureSize
from adapters.pictures.decoding.decoder import PictureDecoder
from adapters.pictures.fetching.source import PictureSource
from wholebody.estimation import PartFound
from wholebody.person import Person
from wholebody.schema import Part
from wholebody.stages import timed_by

Picture = NDArray[np.uint8]
FindPeople = Callable[[Picture, NDArray[np.float32] | None], Awaitable[list[Person]]]
"""Takes a picture (H×W×3 uint8, BGR, upright) and drawn boxes or None; returns the people in it."""
FindPart = Callable[
    [Picture, Person | None, Part, tuple[float, float], float | None], Awaitable[PartFound | None]
]
"""Finds a hand or face at a point: see `wholebody.estimation.PoseEstimator.part_at`."""


@dataclass(frozen=True)
class FetchedPicture:
    """The file of a picture, not decoded yet."""

    data: bytes
    header: PictureHeader
    digest: str

    @property
    def size(self) -> PictureSize:
        """Size of the upright picture."""
        return self.header.size


class PeopleInPictures:
    """Finds the people in pictures.

    Args:
        pictures: Fetches the pictures.
        find_people: Finds the people in a picture.
        decoder: Decodes the pictures.
        cache: Caches the people of a picture; None for no cache.
        find_part: Finds single parts of people; None if unsupported.
    """

    def __init__(
        self,
        pictures: PictureSource,
        find_people: FindPeople,
        decoder: PictureDecoder,
        cache: PredictionCache | None,
        find_part: FindPart | None = None,
    ) -> None:
        self._pictures = pictures
        self._find_people = find_people
        self._decoder = decoder
        self._cache = cache
        self._find_part = find_part

    @property
    def cached(self) -> bool:
        """Whether people are cached."""
        return self._cache is not None

    @asynccontextmanager
    async def fetched(self, address: str, task_id: int | str | None) -> AsyncGenerator[FetchedPicture]:
        """Fetch a picture and hold its file in memory during the block.

        Raises:
            PictureError: The picture cannot be fetched, or is not a picture.
        """
        async with AsyncExitStack() as held:
            with timed_stage("fetch"):
                data = await self._pictures.fetch(address, task_id=task_id, held=held)
            entered("decode")
            header = await self._decoder.measure(data)
            yield FetchedPicture(data, header, await run_in_thread(picture_digest, data))

    async def find(
        self, fetched: FetchedPicture, model_version: str, box: PromptBox | None = None
    ) -> FoundPeople:
        """Return the people in a picture, or the person in a drawn box, if possible from the cache.

        Raises:
            PictureError: The picture is damaged.
            InferenceError: Inference failed.
        """

        async def compute() -> FoundPeople:
            return await self._computed(fetched, box)

        if self._cache is None:
            return await compute()
        return await self._cache.find(entry_name(fetched.digest, model_version, box), compute)

    async def find_part(
        self,
        fetched: FetchedPicture,
        person: Person | None,
        part: Part,
        point: tuple[float, float],
        reach: float | None = None,
    ) -> PartFound | None:
        """Find a hand or face at the annotator's click, whatever was found there before.

        The result is not cached: two clicks rarely hit the same pixel.

        Args:
            fetched: The picture.
            person: Owner of the part; None if nobody was found there.
            part: A hand or the face.
            point: x, y in pixels, within the picture, near the middle of the part.
            reach: Half the side, in pixels, of a square drawn around the part; None for a point.

        Returns:
            Keypoints in pixels, shape (21, 2) or (68, 2), and scores, (21,) or (68,); None if nothing was found.

        Raises:
            PictureError: The picture is damaged.
            InferenceError: Inference failed.
        """
        if self._find_part is None:
            return None
        async with self._decoder.decoded(fetched.data, fetched.header) as picture:
            with timed_by(timed_stage):
                return await self._find_part(picture, person, part, point, reach)

    async def _computed(self, fetched: FetchedPicture, box: PromptBox | None) -> FoundPeople:
        boxes = None if box is None else np.array([box], np.float32)
        async with self._decoder.decoded(fetched.data, fetched.header) as picture:
            with timed_by(timed_stage):
                people = await self._find_people(picture, boxes)
        metrics.people_found(people, in_whole_picture=box is None)
        height, width = picture.shape[:2]
        return FoundPeople(tuple(people), (width, height))
