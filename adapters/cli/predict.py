"""`rtmlib-backend predict`: keypoints for pictures and clips, without a server."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from adapters.cli.predict_clip import ClipFiles, ClipOptions, ClipPrediction, Networks
from adapters.files.clips.opening import path_of
from adapters.files.clips.writer import ClipFileError, ClipFormat
from adapters.isolation.processes import IsolatedProcesses
from adapters.pictures.decoding.decode import decode
from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.source import PictureSource
from adapters.pictures.limits import PictureLimits
from adapters.pictures.overlay import draw_people
from adapters.settings import Settings, load_settings
from adapters.video.errors import VideoError
from adapters.wiring import label_studio_credentials, runner_config
from runners.pipeline import assemble_in_process
from runners.plan import fetch
from wholebody.estimation import InferenceError
from wholebody.person import Person
from wholebody.pipeline import find_people
from wholebody.schema import KEYPOINTS, PART_RANGES

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
CLIP_SUFFIXES = frozenset({".3gp", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})
CLIP_OVERLAY = ".mp4"
INTERRUPTED = 130
"""Exit code after Ctrl-C, as of a shell."""


@dataclass(frozen=True)
class Found:
    """The people in one picture."""

    name: str
    picture: NDArray[np.uint8]
    people: list[Person]


def predict(  # noqa: PLR0913 - the options of a command
    pictures: Annotated[
        list[str], typer.Argument(help="Files, folders or http(s) addresses of pictures and clips.")
    ],
    *,
    overlay: Annotated[
        Path | None,
        typer.Option(help="Draw the people: into this file, or into this folder if there are several."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON instead of a table: a line per picture, and per frame of a clip."
        ),
    ] = False,
    format: Annotated[
        list[ClipFormat] | None,
        typer.Option(help="Write a file of this format for each clip into the folder --out; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(file_okay=False, help="Folder of these files.")] = None,
    on_black: Annotated[
        bool, typer.Option("--on-black", help="Draw the people of clips on black, without the recording.")
    ] = False,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Keypoints of clips as found in each frame: not steadied, no gaps filled."
        ),
    ] = False,
    start: Annotated[float, typer.Option(min=0, help="Begin at this second of each clip.")] = 0.0,
    end: Annotated[float | None, typer.Option(min=0, help="End before this second of each clip.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Only every n-th frame of each clip.")] = 1,
) -> None:
    """Find the people in pictures and clips, and their keypoints.

    Ctrl-C stops it: files that are there are complete, and the same command continues with the next one.

    Exit code 0: all are done; 1: a picture or clip failed; 130: it was stopped.
    """
    settings = load_settings()
    names = list(_expanded(pictures))
    if not names:
        raise typer.BadParameter("they contain no pictures or clips.", param_hint="PICTURES")
    options = ClipOptions(as_json, raw, on_black, start, end, every, tuple(dict.fromkeys(format or ())), out)
    _check_clip_options(options, names, overlay)
    overlays = [None] * len(names) if overlay is None else _overlay_files(overlay, names)
    try:
        succeeded = asyncio.run(_predict_all(settings, names, overlays, options))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if not succeeded:
        raise typer.Exit(1)


def _check_clip_options(options: ClipOptions, names: Sequence[str], overlay: Path | None) -> None:
    if options != ClipOptions(as_json=options.as_json) and not any(map(_is_clip, names)):
        raise typer.BadParameter("the options for clips need one.", param_hint="PICTURES")
    if bool(options.formats) != (options.out is not None):
        raise typer.BadParameter("--format and --out belong together.", param_hint="--format")
    if options.on_black and overlay is None:
        raise typer.BadParameter("name a file or folder with --overlay.", param_hint="--on-black")
    if options.end is not None and options.end <= options.start:
        raise typer.BadParameter("it must be later than --start.", param_hint="--end")
    if options.out is not None:
        _make_folder(options.out, "--out")


def _expanded(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        if not name:
            raise typer.BadParameter("one of the names is empty.", param_hint="PICTURES")
        path = Path(name)
        try:
            files = sorted(path.iterdir()) if path.is_dir() else None
        except OSError as error:
            raise typer.BadParameter(
                f"the folder {name} cannot be read: {error.strerror}.", param_hint="PICTURES"
            ) from error
        if files is None:
            yield name
        else:
            yield from (str(file) for file in files if file.suffix.lower() in SUFFIXES | CLIP_SUFFIXES)


def _overlay_files(overlay: Path, names: Sequence[str]) -> list[Path | None]:
    """Return each input's overlay file."""
    if (ending := overlay.suffix.lower()) in SUFFIXES | {CLIP_OVERLAY}:
        if len(names) > 1:
            raise typer.BadParameter(
                "name a folder when there are several pictures or clips.", param_hint="--overlay"
            )
        if (ending == CLIP_OVERLAY) != _is_clip(names[0]):
            raise typer.BadParameter(
                "a clip is drawn into .mp4, a picture into .png.", param_hint="--overlay"
            )
        if not overlay.absolute().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {overlay.parent}.", param_hint="--overlay")
        return [overlay]
    _make_folder(overlay, "--overlay")
    return [
        overlay / f"{stem}{CLIP_OVERLAY if _is_clip(name) else '.png'}"
        for stem, name in zip(_stems(names), names, strict=True)
    ]


def _make_folder(folder: Path, option: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(
            f"the folder {folder} cannot be created: {error.strerror}.", param_hint=option
        ) from error


def _stems(names: Sequence[str]) -> list[str]:
    """Return a file name for each input; inputs of the same name, from several folders, get numbers."""
    stems: list[str] = []
    for name in names:
        stem = free = _stem(name)
        number = 2
        while free in stems:
            free, number = f"{stem}-{number}", number + 1
        stems.append(free)
    return stems


def _stem(name: str) -> str:
    if name.lower().startswith("data:"):
        return "picture"
    return Path(_parts(name).path if _is_address(name) else name).stem or "picture"


def _is_clip(name: str) -> bool:
    path = _parts(name).path if _is_address(name) else name
    return Path(path).suffix.lower() in CLIP_SUFFIXES


def _parts(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # such as half an IPv6 address; the fetch reports it
        return urlsplit("")


async def _predict_all(
    settings: Settings, names: Sequence[str], overlays: Sequence[Path | None], options: ClipOptions
) -> bool:
    plan = await asyncio.to_thread(fetch, runner_config(settings))
    detector, estimator = await asyncio.to_thread(assemble_in_process, plan)
    console = Console(stderr=True)
    clips = sum(map(_is_clip, names))
    failed = frames = 0
    async with (
        _source(settings, names, settings.picture_limits) as source,
        _source(settings, names, settings.video_limits) as clip_source,
        IsolatedProcesses() as processes,
    ):
        networks = Networks(detector, estimator, plan.version)
        clip_prediction = ClipPrediction(networks, settings, options, processes, console)
        for name, stem, overlay in track(
            list(zip(names, _stems(names), overlays, strict=True)),
            "Finding people",
            console=console,
            disable=len(names) == 1 or clips > 0,  # a clip has its own bar
            transient=True,
        ):
            try:
                if _is_clip(name):
                    files = ClipFiles(stem, overlay)
                    if len(names) > 1 and (there := _all_there(files, options)):
                        console.print(f"{name}: done before. Remove {there} to do it again.", markup=False)
                        continue
                    data = await clip_source.fetch(name) if _is_address(name) else Path(name)
                    frames += await clip_prediction.predict(name, data, files)
                    continue
                picture = await asyncio.to_thread(
                    decode, await _read(name, source, settings), max_pixels=settings.max_image_pixels
                )
            except (PictureError, VideoError, ClipFileError, InferenceError, OSError) as error:
                failed += 1
                reason = error.strerror if isinstance(error, OSError) else str(error)
                console.print(f"{name}: {reason}", style="red", markup=False, highlight=False, soft_wrap=True)
                continue
            found = Found(name, picture, await find_people(picture, detector, estimator))
            typer.echo(_json(found, plan.version)) if options.as_json else _print_table(
                found, settings.confidence_threshold
            )
            if overlay is not None:
                _write_overlay(found, overlay, settings.confidence_threshold)
    if clips and len(names) > 1:
        console.print(
            f"{len(names)} inputs, {clips} of them clips: {frames} frames predicted, {failed} failed.",
            highlight=False,
        )
    return not failed


def _all_there(files: ClipFiles, options: ClipOptions) -> Path | None:
    """Return a clip's file if all that it is predicted for are there: they are complete."""
    wanted = [
        path_of(format, options.out, files.stem) for format in options.formats if options.out is not None
    ]
    wanted += [files.overlay] if files.overlay is not None else []
    done = bool(wanted) and not options.as_json and all(path.exists() for path in wanted)
    return wanted[0] if done else None


@asynccontextmanager
async def _source(
    settings: Settings, names: Sequence[str], limits: PictureLimits
) -> AsyncGenerator[PictureSource]:
    # The user typed these addresses, so their hosts are allowed, also in a private network.
    hosts = {host for name in names if _is_address(name) and (host := _parts(name).hostname)}
    async with PictureSource(
        label_studio_url=settings.label_studio_url,
        label_studio_aliases=settings.label_studio_aliases,
        proxy=settings.image_proxy.get_secret_value() if settings.image_proxy else None,
        credentials=label_studio_credentials(settings),
        allowed_hosts=[*settings.allowed_image_hosts, *hosts],
        local_files_root=None,
        limits=limits,
    ) as source:
        yield source


def _is_address(name: str) -> bool:
    return name.lower().startswith(("http://", "https://", "data:"))


async def _read(name: str, source: PictureSource, settings: Settings) -> bytes:
    if _is_address(name):
        return await source.fetch(name)
    return await asyncio.to_thread(_read_file, Path(name), settings.max_image_bytes)


def _read_file(path: Path, max_bytes: int) -> bytes:
    if path.stat().st_size > max_bytes:
        raise PictureError("too_large", f"The file is larger than MAX_IMAGE_BYTES={max_bytes}.")
    return path.read_bytes()


def _json(found: Found, version: str) -> str:
    people: list[dict[str, Any]] = [
        {
            "box": [round(float(edge), 2) for edge in person.box],
            "score": round(person.box_score, 4),
            "keypoints": {
                keypoint.name: [round(float(x), 2), round(float(y), 2), round(float(score), 4)]
                for keypoint, (x, y), score in zip(KEYPOINTS, person.keypoints, person.scores, strict=True)
                if score > 0
            },
        }
        for person in found.people
    ]
    height, width = found.picture.shape[:2]
    return json.dumps(
        {"picture": found.name, "width": width, "height": height, "model_version": version, "people": people}
    )


def _print_table(found: Found, threshold: float) -> None:
    title = f"{found.name}: {len(found.people)} {'person' if len(found.people) == 1 else 'people'}"
    table = Table(
        "box (x1 y1 x2 y2)", "score", *(part.replace("_", " ") for part in PART_RANGES), title=title
    )
    for person in found.people:
        seen = person.scores >= max(threshold, np.finfo(np.float32).tiny)
        parts = [f"{int(seen[list(indices)].sum())}/{len(indices)}" for indices in PART_RANGES.values()]
        box = " ".join(f"{float(edge):.0f}" for edge in person.box)
        table.add_row(box, f"{person.box_score:.2f}", *parts)
    Console().print(table)


def _write_overlay(found: Found, target: Path, threshold: float) -> None:
    drawn = draw_people(found.picture, found.people, threshold)
    if not cv2.imwrite(str(target), drawn):
        raise typer.BadParameter(f"{target} cannot be written.", param_hint="--overlay")
