"""`rtmlib-backend check-labels`: annotations that are probably wrong."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from adapters.cli.annotated_project import (
    READING_FAILED,
    ExportOption,
    LabelConfigOption,
    ProjectOption,
    Warnings,
    label_config_in,
    write_text,
)
from adapters.cli.console import warner
from adapters.coco.reading import CocoError, read_coco_file
from adapters.label_checks.column import SCORE_FIELD, ColumnTakenError, verdicts, write_column
from adapters.label_checks.reading import AnnotationToCheck, annotations_of_file, annotations_of_task
from adapters.label_checks.report import Report, Suspicion, check, most_suspicious_first
from adapters.label_studio.annotations.tasks import TasksError, exported_tasks, task_of
from adapters.label_studio.client.api import LabelStudioApi
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.tree import LabelConfigError
from adapters.settings import load_settings
from adapters.wiring import label_studio_access


def check_labels(  # noqa: PLR0913 - the options of a command
    *,
    project: ProjectOption = None,
    export: ExportOption = None,
    label_config: LabelConfigOption = None,
    annotated: Annotated[
        Path | None,
        typer.Option(help="COCO-WholeBody JSON with annotations, instead of a project or an export."),
    ] = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help=f"Write the score of each task to the field {SCORE_FIELD} of its data. Needs --project.",
        ),
    ] = False,
    show: Annotated[int, typer.Option(min=0, help="Number of mistakes to list.")] = 50,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all probable mistakes to this file.")
    ] = None,
) -> None:
    """List annotations that are probably wrong, the most suspicious first. See docs/label-checks.md."""
    if sum(source is not None for source in (project, export, annotated)) != 1:
        raise typer.BadParameter("give one of the three.", param_hint="--project / --export / --annotated")
    if write and project is None:
        raise typer.BadParameter("use it with --project only.", param_hint="--write")
    if label_config is not None and export is None:
        raise typer.BadParameter("use it with --export only.", param_hint="--label-config")
    warnings = Warnings()
    try:
        if project is not None:
            report = asyncio.run(_of_project(project, write, warnings))
        elif export is not None:
            report = _of_export(export, label_config, warnings)
        else:
            assert annotated is not None
            report = _of_coco(annotated)
    except (*READING_FAILED, CocoError, ColumnTakenError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    warnings.show()
    if json_file is not None:
        write_text(json_file, json.dumps(_as_json(report), indent=1) + "\n")
    _print(report, show)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


async def _of_project(number: int, write: bool, warnings: Warnings) -> Report:
    url, credentials = label_studio_access(load_settings(), "to read a project, or use --export FILE")
    async with LabelStudioApi(url, credentials, on_outage=warner(Console(stderr=True))) as api:
        project = await api.project(number)
        meanings = _meanings(project.label_config)
        with _progress() as progress:
            bar = progress.add_task("Checking", total=project.tasks or None)
            parts: list[Report] = []
            async for annotations in _annotations(api, number, meanings, warnings):
                parts.append(await asyncio.to_thread(check, annotations))
                progress.advance(bar)
        report = _joined(parts)
        if write:
            with _progress() as progress:
                bar = progress.add_task("Writing", total=len(report.tasks))
                async for _ in write_column(api, number, verdicts(report)):
                    progress.advance(bar)
    return report


async def _annotations(
    api: LabelStudioApi, project: int, meanings: LabelMeanings, warnings: Warnings
) -> AsyncGenerator[list[AnnotationToCheck]]:
    """Yield the annotations of each task of a project."""
    position = 0
    async for item in api.annotated_tasks(project):
        task = task_of(item, position)
        position += 1
        yield list(annotations_of_task(task, meanings, warnings.about(task.id)))


def _of_export(export: Path, label_config: Path | None, warnings: Warnings) -> Report:
    meanings = LabelMeanings() if label_config is None else _meanings(label_config_in(label_config))
    with _progress() as progress:
        bar = progress.add_task("Checking", total=None)

        def annotations() -> Iterator[AnnotationToCheck]:
            for task in exported_tasks(export):
                yield from annotations_of_task(task, meanings, warnings.about(task.id))
                progress.advance(bar)

        return check(annotations())


def _of_coco(annotated: Path) -> Report:
    pictures = read_coco_file(annotated)
    with _progress() as progress:
        return check(progress.track(list(annotations_of_file(pictures)), description="Checking"))


def _meanings(label_config: str) -> LabelMeanings:
    try:
        return LabelMeanings.of(parse_label_config(label_config))
    except LabelConfigError as error:
        raise TasksError(str(error)) from error


def _joined(reports: Sequence[Report]) -> Report:
    return Report(
        sum(one.annotations for one in reports),
        sum(one.people for one in reports),
        most_suspicious_first([found for one in reports for found in one.suspicions]),
        tuple(task for one in reports for task in one.tasks),
    )


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "annotations": report.annotations,
        "people": report.people,
        "suspicions": [asdict(one) for one in report.suspicions],
    }


def _print(report: Report, show: int) -> None:
    console = Console(markup=False, highlight=False)  # names of files and people may contain markup
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading, justify in (("score", "right"), ("task", "right"), ("annotation", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # pyright: ignore[reportArgumentType] - a literal
    for heading in ("picture", "people", "reason"):
        table.add_column(heading, overflow="fold")
    for one in report.suspicions[:show]:
        table.add_row(
            f"{one.score:.2f}",
            _number(one.task),
            _number(one.annotation),
            _picture(one),
            ", ".join(one.people),
            one.reason,
        )
    if report.suspicions[:show]:
        console.print(table)
    more = len(report.suspicions) - show
    counts = f"{report.people} people in {report.annotations} annotations checked"
    listed = f"; {more} more" if more > 0 else ""
    console.print(f"{counts}: {len(report.suspicions)} probable mistakes{listed}.")


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)


def _picture(one: Suspicion) -> str:
    return one.image if one.frame is None else f"{one.image}, frame {one.frame}"
