"""Detects people: from a picture to their boxes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wholebody.geometry import Picture, letterbox


@dataclass(frozen=True)
class Detections:
    """Detected people: boxes x1, y1, x2, y2 in pixels, shape (n, 4), best first, and scores 0 to 1, shape (n,)."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


class PersonDetector(Protocol):
    """Finds the people in a picture."""

    async def detect(self, picture: Picture) -> Detections:
        """Return the people's boxes in pixels of the picture (H×W×3 uint8, BGR, upright)."""
        ...


@dataclass(frozen=True)
class LetterboxDetector:
    """A detector network on letterboxed pictures (YOLOX).

    Attributes:
        network: Takes letterboxed pictures (n×h×w×3 uint8, BGR), returns boxes in pixels of each.
        size: Width and height of the network's input.
    """

    network: Callable[[Picture], Awaitable[Sequence[Detections]]]
    size: tuple[int, int]

    async def detect(self, picture: Picture) -> Detections:
        """See `PersonDetector`."""
        canvas, ratio = await asyncio.to_thread(letterbox, picture, self.size)
        (found,) = await self.network(canvas[np.newaxis])
        return Detections(found.boxes / np.float32(ratio), found.scores)
