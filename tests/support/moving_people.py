"""People who move along known paths, as networks with known noise would find them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wholebody.clips.trajectories import Trajectories
from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT

Floats = NDArray[np.float64]
WIDTH, HEIGHT = 400.0, 700.0


@dataclass(frozen=True)
class Motion:
    """Times of frames in seconds, and how far a person is from the beginning, shape (frames, 2), in pixels."""

    times: Floats
    away: Floats

    @classmethod
    def of(cls, seconds: float, fps: float, *pieces: tuple[float, float, str]) -> "Motion":
        """Still, but for pieces from a second until another: `waves`, `shakes` (turning points) or `drift`."""
        times = np.arange(round(seconds * fps)) / fps
        away = np.zeros((len(times), 2))
        for begin, end, kind in pieces:
            inside = (times >= begin) & (times < end)
            t = times[inside] - begin
            if kind == "waves":
                away[inside] = np.stack([60 * np.sin(5 * np.pi * t), 40 * np.cos(3 * np.pi * t) - 40], axis=1)
            elif kind == "shakes":
                away[inside, 0] = 300 * np.abs((2 * t) % 1 - 0.5) - 150
            else:
                away[inside, 0] = 20 * np.sin(1.4 * np.pi * t)
        return cls(times, away)

    def while_(self, begin: float, end: float) -> NDArray[np.bool_]:
        """Which frames lie well within a piece."""
        return (self.times >= begin + 0.3) & (self.times < end - 0.3)


def keypoints_at(motion: Motion, seed: int = 0) -> Floats:
    """The true keypoints, shape (frames, 133, 2)."""
    base = np.random.default_rng(seed).uniform((50, 50), (WIDTH - 50, HEIGHT - 50), (KEYPOINT_COUNT, 2))
    return base + motion.away[:, None]


def noise(frames: int, deviation: float, *, kept: float = 0.0, seed: int = 1) -> Floats:
    """Noise of keypoints, of which a share is kept from each frame to the next, shape (frames, 133, 2)."""
    found = np.random.default_rng(seed).normal(0, deviation, (frames, KEYPOINT_COUNT, 2))
    for i in range(1, frames):
        found[i] = kept * found[i - 1] + np.sqrt(1 - kept**2) * found[i]
    return found


def people_at(motion: Motion, keypoints: Floats, score: float = 0.8) -> list[Person | None]:
    """A person in each frame with these keypoints, in a box that moves without noise."""
    boxes = np.array([0, 0, WIDTH, HEIGHT]) + np.tile(motion.away, 2)
    return [
        Person(
            box.astype(np.float32), 0.9, points.astype(np.float32), np.full(KEYPOINT_COUNT, score, np.float32)
        )
        for box, points in zip(boxes, keypoints, strict=True)
    ]


def found(motion: Motion, keypoints: Floats) -> Trajectories:
    """The trajectories of such a person."""
    return Trajectories.of(motion.times, people_at(motion, keypoints))


def unseen(person: Person | None, keypoints: Sequence[int]) -> Person:
    """The person without some keypoints."""
    assert person is not None
    scores = person.scores.copy()
    scores[list(keypoints)] = 0
    return replace(person, scores=scores)
