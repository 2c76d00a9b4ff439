"""Log lines: one format for all our packages, on standard error."""

import logging

from adapters.request_context import request_id

OUR_PACKAGES = ("adapters", "runners", "service", "wholebody")


class _WithRequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


def configure_logging(level: str) -> None:
    """Send the log lines of our packages to standard error.

    Args:
        level: Least level: DEBUG, INFO, WARNING or ERROR.
    """
    handler = logging.StreamHandler()
    handler.addFilter(_WithRequestId())
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(name)s request=%(request_id)s %(message)s")
    )
    for package in OUR_PACKAGES:
        logger = logging.getLogger(package)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False  # BentoML gives the root logger a handler of its own
