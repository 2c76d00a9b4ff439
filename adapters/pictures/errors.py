"""The error of a picture that could not be fetched or decoded."""

from typing import Literal

Reason = Literal[
    "no_picture",  # the task has none
    "bad_address",  # not a supported form of address
    "refused",  # the address policy forbids it
    "unreachable",  # no connection, or it was interrupted
    "timeout",
    "unauthorized",  # 401, 403, or a login page instead of the picture
    "not_found",  # 404, 410, or no such local file
    "rate_limited",  # 429, or 503 with a time to wait
    "server_error",  # any other status that is not a picture
    "too_many_redirects",
    "too_large",  # in bytes
    "too_many_pixels",
    "not_a_picture",  # not one of the supported formats
    "broken_picture",  # a supported format, but truncated or damaged
]


class PictureError(Exception):
    """One picture could not be fetched or decoded; only its task fails.

    Attributes:
        reason: Used as a metric label.

    ``str(error)`` says what is wrong and what to do. It holds neither credentials nor the query of an address (which
    may be a signature).
    """

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason
