"""The files of prepared networks: made once from a verified file, and again if damaged."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from runners.models.made_files import made_folders, write_whole
from runners.plan import PlannedNetwork

logger = logging.getLogger(__name__)

PREPARATION_VERSION = 1
"""Part of the file names; files of another version are ignored."""


@dataclass(frozen=True)
class NetworkFiles:
    """The files that an engine loads.

    Attributes:
        prepared: Whether the graph is prepared; else it is the published one.
        files: The file, or its parts in order.
    """

    prepared: bool
    files: tuple[Path, ...]


class _Record(pydantic.BaseModel):
    """The stored result of a preparation: digests by file name, or the reason why it failed."""

    files: dict[str, str]
    refused: str = ""


def network_files(network: PlannedNetwork) -> NetworkFiles:
    """Return the files of a network; prepare it first if they are missing or damaged.

    Returns:
        The prepared files, or the published file if the network cannot be prepared; the reason is logged.

    Raises:
        ModelStoreError: No folder for prepared files is writable.
    """
    found = find_network_files(network)
    if found is None:
        folder, record = _make(network)
        found = _files(network, folder, record)
    return found


def find_network_files(network: PlannedNetwork) -> NetworkFiles | None:
    """Return the files of a network, or None if it must be prepared first."""
    if not _is_prepared(network):
        return NetworkFiles(False, (network.path,))
    for folder in made_folders(network.path.parent):
        if (record := _intact(folder, _stem(network))) is not None:
            return _files(network, folder, record)
    return None


def _is_prepared(network: PlannedNetwork) -> bool:
    """Tell whether a network is of a kind that can be prepared."""
    return (
        network.name in ("person", "body")
        and network.file.detector == "yolox"
        and not network.file.one_by_one
    )


def _stem(network: PlannedNetwork) -> str:
    """Return the stem of a network's prepared files."""
    cut = ".cut" if network.precision == "mixed" else ""
    return f"{network.path.stem}.{network.digest[:12]}.v{PREPARATION_VERSION}{cut}"


def _files(network: PlannedNetwork, folder: Path, record: _Record) -> NetworkFiles:
    if record.refused:
        logger.warning("%s runs unprepared: %s", network.path.name, record.refused)
        return NetworkFiles(False, (network.path,))
    return NetworkFiles(True, tuple(folder / part for part in record.files))


def _intact(folder: Path, name: str) -> _Record | None:
    try:
        record = _Record.model_validate_json((folder / f"{name}.json").read_bytes())
        for part, digest in record.files.items():
            if hashlib.sha256((folder / part).read_bytes()).hexdigest() != digest:
                logger.warning("%s is damaged; preparing it again", folder / part)
                return None
    except (OSError, pydantic.ValidationError):
        return None
    return record


def _make(network: PlannedNetwork) -> tuple[Path, _Record]:
    # Imported here because the service does not need these modules once its networks are prepared.
    import onnx  # noqa: PLC0415

    from runners.graphs.cutting import cut  # noqa: PLC0415
    from runners.graphs.editing import UnexpectedGraphError  # noqa: PLC0415
    from runners.graphs.simcc import prepare_simcc  # noqa: PLC0415
    from runners.graphs.yolox import head_features, prepare_yolox  # noqa: PLC0415

    model: Any = onnx.load(str(network.path))
    try:
        model = (prepare_yolox if network.name == "person" else prepare_simcc)(model)
        parts = cut(model, head_features(model)) if network.precision == "mixed" else (model,)
        for part in parts:
            onnx.checker.check_model(part)
    except (UnexpectedGraphError, onnx.checker.ValidationError) as error:
        contents, refused = {}, str(error).splitlines()[0]
    else:
        ends = ("",) if len(parts) == 1 else tuple(f".{i}" for i in range(len(parts)))
        named = zip(ends, parts, strict=True)
        contents = {f"{_stem(network)}{end}.onnx": part.SerializeToString() for end, part in named}
        refused = ""
    record = _Record(
        files={part: hashlib.sha256(c).hexdigest() for part, c in contents.items()}, refused=refused
    )
    everything = {**contents, f"{_stem(network)}.json": record.model_dump_json().encode()}
    return write_whole(made_folders(network.path.parent), everything), record
