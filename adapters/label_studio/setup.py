"""What a project that connects needs to be told."""

import logging

from adapters.label_studio.label_config import parse_label_config
from adapters.label_studio.label_config_tree import LabelConfigError
from adapters.label_studio.schemas import SetupRequest
from adapters.log_lines import Event

logger = logging.getLogger(__name__)


def problems_of(request: SetupRequest) -> list[str]:
    """Return what a project's label config lacks, one sentence each, and log it.

    /setup itself never fails for it: Label Studio would show "Error" and nothing else.
    """
    if not request.label_config:
        return []
    try:
        config = parse_label_config(request.label_config)
    except LabelConfigError as error:
        problems = [str(error)]
    else:
        problems = list(config.sentences)
    for problem in problems:
        logger.warning(Event("label config", problem, project=request.project))
    return problems
