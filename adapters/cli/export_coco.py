"""`rtmlib-backend export-coco`: annotations or predictions as COCO-WholeBody JSON."""

import json
from pathlib import Path
from typing import Annotated

import typer

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


def export_coco(  # noqa: PLR0913 - the options of a command
    output: Annotated[Path, typer.Argument(help="The file to write.")],
    *,
    project: ProjectOption = None,
    export: ExportOption = None,
    label_config: LabelConfigOption = None,
    predictions: Annotated[
        bool,
        typer.Option("--predictions", help="Export the latest prediction of each task, not its annotation."),
    ] = False,
    model_version: ModelVersionOption = None,
    all_annotations: Annotated[
        bool,
        typer.Option(
            "--all-annotations",
            help="Export every annotation, each as its own image; by default the ground truth, or else the latest.",
        ),
    ] = False,
) -> None:
    """Write COCO-WholeBody JSON: each person with body, feet, face and hands. See docs/evaluation.md."""
    if predictions and all_annotations:
        raise typer.BadParameter("do not use it with --predictions.", param_hint="--all-annotations")
    if model_version is not None and not predictions:
        raise typer.BadParameter("use it with --predictions only.", param_hint="--model-version")
    warnings = Warnings()
    try:
        source = load_project(project, export, label_config)
        if predictions:
            versions = ", ".join(source.model_versions(model_version)) or "none"
            pictures = source.predicted(warnings, model_version)
            description = f"Predictions ({versions}) for {source.title}"
        else:
            pictures = source.annotated(warnings, every=all_annotations)
            description = f"Annotations of {source.title}"
    except READING_FAILED as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    document = coco_document(pictures, description, with_scores=predictions)
    write_text(output, json.dumps(document))
    warnings.show()
    people = len(document["annotations"])
    typer.echo(f"{output}: {len(pictures)} pictures, {people} people; {description}.", err=True)
