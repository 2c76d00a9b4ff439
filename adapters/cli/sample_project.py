"""`rtmlib-backend sample-project`: a project to try the backend with, in an empty Label Studio."""

import asyncio
import io
import time
from typing import Annotated

import aiohttp
import typer
from PIL import Image, ImageOps
from rich.console import Console

from adapters.cli.preannotate import (
    Options,
    Progress,
    is_web_address,
    preannotate_project,
    print_summary,
)
from adapters.connections import environment_proxy, open_session
from adapters.label_studio.client.api import LabelStudioApi, LabelStudioApiError, Project
from adapters.label_studio.client.credentials import Credentials
from adapters.label_studio.label_config.template import Selection, label_config_template
from adapters.preannotation.outcome import Outcome
from adapters.preannotation.run import Selection as Tasks
from adapters.settings import load_settings
from adapters.wiring import label_studio_access
from wholebody.figure import draw_figure

TITLE = "RTMLib sample"
_PAUSE_S = 2.0
_PROBE_S = 5.0
_ENLARGED = 3
"""The figure is drawn small, for tests."""


def sample_project(
    backend: Annotated[
        str, typer.Option(metavar="URL", help="Address of the running backend, as Label Studio reaches it.")
    ],
    page: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of Label Studio in your browser, if it is another one."),
    ] = None,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait until both have started.")
    ] = 300.0,
) -> None:
    """Create a project with drawn pictures in Label Studio, connect this backend, and predict its tasks.

    A project that is there already is kept, and only what it lacks is predicted.
    """
    if not is_web_address(backend):
        raise typer.BadParameter("write its address as http://host:9090.", param_hint="--backend")
    settings = load_settings()
    url, credentials = label_studio_access(settings, "to create the project")
    console = Console(highlight=False, soft_wrap=True)
    progress = Progress(Outcome())
    try:
        number = asyncio.run(_make(url, credentials, backend, wait_s, console))
        options = Options(number, Tasks(), backend, at_once=4, dry_run=False)
        asyncio.run(preannotate_project(settings, options, progress))
        print_summary(options, progress)
        if progress.outcome.ended_by or progress.outcome.failures:
            raise typer.Exit(1)
        asyncio.run(_show(url, credentials, number, progress.model_version))
    except LabelStudioApiError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    console.print(f"Open {(page or url).rstrip('/')}/projects/{number}/data", markup=False)


async def _make(url: str, credentials: Credentials, backend: str, wait_s: float, console: Console) -> int:
    """Return the number of the project, which is created if there is none."""
    with console.status("Waiting for Label Studio and the backend"):
        until = time.monotonic() + wait_s
        await asyncio.gather(
            *(_answering(at, until) for at in (f"{url.rstrip('/')}/health", f"{backend.rstrip('/')}/readyz"))
        )
    async with LabelStudioApi(url, credentials) as api:
        project = await api.project_titled(TITLE)
        if project is None:
            project = await _created(api, backend)
            console.print(f"Project {project.id} ({TITLE}) created.", markup=False)
        else:
            console.print(f"Project {project.id} ({TITLE}) is there already.", markup=False)
        return project.id


async def _created(api: LabelStudioApi, backend: str) -> Project:
    project = await api.create_project(TITLE, label_config_template([Selection.WHOLE]))
    for name, picture in drawn_pictures().items():
        await api.upload(project.id, name, picture)
    await api.connect_model(project.id, backend, "RTMLib")
    return project


async def _answering(address: str, until: float) -> None:
    """Wait until an address answers 200.

    Raises:
        LabelStudioApiError: It does not in time.
    """
    async with open_session(environment_proxy(address), aiohttp.ClientTimeout(total=_PROBE_S)) as session:
        while True:
            try:
                async with session.get(address, allow_redirects=False) as response:
                    if response.status == 200:
                        return
                    said = f"answers {response.status}"
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                said = f"does not answer ({error or type(error).__name__})"
            if time.monotonic() > until:
                raise LabelStudioApiError(
                    f"{address} {said}. Check that it runs, and wait longer with --wait."
                )
            await asyncio.sleep(_PAUSE_S)


async def _show(url: str, credentials: Credentials, number: int, model_version: str) -> None:
    async with LabelStudioApi(url, credentials) as api:
        await api.show_predictions_of(number, model_version)


def drawn_pictures() -> dict[str, bytes]:
    """Return three pictures by file name: one person, two people, and one from the hips up as signers are filmed."""
    figure = draw_figure()
    large = figure.resize((figure.width * _ENLARGED, figure.height * _ENLARGED), Image.Resampling.LANCZOS)
    two = Image.new("RGB", (2 * large.width, large.height))
    two.paste(large, (0, 0))
    two.paste(ImageOps.mirror(large), (large.width, 0))
    signing = large.crop((0, 0, large.width, round(0.55 * large.height)))
    return {
        name: _jpeg(picture)
        for name, picture in (("one-person.jpg", large), ("two-people.jpg", two), ("signing.jpg", signing))
    }


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()
