"""The error of a clip that could not be read or followed."""

from typing import Literal

Reason = Literal[
    "not_a_video",  # not one of the supported formats, or without a video stream
    "broken_video",  # a supported format, but truncated or damaged
    "too_many_pixels",  # in a frame
    "too_long",  # too many frames, or too long for the time limit
    "time_budget",  # other clips used up the request's time: retry
]


class VideoError(Exception):
    """One clip could not be read or followed; only its task fails.

    Attributes:
        reason: Used as a metric label.

    ``str(error)`` says what is wrong and what to do.
    """

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason
