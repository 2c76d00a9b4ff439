"""Custom networks: from DETECTOR_MODEL and POSE_MODEL to described files in the model store.

A custom file is copied into the store under a name with the digest of the file or its address. So it cannot change
under a running service, and later stages treat it like the other networks. It is inspected once
(`runners.models.inspection`) in a child process: inspection takes memory, and a hostile file may crash the runtime.
"""

import hashlib
import logging
import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

import pydantic

from runners.config import DetectorKind
from runners.errors import ModelStoreError, OwnNetworkError
from runners.models.made_files import made_folders, write_whole
from runners.models.manifest import ModelFile, OwnFile
from runners.models.store import LARGEST_OWN_FILE, ModelStore
from runners.models.zip_archive import is_archive
from runners.startup.apart import CrashedError, run_apart

if TYPE_CHECKING:
    from runners.models.inspection import Description

logger = logging.getLogger(__name__)

OwnTask = Literal["person", "body"]
SETTINGS: dict[OwnTask, str] = {"person": "DETECTOR_MODEL", "body": "POSE_MODEL"}

INSPECTION_VERSION = 1
"""Part of the record names; records of another version are ignored."""
INSPECTION_LIMIT_S = 120

_PINNED = re.compile(r"(.*)#sha256=([^#]*)", re.DOTALL)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class OwnNetwork:
    """A custom network named by a setting.

    Attributes:
        task: The task of the network.
        source: The file.
        sha256: Expected digest of the .onnx file, also inside an archive; None to trust the first file.
    """

    task: OwnTask
    source: OwnFile
    sha256: str | None

    def __str__(self) -> str:
        """Return the setting, for messages."""
        return f"{SETTINGS[self.task]}={self.source}"


class _Record(pydantic.BaseModel):
    """The stored result of an inspection."""

    input_size: tuple[int, int]
    keypoints: int
    detector: DetectorKind
    one_by_one: bool


def own_networks(detector_model: str | None, pose_model: str | None) -> list[OwnNetwork]:
    """Return the custom networks of DETECTOR_MODEL and POSE_MODEL.

    Raises:
        OwnNetworkError: A setting is neither a path nor an address.
    """
    settings: dict[OwnTask, str | None] = {"person": detector_model, "body": pose_model}
    return [own_network(task, setting) for task, setting in settings.items() if setting]


def own_network(task: OwnTask, setting: str) -> OwnNetwork:
    """Parse a setting: a path or an http(s) address, optionally with `#sha256=<64 hexadecimal digits>`.

    Raises:
        OwnNetworkError: It is neither, or the digest is invalid.
    """
    pinned = _PINNED.fullmatch(setting.strip())
    place = (pinned[1] if pinned else setting).strip()
    sha256 = pinned[2].lower() if pinned else None
    name = SETTINGS[task]
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise OwnNetworkError(f"{name}: `#sha256=` must be followed by 64 hexadecimal digits.")
    if not _ADDRESS.match(place):
        # Processes may start in different folders.
        return OwnNetwork(task, OwnFile(Path(place).expanduser().absolute()), sha256)
    try:
        parts = urlsplit(place)
        usable = parts.scheme.lower() in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise OwnNetworkError(f"{name} is neither a path nor an http:// or https:// address.")
    return OwnNetwork(task, OwnFile(place), sha256)


def own_file(own: OwnNetwork) -> ModelFile:
    """Return the store's entry of a custom network, not yet described.

    Raises:
        OwnNetworkError: The path has no readable file, or its digest differs from the setting.
    """
    place = own.source.place
    if isinstance(place, Path):
        digest, packed = _looked_at(own, place)
        stem, key = place.stem, digest
        if not packed and own.sha256 not in (None, digest):
            raise OwnNetworkError(
                f"{own} has the digest {digest} instead of {own.sha256} in {SETTINGS[own.task]}. Correct the setting "
                "or the file."
            )
        sha256 = own.sha256 if packed else digest
    else:
        stem, key = Path(unquote(urlsplit(place).path)).stem, own.sha256 or _digest(place)
        sha256 = own.sha256
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-")[:80] or "network"
    return ModelFile(
        name=f"{readable}.{key[:12]}",
        task="person detection" if own.task == "person" else "keypoints",
        source=own.source,
        size=0,
        sha256=sha256,
        licence="its own",
        origin=str(own.source),
        paper="",
        input_size=(0, 0),
        keypoints=0,
    )


def fetch_own(store: ModelStore, own: OwnNetwork) -> ModelFile:
    """Fetch a custom network into the store, inspect it, and return its description.

    Raises:
        ModelUnavailableError: It cannot be fetched.
        OwnNetworkError: It does not fit its task.
    """
    file = own_file(own)
    path = store.ensure(file)
    try:
        return described(store, own)
    except ModelStoreError:
        try:
            found = _inspected(own, path)
        except OwnNetworkError:
            if isinstance(own.source.place, Path):  # a copy is cheap to repeat, a download is not
                path.unlink(missing_ok=True)
            raise
    record = _Record.model_validate(asdict(found))
    name = _record_name(own, file, store.digest(file))
    write_whole(made_folders(store.root), {name: record.model_dump_json().encode()})
    known = described(store, own)
    logger.info("%s: %s", own, in_words(known))
    return known


def described(store: ModelStore, own: OwnNetwork) -> ModelFile:
    """Return the description of a fetched custom network.

    Raises:
        ModelStoreError: It was not fetched or inspected yet.
        OwnNetworkError: See `own_file`.
    """
    file = own_file(own)
    name = _record_name(own, file, store.digest(file))
    for folder in made_folders(store.root):
        try:
            record = _Record.model_validate_json((folder / name).read_bytes())
        except (OSError, pydantic.ValidationError):
            continue
        return ModelFile(
            **{field: getattr(file, field) for field in _TAKEN_OVER},
            size=_size(store.path(file)),
            input_size=record.input_size,
            keypoints=record.keypoints,
            detector=record.detector,
            one_by_one=record.one_by_one,
        )
    raise ModelStoreError(f"{own} was not inspected yet. Run `rtmlib-backend models pull` first.")


def in_words(file: ModelFile) -> str:
    """Return the description of a custom network in words."""
    width, height = file.input_size
    if file.keypoints:
        return f"{file.keypoints} keypoints, input {width}×{height}"
    kinds: dict[DetectorKind, str] = {
        "yolox": "YOLOX",
        "yolox_raw": "YOLOX without suppression",
        "yolox_decoded": "YOLOX without suppression",
        "rtmdet": "RTMDet",
    }
    return f"{kinds[file.detector]}, input {width}×{height}"


_TAKEN_OVER = ("name", "task", "source", "sha256", "licence", "origin", "paper")


def _record_name(own: OwnNetwork, file: ModelFile, digest: str) -> str:
    # The file's name may give the input size.
    key = _digest(f"{own.task} {file.name} {digest}")[:16]
    return f"own-{key}.v{INSPECTION_VERSION}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _looked_at(own: OwnNetwork, path: Path) -> tuple[str, bool]:
    """Return the SHA-256 of a file, and whether it is an archive."""
    try:
        found = path.stat()
        if not path.is_file():
            raise OwnNetworkError(f"{own} is not a file.")
        if found.st_size > LARGEST_OWN_FILE:
            raise OwnNetworkError(
                f"{own} has {found.st_size / 1e9:.1f} GB, more than {LARGEST_OWN_FILE / 1e9:.1f} GB."
            )
        return _digest_of(path, found.st_mtime_ns, found.st_size, found.st_ino)
    except OSError as error:
        raise OwnNetworkError(f"{own} cannot be read: {error.strerror}.") from error


@lru_cache(maxsize=16)
def _digest_of(path: Path, _changed: int, _size: int, _inode: int) -> tuple[str, bool]:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest(), is_archive(path)


def _inspected(own: OwnNetwork, path: Path) -> "Description":
    try:
        found = run_apart(_inspect, path, own.task, limit_s=INSPECTION_LIMIT_S)
    except TimeoutError:
        found = f"its inspection timed out after {INSPECTION_LIMIT_S} s"
    except CrashedError:
        found = "it crashes ONNX Runtime"
    if isinstance(found, str):
        raise OwnNetworkError(f"{own} cannot be used: {found}.")
    return found


def _inspect(path: Path, task: OwnTask) -> "Description | str":
    # Imported here because the service does not need this module.
    from runners.models.inspection import UnfitNetworkError, inspect_network  # noqa: PLC0415

    try:
        return inspect_network(path, task)
    except UnfitNetworkError as error:
        return str(error)
    except MemoryError:
        return "it needs more memory than is available"
    except Exception as error:  # a hostile file may raise anything
        return f"its inspection failed ({type(error).__name__}: {error})"
