"""What a project that connects needs to be told."""

import logging

from adapters.label_studio.label_config.parsing import read_label_config
from adapters.label_studio.label_config.tree import LabelConfigError
from adapters.label_studio.schemas import SetupRequest
from adapters.observability.logs import Event
from adapters.observability.status import Status

logger = logging.getLogger(__name__)


async def note_project(request: SetupRequest, status: Status) -> None:
    """Keep what a project's label config lacks for /status, and log what is new of it, a line each.

    /setup itself never fails for it: Label Studio would show "Error" and nothing else.
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
