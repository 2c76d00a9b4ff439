"""The check of picture addresses in `rtmlib-backend doctor --project`."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, cast

from adapters.label_studio.client.api import LabelStudioApi, LabelStudioApiError
from adapters.label_studio.client.retry import RetryPolicy
from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.address import parse_web_address
from adapters.pictures.fetching.label_studio_site import LabelStudioSite, label_studio_in
from adapters.settings import Settings, SettingsError
from adapters.wiring import label_studio_access

_TASKS = 200
_ADDRESSES = 1_000
"""Addresses that are read of a task: a frame list has as many."""


class TaskAddressesError(Exception):
    """Tasks have addresses that the backend cannot fetch; the message says what to do."""


def described_addresses(project: int, settings: Settings) -> str:
    """Look for other addresses of Label Studio in the first tasks of a project.

    Raises:
        TaskAddressesError: There are some, or the tasks cannot be listed.
    """
    try:
        tasks = asyncio.run(_data_of_tasks(project, settings))
    except (SettingsError, LabelStudioApiError) as error:
        raise TaskAddressesError(str(error)) from error
    url = settings.label_studio_url
    assert url is not None, "the tasks were listed there"
    site = LabelStudioSite.at(url, settings.label_studio_aliases)
    others = Counter(
        other
        for data in tasks
        for other in {_other(text, site) for text in _texts(data)}
        if other is not None
    )
    if others:
        most = others.most_common(5)
        listed = ", ".join(f"{other} ({count} of {len(tasks)} tasks)" for other, count in most)
        settings_line = ",".join([*settings.label_studio_aliases, *(other for other, _ in most)])
        raise TaskAddressesError(
            f"pictures have other addresses of a Label Studio: {listed}. If it is this one, set "
            f"LABEL_STUDIO_ALIASES={settings_line}."
        )
    return f"no other address of Label Studio in {len(tasks)} tasks"


async def _data_of_tasks(project: int, settings: Settings) -> list[dict[str, Any]]:
    url, credentials = label_studio_access(settings, "to read tasks of a project")
    retries = RetryPolicy(attempts=2, longest_pause_s=1)
    found: list[dict[str, Any]] = []
    async with (
        LabelStudioApi(url, credentials, retries=retries) as api,
        aclosing(api.tasks(project)) as tasks,
    ):
        async for task in tasks:
            found.append(task.data)
            if len(found) >= _TASKS:
                break
    return found


def _texts(data: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of a task's data, and those in its lists."""
    for value in data.values():
        values = cast("list[Any]", value)[:_ADDRESSES] if isinstance(value, list) else [value]
        yield from (text for text in values if isinstance(text, str))


def _other(text: str, site: LabelStudioSite) -> str | None:
    """Return the address of another Label Studio that a text is an address of, else None."""
    try:
        url = site.canonical(parse_web_address(text.strip()))
    except PictureError:
        return None
    return None if site.has(url) else label_studio_in(url)
