"""Log lines: one format for all our packages, on standard error, and one line for each event."""

import logging
from types import TracebackType

from adapters.request_context import request_id

OUR_PACKAGES = ("adapters", "runners", "service", "wholebody")

_BENTOML_ERRORS = "bentoml._internal.server.http_app"
_READS_THE_BODY = "from_http_request"


class _WithRequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class _OneLine(logging.Formatter):
    """Escapes what would break a line or colour a terminal: task ids and paths are whatever a caller wrote."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Return the line without the traceback, which may follow it."""
        line = super().formatMessage(record)
        return line if line.isprintable() else "".join(map(_printable, line))


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _is_a_fault_here(record: logging.LogRecord) -> bool:
    """Tell whether an exception that BentoML logs came after the body was read.

    Before that it is the caller's mistake (no JSON, a wrong type, a connection that broke off): the caller is told,
    and the surface logs a line. BentoML would add a traceback of forty lines that nobody can act on.
    """
    step: TracebackType | None = record.exc_info[2] if record.exc_info else None
    while step is not None:
        if step.tb_frame.f_code.co_name == _READS_THE_BODY:
            return False
        step = step.tb_next
    return True


def configure_logging(level: str) -> None:
    """Send the log lines of our packages to standard error.

    Args:
        level: Least level: DEBUG, INFO, WARNING or ERROR.
    """
    handler = logging.StreamHandler()
    handler.addFilter(_WithRequestId())
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s request=%(request_id)s %(message)s"))
    for package in OUR_PACKAGES:
        logger = logging.getLogger(package)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False  # BentoML gives the root logger a handler of its own
    logging.getLogger(_BENTOML_ERRORS).addFilter(_is_a_fault_here)
