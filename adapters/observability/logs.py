"""Logging of all processes and packages to standard error: one line per event, JSON or text."""

import json
import logging
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

from adapters.observability import tracing
from adapters.observability.library_warnings import LibraryWarnings
from adapters.observability.processes import own_name
from adapters.observability.request_id import NO_REQUEST, request_id

OUR_PACKAGES = ("adapters", "runners", "service", "wholebody")
SERVER_PACKAGES = {"bentoml": logging.INFO, "circus": logging.WARNING, "uvicorn.error": logging.WARNING}
"""Packages of the server and their lowest logged level."""

LogFormat = Literal["auto", "json", "text"]

MAX_TEXT = 2000
"""Longest text of a line: a task's id may be as long as a request."""
MAX_TRACEBACK = 10_000


class Event:
    """A structured log message: `logger.info(Event("done", task=7))`.

    Args:
        what: A few words, the same for every event of a kind.
        detail: A sentence about this event.
        fields: Values of this event.
    """

    def __init__(self, what: str, detail: str | None = None, **fields: str | float | None) -> None:
        self.what = what
        self.detail = detail
        self.fields = fields

    def __str__(self) -> str:
        """Return the event as text."""
        values = "".join(
            f" {name}={value:.3f}" if isinstance(value, float) else f" {name}={value}"
            for name, value in self.fields.items()
        )
        return self.what + values + ("" if self.detail is None else f": {self.detail}")


class _WithRequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class _OneLine(logging.Formatter):
    """Escapes control characters: task ids and paths from requests must not break lines or colour a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Return the line without its traceback."""
        line = _shortened(super().formatMessage(record))
        return line if line.isprintable() else "".join(map(_printable, line))


class _Json(logging.Formatter):
    """Formats a record as one line of ASCII JSON, so a request cannot break the line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": own_name(),
            **({} if (of := request_id.get()) == NO_REQUEST else {"request": of}),
            **tracing.current_ids(),
        }
        event: Any = record.msg
        if isinstance(event, Event):
            line["message"] = event.what
            line |= {name: _rounded(value) for name, value in event.fields.items()}
            if event.detail is not None:
                line["detail"] = _shortened(event.detail)
        else:
            line["message"] = _shortened(record.getMessage())
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-MAX_TRACEBACK:]
        return json.dumps(line)


def _rounded(value: str | float | None) -> str | float | None:
    if isinstance(value, str):
        return _shortened(value)
    return round(value, 6) if isinstance(value, float) else value


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def configure_logging(level: str, form: LogFormat = "auto") -> None:
    """Log this process to standard error.

    Args:
        level: Lowest level: DEBUG, INFO, WARNING or ERROR. Libraries other than BentoML log from WARNING on, each kind
            of warning at most once a minute.
        form: `auto` is `text` on a terminal, else `json`.
    """
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.addFilter(_WithRequestId())
    library_warnings = LibraryWarnings(OUR_PACKAGES)
    handler.addFilter(library_warnings)
    library_warnings.take_python_warnings()
    handler.setFormatter(
        _Json()
        if as_json
        else _OneLine("%(asctime)s %(levelname)s %(name)s request=%(request_id)s %(message)s")
    )
    for package in OUR_PACKAGES:
        logger = logging.getLogger(package)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
    for package, least in SERVER_PACKAGES.items():
        logger = logging.getLogger(package)
        logger.handlers = [handler]
        logger.setLevel(max(least, logging.getLevelNamesMapping()[level]))
        logger.propagate = False
    _configure_root(handler)
    if as_json:
        sys.excepthook = _log_uncaught


def _configure_root(handler: logging.Handler) -> None:
    root = logging.getLogger()
    # Replaces BentoML's handler and one of an earlier call; other handlers stay.
    root.handlers = [handler, *(other for other in root.handlers if type(other) is not logging.StreamHandler)]
    root.setLevel(logging.WARNING)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log an uncaught exception on one line, instead of Python's traceback."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger().critical("The process ends: %r", error, exc_info=(kind, error, trace))
