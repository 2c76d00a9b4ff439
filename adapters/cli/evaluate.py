"""`rtmlib-backend evaluate`: how well predictions agree with annotations."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from adapters.cli.annotated_project import (
    READING_FAILED,
    ExportOption,
    LabelConfigOption,
    ModelVersionOption,
    ProjectOption,
    Warnings,
    load_project,
    write_text,
)
from adapters.coco.document import coco_document
from adapters.coco.evaluation import PCK_AT, PCK_THRESHOLDS, Evaluation, evaluate_pictures
from adapters.coco.plot import plot
from adapters.coco.reading import CocoError, read_coco, read_coco_file
from adapters.files.poses.reading import matching, read_poses

_OFFSETS_SHOWN = 10


def evaluate(  # noqa: PLR0913 - the options of a command
    *,
    project: ProjectOption = None,
    export: ExportOption = None,
    label_config: LabelConfigOption = None,
    model_version: ModelVersionOption = None,
    annotated: Annotated[
        Path | None,
        typer.Option(help="COCO JSON with annotations, instead of a project or an export."),
    ] = None,
    predicted: Annotated[
        Path | None,
        typer.Option(
            help="Predictions: COCO JSON or results, MMPose, or OpenPose (a folder); needs --annotated."
        ),
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="Number of worst pictures to list.")] = 10,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures and pictures to this file.")
    ] = None,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Draw precision and PCK to this SVG file.")
    ] = None,
) -> None:
    """Compare predictions with annotations: OKS-AP and PCK of each part, the worst pictures first."""
    if (annotated is None) != (predicted is None):
        raise typer.BadParameter("give both files.", param_hint="--annotated / --predicted")
    if annotated is not None:
        _refuse_with_files(
            project=project, export=export, label_config=label_config, model_version=model_version
        )
    warnings = Warnings()
    try:
        if annotated is not None and predicted is not None:
            title = f"{predicted.name} against {annotated.name}"
            truth = read_coco_file(annotated)
            evaluation = evaluate_pictures(truth, matching(read_poses(predicted, truth), truth))
        else:
            source = load_project(project, export, label_config)
            versions = ", ".join(source.model_versions(model_version)) or "no predictions"
            title = f"{versions} against the annotations of {source.title}"
            by_people = coco_document(source.annotated(warnings, every=False), "", with_scores=False)
            by_networks = coco_document(source.predicted(warnings, model_version), "", with_scores=True)
            evaluation = evaluate_pictures(read_coco(by_people), read_coco(by_networks))
    except (*READING_FAILED, CocoError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    warnings.show()
    if not evaluation.pictures:
        typer.echo(
            f"No picture has both an annotation and a prediction ({evaluation.not_predicted} annotated, "
            f"{evaluation.not_annotated} predicted).",
            err=True,
        )
        raise typer.Exit(1)
    if json_file is not None:
        write_text(json_file, json.dumps(_as_json(evaluation, title), indent=1) + "\n")
    if plot_file is not None:
        write_text(plot_file, plot(evaluation, title))
    _print(evaluation, title, worst)


def _refuse_with_files(**options: object) -> None:
    """Raise for an option that has no effect with COCO files."""
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(
                "use it with a project or an export only, not with COCO files (--annotated, --predicted).",
                param_hint=f"--{name.replace('_', '-')}",
            )


def _as_json(evaluation: Evaluation, title: str) -> dict[str, Any]:
    return {
        "title": title,
        "pck_at": PCK_AT,
        "pck_thresholds": [round(float(limit), 3) for limit in PCK_THRESHOLDS],
        **asdict(evaluation),
    }


def _print(evaluation: Evaluation, title: str, worst: int) -> None:
    console = Console(markup=False, highlight=False)  # names of files and projects may contain markup
    table = _table(title, "people", "points", "AP", "AP50", "AP75", "AR", f"PCK@{PCK_AT:g}", "median")
    for name, group in evaluation.groups.items():
        shares = (group.ap, group.ap50, group.ap75, group.ar, group.pck)
        table.add_row(
            name.replace("_", " "),
            str(group.people),
            str(group.keypoints),
            *(_share(share) for share in shares),
            "-" if group.median_distance is None else f"{100 * group.median_distance:.2f} %",
        )
    console.print(table)
    left_out = [
        f"{count} {what}"
        for count, what in (
            (evaluation.not_predicted, "annotated without a prediction"),
            (evaluation.not_annotated, "predicted without an annotation"),
        )
        if count
    ]
    compared = f"{len(evaluation.pictures)} pictures compared"
    console.print("; left out: ".join([compared, *([", ".join(left_out)] if left_out else [])]))
    _print_offsets(evaluation, console)
    shown = [picture for picture in evaluation.pictures if picture.agreement < 1][:worst]
    if not shown:
        return
    pictures = _table("Worst pictures", "people", "missed", "invented", "agreement", "task")
    for picture in shown:
        pictures.add_row(
            picture.file_name,
            str(picture.people),
            str(picture.missed),
            str(picture.invented),
            _share(picture.agreement),
            "-" if picture.task is None else str(picture.task),
        )
    console.print(pictures)


def _print_offsets(evaluation: Evaluation, console: Console) -> None:
    shown = [offset for offset in evaluation.offsets if offset.systematic][:_OFFSETS_SHOWN]
    if not shown:
        return
    table = _table("Systematic offsets", "people", "across", "down", "spread")
    for offset in shown:
        shares = (offset.across, offset.down)
        percents = (f"{100 * share:+.2f} %" for share in shares)
        table.add_row(offset.keypoint, str(offset.count), *percents, f"{100 * offset.spread:.2f} %")
    console.print(table)


def _table(title: str, *numbers: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"
