"""People for the prediction cache, and what would find them."""

import asyncio

import numpy as np

from adapters.cache.entries import FoundPeople
from wholebody.person import Person


def somebody(seed: int = 0) -> Person:
    """A person with numbers at random, always the same."""
    numbers = np.random.default_rng(seed)
    return Person(
        box=numbers.uniform(0, 500, 4).astype(np.float32),
        box_score=0.5,
        keypoints=numbers.uniform(0, 500, (133, 2)).astype(np.float32),
        scores=numbers.uniform(0, 1, 133).astype(np.float32),
    )


FOUND = FoundPeople((somebody(),), (640, 480))


class Computation:
    """Finds one person, as often as it is asked; waits for `may_end` where it is told to."""

    def __init__(self, waits: bool = False, error: Exception | None = None) -> None:
        self.begun = 0
        self.cancelled = 0
        self.may_end = asyncio.Event()
        self.error = error
        if not waits:
            self.may_end.set()

    async def __call__(self) -> FoundPeople:
        self.begun += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return FOUND
