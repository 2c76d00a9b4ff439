"""A circuit breaker."""

import time
from dataclasses import dataclass

RETRY_PERIOD_S = 5.0
"""Pause after a failure: an unresponsive Redis delays one request per period."""


@dataclass
class Circuit:
    """Closed while calls succeed; open after a failure, with one attempt at the end of each period.

    Attributes:
        kind: Of the failure that opened it; None while it is closed.
    """

    kind: str | None = None
    _opened: float = 0.0
    _next_attempt: float = 0.0

    def attempt(self) -> float | None:
        """Return the start time of an attempt, for `failed` or `succeeded`; None while no attempt is allowed."""
        now = time.monotonic()
        if self.kind is not None:
            if now < self._next_attempt:
                return None
            self._next_attempt = now + RETRY_PERIOD_S  # only this call tries; others do not wait for it
        return now

    def failed(self, began: float, kind: str) -> bool:
        """Open, and return whether the state changed: it was closed, or the kind of failure is new."""
        if self.kind is not None and began < self._opened:
            return False  # several attempts began before the first of them failed
        news = kind != self.kind
        now = time.monotonic()
        if self.kind is None:
            self._opened = now
        self.kind = kind
        self._next_attempt = now + RETRY_PERIOD_S
        return news

    def succeeded(self, began: float) -> bool:
        """Close, and return whether it was open."""
        if self.kind is None or began < self._opened:
            return False
        self.kind = None
        return True
