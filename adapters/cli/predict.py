"""`rtmlib-backend predict`: keypoints for pictures, without a server."""

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

from adapters.pictures.decoding.decode import decode
from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.source import PictureSource
from adapters.pictures.overlay import draw_people
from adapters.settings import Settings, load_settings
from adapters.wiring import label_studio_credentials, runner_config
from runners.pipeline import assemble_in_process
from runners.plan import fetch
from wholebody.person import Person
from wholebody.pipeline import find_people
from wholebody.schema import KEYPOINTS, PART_RANGES

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class Found:
    """The people in one picture."""

    name: str
    picture: NDArray[np.uint8]
    people: list[Person]


def predict(
    pictures: Annotated[list[str], typer.Argument(help="Files, folders or http(s) addresses.")],
    overlay: Annotated[
        Path | None,
        typer.Option(
            help="Draw the people: into this file, or into this folder if there are several pictures."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one line per picture, instead of a table.")
    ] = False,
) -> None:
    """Find the people in pictures and their keypoints; exit code 1 if a picture failed."""
    settings = load_settings()
    names = list(_expanded(pictures))
    if not names:
        raise typer.BadParameter("they contain no pictures.", param_hint="PICTURES")
    if overlay is not None and len(names) > 1 and overlay.suffix.lower() in SUFFIXES:
        raise typer.BadParameter("name a folder when there are several pictures.", param_hint="--overlay")
    if overlay is not None and overlay.suffix.lower() in SUFFIXES and not overlay.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {overlay.parent}.", param_hint="--overlay")
    overlays = [None] * len(names) if overlay is None else _overlay_files(overlay, names)
    if not asyncio.run(_predict_all(settings, names, overlays, as_json)):
        raise typer.Exit(1)


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
            yield from (str(file) for file in files if file.suffix.lower() in SUFFIXES)


def _overlay_files(overlay: Path, names: Sequence[str]) -> list[Path]:
    """Return each picture's overlay file; pictures of the same name, from several folders, get numbers."""
    if overlay.suffix.lower() in SUFFIXES:
        return [overlay]
    try:
        overlay.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(
            f"the folder {overlay} cannot be created: {error.strerror}.", param_hint="--overlay"
        ) from error
    stems: list[str] = []
    for name in names:
        stem = free = _stem(name)
        number = 2
        while free in stems:
            free, number = f"{stem}-{number}", number + 1
        stems.append(free)
    return [overlay / f"{stem}.png" for stem in stems]


def _stem(name: str) -> str:
    if name.lower().startswith("data:"):
        return "picture"
    return Path(_parts(name).path if _is_address(name) else name).stem or "picture"


def _parts(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # such as half an IPv6 address; the fetch reports it
        return urlsplit("")


async def _predict_all(
    settings: Settings, names: Sequence[str], overlays: Sequence[Path | None], as_json: bool
) -> bool:
    plan = await asyncio.to_thread(fetch, runner_config(settings))
    detector, estimator = await asyncio.to_thread(assemble_in_process, plan)
    console = Console(stderr=True)
    succeeded = True
    async with _source(settings, names) as source:
        for name, overlay in track(
            list(zip(names, overlays, strict=True)),
            "Finding people",
            console=console,
            disable=len(names) == 1,
            transient=True,
        ):
            try:
                picture = await asyncio.to_thread(
                    decode, await _read(name, source, settings), max_pixels=settings.max_image_pixels
                )
            except (PictureError, OSError) as error:
                succeeded = False
                reason = error.strerror if isinstance(error, OSError) else str(error)
                console.print(f"{name}: {reason}", style="red", markup=False, highlight=False, soft_wrap=True)
                continue
            found = Found(name, picture, await find_people(picture, detector, estimator))
            typer.echo(_json(found, plan.version)) if as_json else _print_table(
                found, settings.confidence_threshold
            )
            if overlay is not None:
                _write_overlay(found, overlay, settings.confidence_threshold)
    return succeeded


@asynccontextmanager
async def _source(settings: Settings, names: Sequence[str]) -> AsyncGenerator[PictureSource]:
    # The user typed these addresses, so their hosts are allowed, also in a private network.
    hosts = {host for name in names if _is_address(name) and (host := _parts(name).hostname)}
    async with PictureSource(
        label_studio_url=settings.label_studio_url,
        label_studio_aliases=settings.label_studio_aliases,
        proxy=settings.image_proxy.get_secret_value() if settings.image_proxy else None,
        credentials=label_studio_credentials(settings),
        allowed_hosts=[*settings.allowed_image_hosts, *hosts],
        local_files_root=None,
        limits=settings.picture_limits,
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
