"""Why a picture could not be had."""

from typing import Literal

Reason = Literal[
    "no_picture",  # the task names none
    "bad_address",  # not a form of address that is understood
    "refused",  # the guard does not let us go there
    "unreachable",  # no connection, or it broke off
    "timeout",
    "unauthorized",  # 401, 403, or a login page instead of the picture
    "not_found",  # 404, 410, or no such local file
    "server_error",  # any other status that is not a picture
    "too_many_redirects",
    "too_large",  # in bytes
    "too_many_pixels",
    "not_a_picture",  # not one of the formats that are read
    "broken_picture",  # one of them, but truncated or damaged
]


class PictureError(Exception):
    """One picture could not be fetched or decoded; its task fails, and no other.

    Attributes:
        reason: one of a fixed set of words, fit to be the label of a metric.

    ``str(error)`` is one sentence for the log. It says what to do, and holds neither credentials nor the
    query of an address (which may be a signature).
    """

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason
