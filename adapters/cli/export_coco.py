"""`rtmlib-backend export-coco`: annotations or predictions as COCO-WholeBody JSON."""

import json
from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.annotated_project import (
    READING_FAILED,
    AllAnnotationsOption,
    Choice,
    ExportOption,
    LabelConfigOption,
    ModelVersionOption,
    PredictionsOption,
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
    predictions: PredictionsOption = False,
    model_version: ModelVersionOption = None,
    all_annotations: AllAnnotationsOption = False,
) -> None:
    """Write COCO-WholeBody JSON: each person with body, feet, face and hands. See docs/evaluation.md."""
    choice = Choice(predictions, model_version, all_annotations)
    choice.check()
    warnings = Warnings()
    try:
        pictures, description = load_project(project, export, label_config).chosen(choice, warnings)
    except READING_FAILED as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    document = coco_document(pictures, description, with_scores=predictions)
    write_text(output, json.dumps(document))
    warnings.show()
    people = len(document["annotations"])
    typer.echo(f"{output}: {len(pictures)} pictures, {people} people; {description}.", err=True)
