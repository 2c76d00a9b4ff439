"""Log lines: one line for each event, of all processes and packages, on standard error.

JSON where programs read them, words on a terminal where people do.
"""

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
"""The server that we run in, and what is the least of it that is worth a line."""

LogFormat = Literal["auto", "json", "text"]

MAX_TEXT = 2000
"""Longest text of a line: a task's id may be as long as a request."""
MAX_TRACEBACK = 10_000


class Event:
    """What happened, in a form that people and programs can read: `logger.info(Event("done", task=7))`.

    Args:
        what: A few words, always the same for the same kind of event.
        detail: A sentence about this one.
        fields: Its values.
    """

    def __init__(self, what: str, detail: str | None = None, **fields: str | float | None) -> None:
        self.what = what
        self.detail = detail
        self.fields = fields

    def __str__(self) -> str:
        """The event in words."""
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
    """Escapes what would break a line or colour a terminal: task ids and paths are whatever a caller wrote."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Return the line without the traceback, which may follow it."""
        line = _shortened(super().formatMessage(record))
        return line if line.isprintable() else "".join(map(_printable, line))


class _Json(logging.Formatter):
    """One object on one line, in ASCII: nothing that a caller writes can end it early."""

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
    """Send the log lines of this process to standard error.

    Args:
        level: Least level: DEBUG, INFO, WARNING or ERROR. Other packages than ours and BentoML's are heard from
            WARNING on. Of each kind of their warnings there is a line once in a while.
        form: `auto` is `text` on a terminal and `json` anywhere else.
    """
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.addFilter(_WithRequestId())
    of_libraries = LibraryWarnings(OUR_PACKAGES)
    handler.addFilter(of_libraries)
    of_libraries.take_python_warnings()
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
    _listen_to_all_others(handler)
    if as_json:
        sys.excepthook = _log_the_end


def _listen_to_all_others(handler: logging.Handler) -> None:
    root = logging.getLogger()
    # BentoML's handler, or ours of an earlier call; what others may have put there is theirs.
    root.handlers = [handler, *(other for other in root.handlers if type(other) is not logging.StreamHandler)]
    root.setLevel(logging.WARNING)


def _log_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Take the place of Python's traceback over many lines."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger().critical("The process ends: %r", error, exc_info=(kind, error, trace))
