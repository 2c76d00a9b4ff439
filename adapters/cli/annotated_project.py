"""Where `export-coco` and `evaluate` take annotations from: a project through the API, or an export file."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from adapters.cli.doctor_label_config import LabelConfigProblemError, label_config_of_file
from adapters.coco.document import PictureOfTask
from adapters.coco.picture_names import PictureFields
from adapters.label_studio.annotations.people import AnnotatedPicture, picture_sizes, read_people
from adapters.label_studio.annotations.regions import Warn
from adapters.label_studio.annotations.tasks import AnnotatedTask, TasksError, Work, read_export, tasks_of
from adapters.label_studio.client.api import LabelStudioApi, LabelStudioApiError
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.tree import LabelConfigError
from adapters.settings import SettingsError, load_settings
from adapters.wiring import label_studio_access

_WARNINGS_SHOWN = 20

ProjectOption = Annotated[
    int | None,
    typer.Option(
        "--project",
        min=1,
        help="Number of a project in Label Studio (LABEL_STUDIO_URL, LABEL_STUDIO_API_TOKEN).",
    ),
]
ExportOption = Annotated[
    Path | None,
    typer.Option("--export", help="A file of Label Studio's Export > JSON, instead of a project."),
]
LabelConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--label-config", help="The label config of that export, where its labels have names of their own."
    ),
]
ModelVersionOption = Annotated[
    str | None, typer.Option("--model-version", help="Take predictions of this version only.")
]


@dataclass
class Warnings:
    """Gathers what was left out, and says it once."""

    _sentences: Counter[str] = field(default_factory=Counter[str])

    def about(self, task: int) -> Warn:
        """Return what takes sentences about a task."""

        def warn(sentence: str) -> None:
            self._sentences[f"Task {task}: {sentence}."] += 1

        return warn

    def show(self) -> None:
        """Print them to standard error, the first of many."""
        console = Console(stderr=True, highlight=False)
        for sentence, times in list(self._sentences.items())[:_WARNINGS_SHOWN]:
            again = f" ({times} times)" if times > 1 else ""
            console.print(f"{sentence}{again}", style="yellow", markup=False, soft_wrap=True)
        if len(self._sentences) > _WARNINGS_SHOWN:
            console.print(
                f"… and {len(self._sentences) - _WARNINGS_SHOWN} more.", style="yellow", markup=False
            )


@dataclass(frozen=True)
class AnnotatedProject:
    """Tasks, and how to read them.

    Attributes:
        title: Where they come from, for people.
        tasks: The tasks.
        meanings: What their labels stand for.
        pictures: Where their pictures are.
    """

    title: str
    tasks: Sequence[AnnotatedTask]
    meanings: LabelMeanings
    pictures: PictureFields

    def annotated(self, warnings: Warnings, *, every: bool) -> list[PictureOfTask]:
        """Return what people drew; a task that nobody annotated has no picture in it."""
        return [
            picture
            for task in self.tasks
            for annotation in task.chosen_annotations(every=every)
            for picture in self._drawn(
                task, annotation, warnings, annotation.id, task.prediction_of(annotation)
            )
        ]

    def predicted(self, warnings: Warnings, model_version: str | None) -> list[PictureOfTask]:
        """Return what was predicted, of each task the latest prediction.

        Raises:
            TasksError: The export names predictions by their ids only.
        """
        return [
            picture
            for task in self.tasks
            if (prediction := task.latest_prediction(model_version)) is not None
            for picture in self._drawn(task, prediction, warnings)
        ]

    def model_versions(self, model_version: str | None) -> list[str]:
        """Return the versions of the predictions that `predicted` takes."""
        latest = (task.latest_prediction(model_version) for task in self.tasks)
        return sorted({one.model_version or "unknown" for one in latest if one is not None})

    def _drawn(
        self,
        task: AnnotatedTask,
        work: Work,
        warnings: Warnings,
        annotation: int | None = None,
        made_from: Work | None = None,
    ) -> Iterator[PictureOfTask]:
        warn = warnings.about(task.id)
        drawn = read_people(work.result, self.meanings, warn, made_from and made_from.result)
        for picture in self._with_empty(task, drawn, warn):
            address = self.pictures.address(task.data, picture.image, picture.frame)
            yield PictureOfTask(task.id, annotation, address, picture)

    def _with_empty(
        self, task: AnnotatedTask, drawn: Sequence[AnnotatedPicture], warn: Warn
    ) -> list[AnnotatedPicture]:
        """Add the task's pictures on which others drew something, and this one nothing: nobody is in them."""
        others = [*task.annotations, *(one for one in task.predictions if isinstance(one, Work))]
        sizes = {
            picture: size
            for other in others
            for picture, size in picture_sizes(other.result, self.meanings).items()
        }
        there = {(picture.image, picture.frame) for picture in drawn}
        empty = [AnnotatedPicture(*key, size, ()) for key, size in sizes.items() if key not in there]
        if drawn or empty:
            return [*drawn, *empty]
        warn("nothing was ever drawn on it, so that the size of its picture is not known and given as 0")
        return [AnnotatedPicture(next(iter(self.pictures.values), ""), None, (0, 0), ())]


def load_project(project: int | None, export: Path | None, label_config: Path | None) -> AnnotatedProject:
    """Read what the options name.

    Raises:
        typer.BadParameter: They name nothing, or two things.
        TasksError: What they name cannot be read.
        LabelStudioApiError: Label Studio does not give it.
        SettingsError: It is not known where Label Studio is, or a setting is wrong.
    """
    if (project is None) == (export is None):
        raise typer.BadParameter("name one of them.", param_hint="--project / --export")
    if export is None:
        assert project is not None
        if label_config is not None:
            raise typer.BadParameter("a project brings its own.", param_hint="--label-config")
        return asyncio.run(_from_label_studio(project))
    tasks = read_export(export)
    if not tasks:
        raise TasksError(f"{export} has no tasks: export a project that has some.")
    if label_config is None:
        return AnnotatedProject(export.name, tasks, LabelMeanings(), PictureFields({}))
    try:
        xml = label_config_of_file(label_config)
    except LabelConfigProblemError as error:
        raise typer.BadParameter(str(error), param_hint="--label-config") from error
    return _project(export.name, tasks, xml)


def _project(title: str, tasks: Sequence[AnnotatedTask], xml: str) -> AnnotatedProject:
    try:
        return AnnotatedProject(
            title, tasks, LabelMeanings.of(parse_label_config(xml)), PictureFields.of(xml)
        )
    except LabelConfigError as error:
        raise TasksError(str(error)) from error


async def _from_label_studio(number: int) -> AnnotatedProject:
    url, credentials = label_studio_access(load_settings(), "to read a project, or use --export FILE")
    console = Console(stderr=True, highlight=False)

    def say(sentence: str) -> None:
        console.print(sentence, style="yellow", markup=False, soft_wrap=True)

    async with LabelStudioApi(url, credentials, on_outage=say) as api:
        project = await api.project(number)
        with console.status("Reading tasks"):
            items = [item async for item in api.annotated_tasks(number)]
    if not items:
        raise TasksError(f"Project {number} of {url} has no tasks.")
    return _project(f"{project.title} (project {number} of {url})", tasks_of(items), project.label_config)


READING_FAILED = (SettingsError, TasksError, LabelStudioApiError)
"""What ends a command with one sentence."""


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole, or end the command with a sentence."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        typer.echo(f"{path} cannot be written: {error.strerror}.", err=True)
        raise typer.Exit(1) from None
