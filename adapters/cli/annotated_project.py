"""The source of annotations for commands: a project through the API, or an export file."""

import asyncio
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from adapters.cli.console import warner
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
        help="Number of the Label Studio project (needs LABEL_STUDIO_URL, LABEL_STUDIO_API_TOKEN).",
    ),
]
ExportOption = Annotated[
    Path | None,
    typer.Option("--export", help="File from Label Studio's Export > JSON, instead of a project."),
]
LabelConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--label-config", help="File with the label config of the export; needed for custom label names."
    ),
]
ModelVersionOption = Annotated[
    str | None, typer.Option("--model-version", help="Use predictions of this version only.")
]


PredictionsOption = Annotated[
    bool,
    typer.Option("--predictions", help="Export the latest prediction of each task, not its annotation."),
]
AllAnnotationsOption = Annotated[
    bool,
    typer.Option(
        "--all-annotations",
        help="Export every annotation, each as its own image; by default the ground truth, or else the latest.",
    ),
]


@dataclass(frozen=True)
class Choice:
    """What of a project is exported.

    Attributes:
        predictions: The latest prediction of each task, not its annotation.
        model_version: Only predictions of this version.
        every: Every annotation of a task; by default the ground truth, or else the latest.
    """

    predictions: bool
    model_version: str | None
    every: bool

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            typer.BadParameter: They do.
        """
        if self.predictions and self.every:
            raise typer.BadParameter("do not use it with --predictions.", param_hint="--all-annotations")
        if self.model_version is not None and not self.predictions:
            raise typer.BadParameter("use it with --predictions only.", param_hint="--model-version")


@dataclass
class Warnings:
    """Collects warnings and prints each once."""

    _sentences: Counter[str] = field(default_factory=Counter[str])

    def about(self, task: int) -> Warn:
        """Return a function that adds a warning about a task."""

        def warn(sentence: str) -> None:
            self._sentences[f"Task {task}: {sentence}."] += 1

        return warn

    def show(self) -> None:
        """Print the first warnings to standard error, and the number of the others."""
        warn = warner(Console(stderr=True))
        for sentence, times in list(self._sentences.items())[:_WARNINGS_SHOWN]:
            warn(sentence + (f" ({times} times)" if times > 1 else ""))
        if len(self._sentences) > _WARNINGS_SHOWN:
            warn(f"… and {len(self._sentences) - _WARNINGS_SHOWN} more.")


@dataclass(frozen=True)
class AnnotatedProject:
    """Annotated tasks and the meanings of their labels.

    Attributes:
        title: Their source, for display.
        tasks: The tasks.
        meanings: The meanings of their labels.
        pictures: The fields with their pictures.
    """

    title: str
    tasks: Sequence[AnnotatedTask]
    meanings: LabelMeanings
    pictures: PictureFields

    def annotated(self, warnings: Warnings, *, every: bool) -> list[PictureOfTask]:
        """Return the annotated pictures; tasks without an annotation are ignored."""
        return [
            picture
            for task in self.tasks
            for annotation in task.chosen_annotations(every=every)
            for picture in self._drawn(
                task, annotation, warnings, annotation.id, task.prediction_of(annotation)
            )
        ]

    def predicted(self, warnings: Warnings, model_version: str | None) -> list[PictureOfTask]:
        """Return the pictures of each task's latest prediction.

        Raises:
            TasksError: The export names predictions by their ids only.
        """
        return [
            picture
            for task in self.tasks
            if (prediction := task.latest_prediction(model_version)) is not None
            for picture in self._drawn(task, prediction, warnings)
        ]

    def chosen(self, choice: Choice, warnings: Warnings) -> tuple[list[PictureOfTask], str]:
        """Return the pictures that are exported, and a description of them.

        Raises:
            TasksError: The export names predictions by their ids only.
        """
        if choice.predictions:
            versions = ", ".join(self.model_versions(choice.model_version)) or "none"
            pictures = self.predicted(warnings, choice.model_version)
            return pictures, f"Predictions ({versions}) for {self.title}"
        return self.annotated(warnings, every=choice.every), f"Annotations of {self.title}"

    def model_versions(self, model_version: str | None) -> list[str]:
        """Return the versions of the predictions that `predicted` returns."""
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
        """Add the task's pictures that have people in other annotations only, without people."""
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
        warn("no annotation has a region, so the size of its picture is unknown and written as 0")
        return [AnnotatedPicture(next(iter(self.pictures.values), ""), None, (0, 0), ())]


def load_project(project: int | None, export: Path | None, label_config: Path | None) -> AnnotatedProject:
    """Read the tasks of the project or export in the options.

    Raises:
        typer.BadParameter: The options name no source, or two.
        TasksError: The source cannot be read.
        LabelStudioApiError: Label Studio does not return it.
        SettingsError: LABEL_STUDIO_URL is not set, or a setting is wrong.
    """
    if (project is None) == (export is None):
        raise typer.BadParameter("give one of the two.", param_hint="--project / --export")
    if export is None:
        assert project is not None
        if label_config is not None:
            raise typer.BadParameter(
                "use it with --export only; a project has its own.", param_hint="--label-config"
            )
        return asyncio.run(_from_label_studio(project))
    tasks = read_export(export)
    if not tasks:
        raise TasksError(f"{export} has no tasks. Export a project with tasks.")
    if label_config is None:
        return AnnotatedProject(export.name, tasks, LabelMeanings(), PictureFields({}))
    return _project(export.name, tasks, label_config_in(label_config))


def label_config_in(path: Path) -> str:
    """Return the label config in the file of the option `--label-config`.

    Raises:
        typer.BadParameter: It cannot be read.
    """
    try:
        return label_config_of_file(path)
    except LabelConfigProblemError as error:
        raise typer.BadParameter(str(error), param_hint="--label-config") from error


def _project(title: str, tasks: Sequence[AnnotatedTask], xml: str) -> AnnotatedProject:
    try:
        return AnnotatedProject(
            title, tasks, LabelMeanings.of(parse_label_config(xml)), PictureFields.of(xml)
        )
    except LabelConfigError as error:
        raise TasksError(str(error)) from error


async def _from_label_studio(number: int) -> AnnotatedProject:
    url, credentials = label_studio_access(load_settings(), "to read a project, or use --export FILE")
    console = Console(stderr=True)
    async with LabelStudioApi(url, credentials, on_outage=warner(console)) as api:
        project = await api.project(number)
        with console.status("Reading tasks"):
            items = [item async for item in api.annotated_tasks(number)]
    if not items:
        raise TasksError(f"Project {number} of {url} has no tasks. Import some, or choose another project.")
    return _project(f"{project.title} (project {number} of {url})", tasks_of(items), project.label_config)


READING_FAILED = (SettingsError, TasksError, LabelStudioApiError)
"""Errors that end a command with a message instead of a traceback."""


@contextmanager
def writing(path: Path) -> Generator[None]:
    """End the command with a message if a file in the block, or the one at a path, cannot be written."""
    try:
        yield
    except OSError as error:
        typer.echo(f"{error.filename or path} cannot be written: {error.strerror}.", err=True)
        raise typer.Exit(1) from None


def write_text(path: Path, text: str) -> None:
    """Write a file, or end the command with a message."""
    with writing(path):
        path.write_text(text, "utf-8")
