"""From the address of a picture to the people in it: fetched, looked up, decoded, shown to the networks."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters import metrics
from adapters.pictures.decoding import PictureSize, decode, measure
from adapters.pictures.source import PictureSource
from adapters.pixel_budget import PixelBudget
from adapters.prediction_cache.cache import PredictionCache
from adapters.prediction_cache.entries import FoundPeople, PromptBox, entry_name, picture_digest
from adapters.task_progress import entered, timed_stage
from adapters.threads import run_in_thread
from wholebody.person import Person
from wholebody.stages import timed_by

Picture = NDArray[np.uint8]
FindPeople = Callable[[Picture, NDArray[np.float32] | None], Awaitable[list[Person]]]
"""Picture (H×W×3 uint8, BGR, upright) and drawn boxes or None, to the people in it."""

PIXELS_IN_HAND = 200_000_000
"""Decoded pictures held at once: 600 MB."""


@dataclass(frozen=True)
class FetchedPicture:
    """The file of a picture, not decoded yet."""

    data: bytes
    size: PictureSize
    digest: str


class PeopleInPictures:
    """Finds the people in pictures.

    Args:
        pictures: Fetches the pictures.
        find_people: Finds the people in one.
        max_pixels: Largest picture.
        cache: Keeps people that were found; without it, those in every picture are computed anew.
    """

    def __init__(
        self,
        pictures: PictureSource,
        find_people: FindPeople,
        max_pixels: int,
        cache: PredictionCache | None,
    ) -> None:
        self._pictures = pictures
        self._find_people = find_people
        self._max_pixels = max_pixels
        self._cache = cache
        self._pixels = PixelBudget(PIXELS_IN_HAND)

    @property
    def kept(self) -> bool:
        """Whether people that were found need not be computed again."""
        return self._cache is not None

    async def fetch(self, address: str, task_id: int | str | None) -> FetchedPicture:
        """Fetch a picture.

        Raises:
            PictureError: It cannot be had, or is none.
        """
        with timed_stage("fetch"):
            data = await self._pictures.fetch(address, task_id=task_id)
        entered("decode")

        def examine() -> FetchedPicture:
            return FetchedPicture(data, measure(data, max_pixels=self._max_pixels), picture_digest(data))

        return await asyncio.to_thread(examine)

    async def find(
        self, fetched: FetchedPicture, model_version: str, box: PromptBox | None = None
    ) -> FoundPeople:
        """Find the people in a picture, or the one in a drawn box, unless that was done before.

        Raises:
            PictureError: The picture is damaged.
            NetworkError: A network failed.
        """

        async def compute() -> FoundPeople:
            return await self._computed(fetched, box)

        if self._cache is None:
            return await compute()
        return await self._cache.find(entry_name(fetched.digest, model_version, box), compute)

    async def _computed(self, fetched: FetchedPicture, box: PromptBox | None) -> FoundPeople:
        """Decode a picture, and hold its pixels while the networks look at it."""
        boxes = None if box is None else np.array([box], np.float32)
        async with self._pixels.hold(fetched.size.width * fetched.size.height):
            with timed_stage("decode"):
                picture = await run_in_thread(decode, fetched.data, max_pixels=self._max_pixels)
            with timed_by(timed_stage):
                people = await self._find_people(picture, boxes)
        metrics.people_found(people, in_whole_picture=box is None)
        height, width = picture.shape[:2]
        return FoundPeople(tuple(people), (width, height))
