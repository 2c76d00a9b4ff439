"""The label config check of `rtmlib-backend doctor`."""

import asyncio
from pathlib import Path

from adapters.label_studio.client.api import LabelStudioApi, LabelStudioApiError
from adapters.label_studio.client.retry import RetryPolicy
from adapters.label_studio.label_config.parsing import LabelConfigError, parse_label_config
from adapters.label_studio.label_config.tree import MAX_CHARACTERS
from adapters.settings import Settings, SettingsError
from adapters.wiring import label_studio_access


class LabelConfigProblemError(Exception):
    """A label config cannot be read, or lacks something; the message says what to do."""


def label_config_of_file(path: Path) -> str:
    """Read a label config from a file.

    Raises:
        LabelConfigProblemError: The file cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        raise LabelConfigProblemError(f"{path} is not UTF-8 text. Save it as UTF-8.") from error
    except OSError as error:
        raise LabelConfigProblemError(f"{path} cannot be read: {error.strerror}.") from error


def label_config_of_project(number: int, settings: Settings) -> str:
    """Fetch the label config of a project from Label Studio.

    Raises:
        LabelConfigProblemError: Label Studio does not return it.
    """

    async def ask() -> str:
        url, credentials = label_studio_access(settings, "to read it from a project")
        retries = RetryPolicy(attempts=2, longest_pause_s=1)
        async with LabelStudioApi(url, credentials, retries=retries) as api:
            return (await api.project(number)).label_config

    try:
        return asyncio.run(ask())
    except (SettingsError, LabelStudioApiError) as error:
        raise LabelConfigProblemError(str(error)) from error


def described(xml: str) -> str:
    """Return a summary of what a label config requests.

    Raises:
        LabelConfigProblemError: It is invalid, or lacks something.
    """
    try:
        config = parse_label_config(xml)
    except LabelConfigError as error:
        raise LabelConfigProblemError(str(error)) from error
    if config.sentences:
        raise LabelConfigProblemError("\n  ".join(config.sentences))
    wanted: list[str] = []
    for image in config.images:
        keypoints = {label.index for control in image.keypoints for label in control.labels}
        bones = {label.tree.value for control in image.skeletons for label in control.labels}
        parts = [
            f"{len(keypoints)} keypoints" if keypoints else "",
            f"bones of {', '.join(sorted(bones))}" if bones else "",
        ]
        parts.append("boxes" if image.box else "")
        shown = "every frame of " if image.shows_frames else ""
        wanted.append(f"{', '.join(part for part in parts if part)} on {shown}'{image.name}'")
    wanted += [f"people on '{video.name}'" for video in config.videos]
    return "; ".join(wanted)
