"""Leaves alone what has just failed."""

import time
from dataclasses import dataclass

RETRY_PERIOD_S = 5.0
"""For how long: a Redis that does not answer costs one request a short wait in each such period."""


@dataclass
class Circuit:
    """Closed while all is well; open for a period after a failure, with one attempt at the end of each period.

    Attributes:
        kind: Of the failure that opened it; None while it is closed.
    """

    kind: str | None = None
    _opened: float = 0.0
    _next_attempt: float = 0.0

    def attempt(self) -> float | None:
        """Return when the attempt began, to be told with its outcome; None where none may be made now."""
        now = time.monotonic()
        if self.kind is not None:
            if now < self._next_attempt:
                return None
            self._next_attempt = now + RETRY_PERIOD_S  # this one tries, and the others need not wait for it
        return now

    def failed(self, began: float, kind: str) -> bool:
        """Open; returns whether that is news: it was closed, or what fails has become something else."""
        if self.kind is not None and began < self._opened:
            return False  # several had begun before the first of them failed
        news = kind != self.kind
        now = time.monotonic()
        if self.kind is None:
            self._opened = now
        self.kind = kind
        self._next_attempt = now + RETRY_PERIOD_S
        return news

    def succeeded(self, began: float) -> bool:
        """Close; returns whether that is news."""
        if self.kind is None or began < self._opened:
            return False
        self.kind = None
        return True
