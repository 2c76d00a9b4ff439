"""The files of prepared networks: made once from a verified file, kept, and made again when damaged."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from runners.models.made_files import made_folders, write_whole

logger = logging.getLogger(__name__)

PREPARATION_VERSION = 1
"""Goes into the files' names: files of another version are not used."""


BEFORE_THE_HEAD = ("before the head",)
"""Where to cut a detector whose tensors' names are not known: before the last convolutions."""


@dataclass(frozen=True)
class NetworkFiles:
    """What an engine loads.

    Attributes:
        prepared: Whether the graph was changed as `runners.graphs` says; otherwise it is the published one.
        files: The file, or its parts in order.
    """

    prepared: bool
    files: tuple[Path, ...]


class _Record(pydantic.BaseModel):
    """What was made of a network: the digests of its files by name, or why nothing could be made."""

    files: dict[str, str]
    refused: str = ""


@dataclass(frozen=True)
class NetworkSource:
    """A network as it was published.

    Attributes:
        task: What it looks for: `person` and `body` networks are prepared, any others are used as they are.
        file: Its verified file, in the folder of the model store.
        digest: The file's SHA-256.
        cuts: For each cut, the names of the tensors at which it is to be cut; none to leave it in one part.
    """

    task: str
    file: Path
    digest: str
    cuts: tuple[tuple[str, ...], ...] = ()

    @property
    def name(self) -> str:
        """Starts the names of what is made of it."""
        cut = f".cut-{hashlib.sha256(repr(self.cuts).encode()).hexdigest()[:8]}" if self.cuts else ""
        return f"{self.file.stem}.{self.digest[:12]}.v{PREPARATION_VERSION}{cut}"

    @property
    def is_used_as_it_is(self) -> bool:
        """Whether networks of this task are not prepared."""
        return self.task not in ("person", "body")


def network_files(source: NetworkSource) -> NetworkFiles:
    """Return the prepared files of a network; they are made if there are none, or if they are damaged.

    Returns:
        The prepared files, or the file as it is. The log says why where a network cannot be prepared.

    Raises:
        ModelStoreError: They can be written nowhere.
    """
    found = find_network_files(source)
    if found is None:
        folder, record = _make(source)
        found = _files(source, folder, record)
    return found


def find_network_files(source: NetworkSource) -> NetworkFiles | None:
    """Return the same where nothing has to be made for it, or None."""
    if source.is_used_as_it_is:
        return NetworkFiles(False, (source.file,))
    for folder in made_folders(source.file.parent):
        if (record := _intact(folder, source.name)) is not None:
            return _files(source, folder, record)
    return None


def _files(source: NetworkSource, folder: Path, record: _Record) -> NetworkFiles:
    if record.refused:
        logger.warning("%s is run as it was published: %s", source.file.name, record.refused)
        return NetworkFiles(False, (source.file,))
    return NetworkFiles(True, tuple(folder / part for part in record.files))


def _intact(folder: Path, name: str) -> _Record | None:
    try:
        record = _Record.model_validate_json((folder / f"{name}.json").read_bytes())
        for part, digest in record.files.items():
            if hashlib.sha256((folder / part).read_bytes()).hexdigest() != digest:
                logger.warning("%s is damaged: it is made again", folder / part)
                return None
    except (OSError, pydantic.ValidationError):
        return None
    return record


def _make(source: NetworkSource) -> tuple[Path, _Record]:
    # Here and nowhere else: a service whose networks are prepared has no use for these modules.
    import onnx  # noqa: PLC0415

    from runners.graphs.cutting import cut  # noqa: PLC0415
    from runners.graphs.editing import UnexpectedGraphError  # noqa: PLC0415
    from runners.graphs.simcc import prepare_simcc  # noqa: PLC0415
    from runners.graphs.yolox import head_features, prepare_yolox  # noqa: PLC0415

    model: Any = onnx.load(str(source.file))
    try:
        model = (prepare_yolox if source.task == "person" else prepare_simcc)(model)
        parts = [model]
        for tensors in source.cuts:
            parts[-1:] = cut(parts[-1], head_features(model) if tensors == BEFORE_THE_HEAD else tensors)
        for part in parts:
            onnx.checker.check_model(part)
    except (UnexpectedGraphError, onnx.checker.ValidationError) as error:
        contents, refused = {}, str(error).splitlines()[0]
    else:
        ends = ("",) if len(parts) == 1 else tuple(f".{i}" for i in range(len(parts)))
        named = zip(ends, parts, strict=True)
        contents = {f"{source.name}{end}.onnx": part.SerializeToString() for end, part in named}
        refused = ""
    record = _Record(
        files={part: hashlib.sha256(c).hexdigest() for part, c in contents.items()}, refused=refused
    )
    everything = {**contents, f"{source.name}.json": record.model_dump_json().encode()}
    return write_whole(made_folders(source.file.parent), everything), record
