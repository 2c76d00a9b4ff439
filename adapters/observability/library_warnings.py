"""Logs the first warning of each kind from a library, and counts the others.

A hostile file can make a library warn at each of thousands of parts.
"""

import logging
import threading
import time
import warnings
from typing import TextIO

PAUSE_S = 60.0
"""Time after a line during which others of its kind are only counted; the next line has the count."""

Kind = tuple[str, str, int]
"""Source of a warning: a logger or a class of warnings, and the file and line."""

_logger = logging.getLogger("py.warnings")


class LibraryWarnings(logging.Filter):
    """Passes library records that are errors, or the first of their kind in a minute.

    A kind is a line of code, so the number of kinds is bounded.

    Args:
        own: Loggers whose records all pass.
    """

    def __init__(self, own: tuple[str, ...]) -> None:
        super().__init__()
        self._own = frozenset(own)
        self._shown: dict[Kind, float] = {}
        self._more: dict[Kind, int] = {}
        self._one_at_a_time = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged; add the number of suppressed ones of its kind."""
        if record.levelno >= logging.ERROR or record.name.partition(".")[0] in self._own:
            return True
        if record.name == _logger.name:  # `show` has filtered Python's warnings already
            return True
        more = self._more_since((record.name, record.pathname, record.lineno))
        if more:
            record.msg, record.args = _with_count(record.getMessage(), more), None
        return more is not None

    def show(  # noqa: PLR0913, PLR0917 - the standard library's
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Replace `warnings.showwarning`."""
        more = self._more_since((category.__name__, filename, lineno))
        if more is not None:
            text = f"{category.__name__}: {message} ({filename}:{lineno})"
            _logger.warning("%s", _with_count(text, more))

    def take_python_warnings(self) -> None:
        """Log Python's warnings in this process."""
        warnings.showwarning = self.show
        # By default Python remembers each shown text, without bound. Ignored warnings stay ignored.
        warnings.simplefilter("always", append=True)

    def _more_since(self, kind: Kind) -> int | None:
        """Return the number suppressed since the kind's last line; None if its next line is not due."""
        with self._one_at_a_time:
            now = time.monotonic()
            if now - self._shown.get(kind, -PAUSE_S) < PAUSE_S:
                self._more[kind] = self._more.get(kind, 0) + 1
                return None
            self._shown[kind] = now
            return self._more.pop(kind, 0)


def _with_count(message: str, more: int) -> str:
    return f"{message} ({more} more of this kind since the last line)" if more else message
