"""`rtmlib-backend import-predictions`: predictions of other programs as predictions in Label Studio."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from adapters.cli.console import warner
from adapters.cli.preannotate import SOME_FAILED
from adapters.coco.reading import CocoError, CocoPicture, PictureKey, read_coco_file
from adapters.files.importing.predictions import task_prediction
from adapters.files.importing.task_pictures import Matched, Posed, TaskPicture, match, pictures_of
from adapters.files.poses.reading import files_of, read_poses
from adapters.label_studio.client.api import LabelStudioApi, LabelStudioApiError, Project, ProjectTask
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.tree import LabelConfigError
from adapters.label_studio.regions.predictions import Size
from adapters.pictures.decoding.decode import measure
from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.source import PictureSource
from adapters.preannotation.outcome import Outcome
from adapters.preannotation.progress import shown
from adapters.preannotation.run import Run, Selection, find_lacking
from adapters.prediction.outcome import Failure
from adapters.settings import Settings, load_settings
from adapters.wiring import label_studio_access, picture_source

_AT_ONCE = 8
_SHOWN = 10
_NO_NAME = re.compile(r"[^\w.\-]+")


def import_predictions(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            help="COCO JSON or results, MMPose, OpenPose (or a folder with a file per picture), or .pose.",
        ),
    ],
    *,
    project: Annotated[int, typer.Option(min=1, help="Number of the Label Studio project.")],
    pictures: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help="COCO JSON with the pictures that a list of COCO results refers to."
        ),
    ] = None,
    task: Annotated[list[int] | None, typer.Option(min=1, help="Only this task; repeatable.")] = None,
) -> None:
    """Store the people of a file as predictions of the tasks with the same pictures. See docs/files.md.

    Run again, it stores nothing twice: the model version is the name of the file with a digest of its content.

    Exit code 0: all tasks have a prediction; 3: some failed; 1: the file or the project cannot be read.
    """
    settings = load_settings()
    try:
        listed = read_coco_file(pictures) if pictures is not None else {}
        read = read_poses(path, listed)
        outcome = asyncio.run(_import(settings, project, read, _model_version(path), task))
    except (CocoError, LabelStudioApiError, LabelConfigError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"{outcome.created} predictions created; {outcome.had + outcome.overtaken} tasks had one; "
        f"{len(outcome.failures)} failed."
    )
    for failure in outcome.failures[:_SHOWN]:
        typer.echo(f"Task {failure.task}: {failure.detail}", err=True)
    if outcome.failures:
        raise typer.Exit(SOME_FAILED)


def _model_version(path: Path) -> str:
    """Return the name of the file, and a digest, so that a changed file is another version."""
    digest = hashlib.sha256()
    for file in files_of(path):
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return f"{_NO_NAME.sub('_', path.stem)[:80]}-{digest.hexdigest()[:8]}"


async def _import(
    settings: Settings,
    number: int,
    read: Mapping[PictureKey, CocoPicture],
    version: str,
    chosen: list[int] | None,
) -> Outcome:
    console = Console(stderr=True, highlight=False)
    warn = warner(console)
    url, credentials = label_studio_access(settings, "to find the tasks")
    source = picture_source(settings, settings.picture_limits, credentials)
    async with LabelStudioApi(url, credentials, on_outage=warn) as api, source:
        project = await api.project(number)
        images = parse_label_config(project.label_config).images
        found: list[TaskPicture] = []
        with console.status(f"Reading the tasks of project {number}"):
            async for task in api.tasks(number, ids=chosen):
                found += pictures_of(task, images)
        matched = match(read, found, chosen=chosen is not None)
        _tell(matched, len(read), warn)
        outcome = Outcome()
        lacking = await find_lacking(api, project, Selection(ids=tuple(matched.tasks)), version, outcome)
        importer = _Importer(matched, source, settings, version)
        run = Run(
            api=api,
            project=project,
            model_version=version,
            predict=importer.predict,
            at_once=_AT_ONCE,
            outcome=outcome,
        )
        async with shown(outcome, console):
            await run.work(lacking)
    return outcome


def _tell(matched: Matched, read: int, warn: Callable[[str], None]) -> None:
    for sentence in matched.problems[:_SHOWN]:
        warn(sentence)
    if matched.unmatched:
        names = ", ".join(matched.unmatched[:_SHOWN])
        warn(
            f"{len(matched.unmatched)} of the file's pictures are in no task, or in several, and are left out: {names}."
        )
    if not matched.tasks:
        raise CocoError(
            f"None of the {read} pictures of the file is in the project. Compare their names with the tasks' pictures."
        )


class _Importer:
    """Makes the prediction of a task."""

    def __init__(self, matched: Matched, source: PictureSource, settings: Settings, version: str) -> None:
        self._matched = matched
        self._source = source
        self._settings = settings
        self._version = version

    async def predict(self, _: Project, task: ProjectTask) -> Mapping[str, object] | Failure:
        try:
            posed = [(one, await self._size(one)) for one in self._matched.tasks[task.id]]
        except PictureError as error:
            return Failure(task.id, error.reason, str(error))
        return dict(
            task_prediction(
                posed, model_version=self._version, keypoint_threshold=self._settings.confidence_threshold
            )
        )

    async def _size(self, posed: Posed) -> Size:
        """Return the size of a picture: as the file says, else of the picture itself."""
        if posed.poses.size is not None:
            return posed.poses.size
        data = await self._source.fetch(posed.picture.address, task_id=posed.picture.task)
        size = await asyncio.to_thread(measure, data, max_pixels=self._settings.max_image_pixels)
        return size.width, size.height
