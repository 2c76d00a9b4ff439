"""`rtmlib-backend export`: annotations or predictions in the form of another program."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

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
    writing,
)
from adapters.cli.preannotate import SOME_FAILED
from adapters.coco.document import PictureOfTask, coco_document, picture_names
from adapters.files.clips.visible import LOWEST_SCORE
from adapters.files.datasets import yolo_pose
from adapters.files.datasets.coco_variants import body_only, one_list, results
from adapters.files.datasets.csv_table import write_table
from adapters.files.datasets.pictures import Wanted, fetch_pictures
from adapters.files.datasets.plain_names import plain_stems
from adapters.files.poses import openpose
from adapters.settings import load_settings
from adapters.wiring import label_studio_credentials, picture_source


class DatasetFormat(StrEnum):
    """The formats of data sets."""

    COCO = "coco"
    COCO_RESULTS = "coco-results"
    COCO_17 = "coco17"
    MMPOSE = "mmpose"
    OPENPOSE = "openpose"
    YOLO_POSE = "yolo-pose"
    CSV = "csv"


_FOLDERS = {DatasetFormat.OPENPOSE, DatasetFormat.YOLO_POSE}


@dataclass(frozen=True)
class _Export:
    """What is exported.

    Attributes:
        pictures: The pictures with their people.
        annotated: Of a list of results, the annotated pictures, whose numbers it uses.
        description: Their source.
        with_scores: Whether they are predictions.
        warnings: Takes what is left out.
    """

    pictures: Sequence[PictureOfTask]
    annotated: Sequence[PictureOfTask]
    description: str
    with_scores: bool
    warnings: Warnings


def export(  # noqa: PLR0913 - the options of a command
    *,
    format: Annotated[DatasetFormat, typer.Option(help="The format; see docs/files.md.")],
    out: Annotated[
        Path, typer.Option(help="The file to write; with openpose and yolo-pose, a new or empty folder.")
    ],
    project: ProjectOption = None,
    export_file: ExportOption = None,
    label_config: LabelConfigOption = None,
    predictions: PredictionsOption = False,
    model_version: ModelVersionOption = None,
    all_annotations: AllAnnotationsOption = False,
    images: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Fetch the pictures into this folder too; yolo-pose has a folder of its own.",
        ),
    ] = None,
    validation: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the tasks for validation, with yolo-pose.")
    ] = 0.2,
) -> None:
    """Write a data set: annotations or predictions in the form of another program. See docs/files.md.

    Exit code 3: the data set is written, but some of its pictures could not be fetched.
    """
    choice = Choice(predictions, model_version, all_annotations)
    choice.check()
    _check_options(format, out, choice, images)
    warnings = Warnings()
    try:
        source = load_project(project, export_file, label_config)
        pictures, description = source.chosen(choice, warnings)
        listing = format is DatasetFormat.COCO_RESULTS
        # Their warnings belong to the export of the annotations.
        annotated = source.annotated(Warnings(), every=False) if listing else []
        what = _Export(pictures, annotated, description, predictions, warnings)
    except READING_FAILED as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    lacking = _write(what, format, out, images, validation)
    warnings.show()
    people = sum(len(one.drawn.people) for one in what.pictures)
    typer.echo(f"{out}: {len(what.pictures)} pictures, {people} people; {what.description}.", err=True)
    if lacking:
        typer.echo(
            f"{lacking} pictures could not be fetched. Run the command again, into a new folder.", err=True
        )
        raise typer.Exit(SOME_FAILED)


def _check_options(format: DatasetFormat, out: Path, choice: Choice, images: Path | None) -> None:
    if format is DatasetFormat.COCO_RESULTS and not choice.predictions:
        raise typer.BadParameter("coco-results are predictions: add --predictions.", param_hint="--format")
    if format in _FOLDERS and choice.every:
        raise typer.BadParameter(
            f"{format} has one file per picture, so one annotation.", param_hint="--all-annotations"
        )
    if format is DatasetFormat.YOLO_POSE and images is not None:
        raise typer.BadParameter("yolo-pose has its pictures in --out.", param_hint="--images")
    if format in _FOLDERS:
        _make_folder(out, "--out")
    elif not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.parent}.", param_hint="--out")
    if images is not None:
        _make_folder(images, "--images")


def _make_folder(folder: Path, option: str) -> None:
    """Make a folder: files of an earlier export in it would mix with the new ones."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        full = any(folder.iterdir())
    except OSError as error:
        raise typer.BadParameter(
            f"the folder {folder} cannot be made: {error.strerror}.", param_hint=option
        ) from error
    if full:
        raise typer.BadParameter(f"{folder} has files. Choose a new folder, or empty it.", param_hint=option)


def _write(what: _Export, format: DatasetFormat, out: Path, images: Path | None, validation: float) -> int:
    """Write the data set; return the number of pictures that could not be fetched."""
    if format is DatasetFormat.YOLO_POSE:
        return _write_yolo(what, out, validation)
    plain = plain_stems(what.pictures) if images is not None or format is DatasetFormat.OPENPOSE else []
    names, lacking = picture_names(what.pictures), 0
    if images is not None:
        files = _fetched(what, images, [images / stem for stem in plain])
        names = [file.name if file else stem for file, stem in zip(files, plain, strict=True)]
        lacking = len({stem for file, stem in zip(files, plain, strict=True) if file is None})
    match format:
        case DatasetFormat.OPENPOSE:
            for one, stem in zip(what.pictures, plain, strict=True):
                write_text(out / f"{stem}{openpose.ENDING}", json.dumps(_openpose(one)))
        case DatasetFormat.CSV:
            _write_csv(what, names, out)
        case _:
            write_text(out, json.dumps(_coco(what, format, names)))
    return lacking


def _coco(what: _Export, format: DatasetFormat, names: Sequence[str]) -> Any:
    document = coco_document(what.pictures, what.description, with_scores=what.with_scores, names=names)
    match format:
        case DatasetFormat.MMPOSE:
            return one_list(document)
        case DatasetFormat.COCO_17:
            return body_only(document)
        case DatasetFormat.COCO_RESULTS:
            listed, left_out = results(what.pictures, document, what.annotated)
            if left_out:
                typer.echo(f"{left_out} predicted pictures are not annotated, and left out.", err=True)
            return listed
        case _:
            return document


def _openpose(one: PictureOfTask) -> dict[str, Any]:
    people: list[dict[str, Any]] = []
    for number, person in enumerate(one.drawn.people):
        scores = np.where(person.visibility > 0, person.scores.clip(LOWEST_SCORE, 1), 0)
        people.append(openpose.person_fields(person.keypoints, scores, number))
    return openpose.document(people)


def _write_csv(what: _Export, names: Sequence[str], out: Path) -> None:
    with writing(out), out.open("w", encoding="utf-8", newline="") as file:
        write_table(file, what.pictures, names)


def _write_yolo(what: _Export, out: Path, share: float) -> int:
    chosen = yolo_pose.validation_tasks((one.task for one in what.pictures), share)
    stems = plain_stems(what.pictures)
    sides = [yolo_pose.VAL if one.task in chosen else yolo_pose.TRAIN for one in what.pictures]
    with writing(out):
        for side in (yolo_pose.TRAIN, yolo_pose.VAL):
            for kind in ("images", "labels"):
                (out / kind / side).mkdir(parents=True)
    files = _fetched(
        what, out, [out / "images" / side / stem for side, stem in zip(sides, stems, strict=True)]
    )
    for one, side, stem, file in zip(what.pictures, sides, stems, files, strict=True):
        if file is None:
            continue
        text, outside = yolo_pose.label_text(one.drawn)
        if outside:
            what.warnings.about(one.task)(f"{outside} keypoints outside of the picture are left out")
        write_text(out / "labels" / side / f"{stem}.txt", text)
    with writing(out):
        yolo_pose.write_description(out)
    return sum(file is None for file in files)


def _fetched(what: _Export, out: Path, targets: Sequence[Path]) -> list[Path | None]:
    """Fetch each picture once; return the file of each, or None."""
    wanted = {
        target: Wanted(one.address, one.task, target)
        for one, target in zip(what.pictures, targets, strict=True)
    }
    with writing(out):
        files = dict(zip(wanted, asyncio.run(_fetch([*wanted.values()])), strict=True))
    return [files[target] for target in targets]


async def _fetch(wanted: Sequence[Wanted]) -> list[Path | None]:
    settings, console = load_settings(), Console(stderr=True, highlight=False)

    def failed(picture: Wanted, why: str) -> None:
        console.print(f"Task {picture.task}: {why}", style="red", markup=False, soft_wrap=True)

    credentials = label_studio_credentials(settings)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("Fetching pictures", total=len(wanted))
        async with picture_source(settings, settings.picture_limits, credentials) as source:
            return await fetch_pictures(
                wanted,
                lambda address, task: source.fetch(address, task_id=task),
                failed,
                lambda: progress.advance(bar),
            )
