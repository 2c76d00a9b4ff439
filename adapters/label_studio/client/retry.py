"""When a request is repeated: after which statuses, how often, and after which pauses."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

NOTHING_DONE = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Statuses that mean that the server did nothing."""
RETRIED = NOTHING_DONE | {
    HTTPStatus.INTERNAL_SERVER_ERROR,  # SQLite's "database is locked", for one
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.GATEWAY_TIMEOUT,
}
SHORT_LIVED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR})
"""Statuses of a server that works: logged only if they persist."""


@dataclass(frozen=True)
class RetryPolicy:
    """Retry policy: the number of attempts, and the pauses between them, which double.

    The defaults bridge an outage of about a minute and a half.
    """

    attempts: int = 9
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0

    def pause_s(self, attempt: int, retry_after: str | None) -> float:
        """Return the seconds to wait after a failed attempt.

        Args:
            attempt: Its number, from 0.
            retry_after: The Retry-After header, if there was one.
        """
        asked = retry_after_s(retry_after)
        if asked is not None:
            return min(asked, self.longest_pause_s)
        # Jitter, so many clients do not retry at the same moment.
        return min(self.first_pause_s * 2**attempt, self.longest_pause_s) * random.uniform(0.75, 1)  # noqa: S311


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds in a Retry-After header (RFC 9110, 10.2.3); None if it is missing or invalid.

    Args:
        header: A number of seconds, or a date.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        return max((date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, OverflowError):
        return None
