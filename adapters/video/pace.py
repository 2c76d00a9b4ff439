"""Which frames of a clip are looked at, so that all of it is seen in time.

Label Studio draws a box between two key frames on the straight line from one to the other, so not every frame must be
looked at. Ten in a second are as good as all of them; where there is no time for that, they are taken further apart,
evenly over what is left of the clip, and never further than people can be followed.
"""

import math
import time
from collections import deque

import numpy as np
from numpy.typing import NDArray

from adapters.video.errors import VideoError

CLOSEST_S = 0.1
"""Frames are not looked at more often: between two of them, people move on a line."""
FURTHEST_S = 1.0
"""Frames that are looked at may not be further apart: people who walk would be taken for others."""

_LOOKS_MEASURED = 16
_LEAST_MEASURED = 6
_SPARE = 0.85  # of the time, since what was measured may become slower


class Pace:
    """Says which frame is next.

    Args:
        times: When each frame is shown, in seconds, rising; at least one.
        seconds: In which the whole clip has to be seen, from now on.
    """

    def __init__(self, times: NDArray[np.float64], seconds: float) -> None:
        self._plan = _thinned(times)
        self._next = 0
        self._stride = 1
        self._seconds = seconds
        self._started = time.monotonic()
        self._finished = deque([self._started], maxlen=_LOOKS_MEASURED)

    def next_time(self) -> float | None:
        """The time of the frame to look at now; None at the end of the clip. The last frame is always looked at.

        Raises:
            VideoError: The clip is too long to be seen often enough in time.
        """
        if self._next >= len(self._plan):
            return None
        here, last = self._next, len(self._plan) - 1
        self._next = min(here + self._affordable_stride(), last) if here < last else len(self._plan)
        return float(self._plan[here])

    def look_finished(self) -> None:
        """Take note that a frame was looked at."""
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
                f"A clip of {self._plan[-1]:.0f} s cannot be looked at once a second in {self._seconds:.0f} s here; "
                f"cut it into clips of at most {_SPARE * self._seconds / per_look * FURTHEST_S:.0f} s.",
            )
        return stride


def _thinned(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out frames that follow another one too closely."""
    kept: list[float] = []
    for moment in times.tolist():
        if not kept or moment - kept[-1] >= CLOSEST_S - 1e-6:
            kept.append(moment)
    return np.array(kept)
