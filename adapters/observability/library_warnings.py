"""Warnings of libraries: the first of a kind is a line, and the others are counted.

A file may be made so that the library that reads it warns at each of its thousands of parts.
"""

import logging
import threading
import time
import warnings
from typing import TextIO

PAUSE_S = 60.0
"""After a line, others of its kind are counted for so long; the next line tells how many there were."""

Kind = tuple[str, str, int]
"""What warns: a logger or a class of warnings, and the file and line."""

_logger = logging.getLogger("py.warnings")


class LibraryWarnings(logging.Filter):
    """Lets through the records of libraries that are errors, or the first of their kind in a while.

    A kind is a place in the libraries' code, so there are few.

    Args:
        own: Loggers whose records are all let through.
    """

    def __init__(self, own: tuple[str, ...]) -> None:
        super().__init__()
        self._own = frozenset(own)
        self._shown: dict[Kind, float] = {}
        self._more: dict[Kind, int] = {}
        self._one_at_a_time = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record becomes a line; if others of its kind did not, it tells how many."""
        if record.levelno >= logging.ERROR or record.name.partition(".")[0] in self._own:
            return True
        if record.name == _logger.name:  # one place of ours for all of them: they were looked at before
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
        """Take the place of `warnings.showwarning`."""
        more = self._more_since((category.__name__, filename, lineno))
        if more is not None:
            said = f"{category.__name__}: {message} ({filename}:{lineno})"
            _logger.warning("%s", _with_count(said, more))

    def take_python_warnings(self) -> None:
        """Have Python's own warnings logged in this process."""
        warnings.showwarning = self.show
        # By default Python remembers each text that it has shown, without bound. What it ignores is still ignored.
        warnings.simplefilter("always", append=True)

    def _more_since(self, kind: Kind) -> int | None:
        """Return how many of a kind there were since its last line; None if it is not time for the next yet."""
        with self._one_at_a_time:
            now = time.monotonic()
            if now - self._shown.get(kind, -PAUSE_S) < PAUSE_S:
                self._more[kind] = self._more.get(kind, 0) + 1
                return None
            self._shown[kind] = now
            return self._more.pop(kind, 0)


def _with_count(message: str, more: int) -> str:
    return f"{message} ({more} more of this kind since the last line)" if more else message
