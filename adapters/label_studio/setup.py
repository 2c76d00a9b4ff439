"""Handles /setup: checks the label config of a project that connects."""

import logging

from adapters.label_studio.label_config.parsing import read_label_config
from adapters.label_studio.label_config.tree import LabelConfigError
from adapters.label_studio.schemas import SetupRequest
from adapters.observability.logs import Event
from adapters.observability.status import Status

logger = logging.getLogger(__name__)


async def check_label_config(request: SetupRequest, status: Status) -> None:
    """Record the problems of a project's label config for /status, and log them if they changed, one per line.

    /setup never fails because of them: Label Studio would only show "Error".
    """
    problems = await _problems(request.label_config)
    if status.label_config_read(str(request.project), problems):
        for problem in problems:
            logger.warning(Event("label config", problem, project=request.project))


async def _problems(label_config: str) -> list[str]:
    if not label_config:
        return []
    try:
        return list((await read_label_config(label_config)).sentences)
    except LabelConfigError as error:
        return [str(error)]
