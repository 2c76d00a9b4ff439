"""Why a clip could not be looked at."""

from typing import Literal

Reason = Literal[
    "not_a_video",  # not one of the formats that are read, or without pictures
    "broken_video",  # one of them, but truncated or damaged
    "too_many_pixels",  # in a frame
    "too_long",  # in frames, or to be seen often enough in time
    "time_budget",  # other clips took the request's time: ask again
]


class VideoError(Exception):
    """One clip could not be read or followed; its task fails, and no other.

    Attributes:
        reason: one of a fixed set of words, fit to be the label of a metric.

    ``str(error)`` is one sentence that says what to do.
    """

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason
