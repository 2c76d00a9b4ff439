"""`rtmlib-backend models`: manages the networks' files without starting the service."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from runners.errors import ModelUnavailableError
from runners.models.digests import write_digests
from runners.models.manifest import MODES, ModelFile, ZipMember
from runners.models.own_networks import described, fetch_own, in_words, own_file, own_networks
from runners.models.store import FileState, ModelStore

STYLES: dict[FileState, str] = {"ok": "green", "missing": "yellow", "unverified": "yellow", "corrupt": "red"}

app = typer.Typer(help="List, fetch, check and pin the networks' files.", no_args_is_help=True)

CacheDir = Annotated[
    Path | None,
    typer.Option(envvar="MODEL_CACHE_DIR", help="Folder of the networks.", show_default="the cache folder"),
]
Digests = Annotated[
    Path | None,
    typer.Option(
        envvar="MODEL_DIGESTS", help="File of pinned digests; networks with other digests are not used."
    ),
]
DetectorModel = Annotated[
    str | None,
    typer.Option(envvar="DETECTOR_MODEL", help="Your own detector, as in the service's setting."),
]
PoseModel = Annotated[
    str | None,
    typer.Option(envvar="POSE_MODEL", help="Your own pose network, as in the service's setting."),
]
Mode = Annotated[str | None, typer.Option(help=f"Only this mode's networks: {', '.join(MODES)}.")]


@contextmanager
def _failures_said() -> Generator[None]:
    """End a command with the message of a network that is unavailable."""
    try:
        yield
    except ModelUnavailableError as error:
        raise _failure(str(error)) from error


@app.command("list")
@_failures_said()
def list_models(
    cache_dir: CacheDir = None,
    digests: Digests = None,
    mode: Mode = None,
    detector_model: DetectorModel = None,
    pose_model: PoseModel = None,
) -> None:
    """List the networks, their sources, and whether they are present."""
    store = ModelStore(cache_dir, digests=digests)
    table = Table("mode", title=f"Networks in {store.root}")
    table.add_column("name", overflow="fold")
    table.add_column("size")
    table.add_column("licence")
    table.add_column("source", overflow="fold")
    table.add_column("state")
    for name, model in [
        *_rows(mode),
        *(("own", own_file(own)) for own in own_networks(detector_model, pose_model)),
    ]:
        state = store.state(model)
        size = f"{model.size / 1e6:.1f} MB" if model.size else ""
        row = (name, model.name, size, model.licence, _source(model), f"[{STYLES[state]}]{state}[/]")
        table.add_row(*row)
    Console().print(table)
    for own in own_networks(detector_model, pose_model):
        try:
            typer.echo(f"{own}: {in_words(described(store, own))}")
        except ModelUnavailableError as error:
            typer.echo(str(error))


@app.command()
@_failures_said()
def pull(
    cache_dir: CacheDir = None,
    digests: Digests = None,
    mode: Mode = None,
    detector_model: DetectorModel = None,
    pose_model: PoseModel = None,
) -> None:
    """Fetch missing or damaged networks."""
    store = ModelStore(cache_dir, digests=digests)
    models = _models(mode)
    for own in own_networks(detector_model, pose_model):
        model = fetch_own(store, own)
        typer.echo(f"{own}: {in_words(model)}, #sha256={store.digest(model)}")
    store.ensure_all(models)
    typer.echo(f"All {len(models)} networks are in {store.root}.")


@app.command()
@_failures_said()
def verify(
    cache_dir: CacheDir = None,
    digests: Digests = None,
    mode: Mode = None,
    detector_model: DetectorModel = None,
    pose_model: PoseModel = None,
) -> None:
    """Compare every file with its digest; exit code 1 if one is missing or damaged."""
    store = ModelStore(cache_dir, digests=digests)
    models = [*_models(mode), *(own_file(own) for own in own_networks(detector_model, pose_model))]
    states = {model: store.state(model) for model in models}
    for model, state in states.items():
        typer.echo(f"{state:11}{store.path(model)}")
    if wrong := [model for model, state in states.items() if state != "ok"]:
        option = f" --cache-dir {cache_dir}" if cache_dir else ""
        raise _failure(
            f"{len(wrong)} of {len(models)} networks are missing, damaged or not yet verified. "
            f"Run `rtmlib-backend models pull{option}`."
        )


@app.command()
@_failures_said()
def pin(
    file: Annotated[Path, typer.Argument(help="The file to write.", dir_okay=False)],
    cache_dir: CacheDir = None,
    mode: Mode = None,
    detector_model: DetectorModel = None,
    pose_model: PoseModel = None,
) -> None:
    """Write the digests of the present networks to FILE; with MODEL_DIGESTS=FILE, no others are used."""
    store = ModelStore(cache_dir)
    models = [*_models(mode), *(own_file(own) for own in own_networks(detector_model, pose_model))]
    states = {model: store.state(model) for model in models}
    digests = {model.filename: store.digest(model) for model, state in states.items() if state == "ok"}
    for model, state in states.items():
        if model.filename not in digests:
            typer.echo(f"Not pinned, because it is {state}: {model.filename}", err=True)
    if not digests:
        raise _failure("No network is present. Run `rtmlib-backend models pull` first.")
    try:
        write_digests(file, digests, unfinished=file.with_name(f".{file.name}.unfinished"))
    except OSError as error:
        raise _failure(f"{file} cannot be written: {error.strerror}.") from error
    typer.echo(f"{file} pins {len(digests)} networks. Set MODEL_DIGESTS={file.resolve()}.")


def _source(model: ModelFile) -> str:
    if isinstance(model.source, ZipMember):
        return " or ".join(urlsplit(url).netloc for url in model.source.urls)
    return str(model.source)


def _rows(mode: str | None) -> list[tuple[str, ModelFile]]:
    """Each mode's networks, with the mode."""
    found = [(name, file) for name, files in MODES.items() if mode in (None, name) for file in files.values()]
    if not found:
        raise typer.BadParameter(f"{mode!r} is not one of {', '.join(MODES)}.", param_hint="--mode")
    return found


def _models(mode: str | None) -> list[ModelFile]:
    """Return the networks of the mode, or of all modes, each once."""
    return list(dict.fromkeys(model for _, model in _rows(mode)))


def _failure(message: str) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(1)
