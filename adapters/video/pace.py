"""Selects the frames of a clip that are processed within the time limit.

Label Studio interpolates a box linearly between two key frames, so not every frame must be processed. Ten per second
are as good as all. If time is short, frames are taken further apart, evenly over the rest of the clip, and never
further than people can be followed.
"""

import math
import time
from collections import deque

import numpy as np
from numpy.typing import NDArray

from adapters.video.errors import VideoError

CLOSEST_S = 0.1
"""Least time between processed frames: people move on a straight line between them."""
FURTHEST_S = 1.0
"""Longest time between processed frames: beyond it, walking people would be confused."""

_LOOKS_MEASURED = 16
_LEAST_MEASURED = 6
_SPARE = 0.85  # share of the time that is planned for, since later frames may be slower


class Pace:
    """Returns the next frame to process.

    Args:
        times: When each frame is shown, in seconds, rising; at least one.
        seconds: Time limit for the whole clip, from now on.
    """

    def __init__(self, times: NDArray[np.float64], seconds: float) -> None:
        self._plan = _thinned(times)
        self._next = 0
        self._stride = 1
        self._seconds = seconds
        self._started = time.monotonic()
        self._finished = deque([self._started], maxlen=_LOOKS_MEASURED)

    def next_time(self) -> float | None:
        """Return the time of the next frame to process; None at the end. The last frame is always processed.

        Raises:
            VideoError: The clip is too long for the time limit.
        """
        if self._next >= len(self._plan):
            return None
        here, last = self._next, len(self._plan) - 1
        self._next = min(here + self._affordable_stride(), last) if here < last else len(self._plan)
        return float(self._plan[here])

    def look_finished(self) -> None:
        """Record that a frame was processed."""
        self._finished.append(time.monotonic())

    def _affordable_stride(self) -> int:
        if len(self._finished) <= _LEAST_MEASURED:
            return 1
        per_look = max((self._finished[-1] - self._finished[0]) / (len(self._finished) - 1), 1e-6)
        left_s = _SPARE * self._seconds - (self._finished[-1] - self._started)
        left = self._plan[self._next :]
        stride = max(1, min(math.ceil(len(left) * per_look / max(left_s, 1e-3)), len(left)))
        if stride > 1 and float(np.diff([*left[::stride], left[-1]]).max()) > FURTHEST_S:
            raise VideoError(
                "too_long",
                f"The clip of {self._plan[-1]:.0f} s is too long: one frame per second takes more than "
                f"{self._seconds:.0f} s here. Cut it into clips of at most "
                f"{_SPARE * self._seconds / per_look * FURTHEST_S:.0f} s.",
            )
        return stride


def _thinned(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop frames that follow another one too closely."""
    kept: list[float] = []
    for moment in times.tolist():
        if not kept or moment - kept[-1] >= CLOSEST_S - 1e-6:
            kept.append(moment)
    return np.array(kept)
