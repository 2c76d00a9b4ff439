"""The networks' calls and outputs, independent of where they run.

A network is an async function on a batch of crops (n×h×w×3 uint8, BGR): a call into a runner process in the service, a
thread in the command line.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wholebody.geometry import Picture, SquareRegion

Crops = NDArray[np.uint8]
Floats = NDArray[np.float32]

Result = TypeVar("Result")
Network = Callable[[Crops], Awaitable[Sequence[Result]]]
"""One result for each crop."""

PoseNetwork = Network[Floats]
"""Results are x, y in pixels of the crop and a score for each keypoint, shape (keypoints, 3)."""


@dataclass(frozen=True)
class HandLandmarks:
    """The hand network's output for one crop.

    Attributes:
        points: x, y in units of the crop (0..1), shape (21, 2).
        score: Likelihood that the crop shows a hand.
        right: Likelihood that it is a right hand.
    """

    points: Floats
    score: float
    right: float


@dataclass(frozen=True)
class PalmDetections:
    """Palms in one crop.

    Attributes:
        boxes: x1, y1, x2, y2 in units of the crop (0..1), shape (n, 4).
        points: Wrist, bases of index, middle, ring and little finger, two joints of the thumb; units of the crop,
            shape (n, 7, 2).
        scores: Shape (n,).
    """

    boxes: Floats
    points: Floats
    scores: Floats


@dataclass(frozen=True)
class FaceDetections:
    """Faces in one crop: points in units of the crop (0..1), shape (n, 6, 2), and scores, shape (n,)."""

    points: Floats
    scores: Floats


@dataclass(frozen=True)
class FaceMesh:
    """A mesh over the face in one crop: points in units of the crop (0..1), shape (468, 2), and its score."""

    points: Floats
    score: float


async def cut_squares(
    picture: Picture, regions: Sequence[SquareRegion], size: int, *, repeat_edge: bool
) -> Crops:
    """Cut square regions in a thread, since it takes time; see `SquareRegion.cut`.

    Returns:
        Shape (n, size, size, 3), uint8, BGR; there must be a region.
    """
    return await asyncio.to_thread(
        lambda: np.stack([region.cut(picture, size, repeat_edge=repeat_edge) for region in regions])
    )


First = TypeVar("First")
Second = TypeVar("Second")


async def at_once(
    first: Coroutine[Any, Any, First], second: Coroutine[Any, Any, Second]
) -> tuple[First, Second]:
    """Return both results. If one fails the other is cancelled, since its result is not needed."""
    tasks = asyncio.create_task(first), asyncio.create_task(second)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
