"""The SHA-256 digest that each network's file must have, and its origin.

A digest file is a JSON object: file name of the network to SHA-256.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pydantic

from runners.errors import ModelStoreError
from runners.models.manifest import ModelFile, WheelMember

_DIGESTS = pydantic.TypeAdapter(dict[str, str])
_SHA256 = re.compile("[0-9a-f]{64}")


def read_digests(path: Path) -> dict[str, str]:
    """Read a digest file.

    Raises:
        ModelStoreError: The file is missing, unreadable, or not a digest file.
    """
    try:
        digests = _DIGESTS.validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise ModelStoreError(f"The digests in {path} cannot be read: {error.strerror}.") from error
    except pydantic.ValidationError as error:
        raise ModelStoreError(
            f"{path} is not a JSON object of file names and digests. Correct it, or delete it and run "
            f"`rtmlib-backend models pin {path}`."
        ) from error
    if wrong := [name for name, digest in digests.items() if not _SHA256.fullmatch(digest)]:
        raise ModelStoreError(
            f"{path} has no valid SHA-256 digest (64 hexadecimal digits, lower case) for {wrong[0]}. Correct it."
        )
    return digests


def write_digests(path: Path, digests: Mapping[str, str], *, unfinished: Path) -> None:
    """Write a digest file atomically.

    Args:
        path: The file.
        digests: Its new content.
        unfinished: Temporary path in the same file system.
    """
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(digests, file, indent=2, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


class KnownDigests:
    """The user's pinned digests, else the manifest's, else those recorded on first use.

    With pinned digests nothing is recorded: a network in neither pins nor manifest has no digest.

    Args:
        record: File of recorded digests, created on first use.
        pins: File of pinned digests, or None.

    Raises:
        ModelStoreError: The pinned digests cannot be read.
    """

    def __init__(self, record: Path, pins: Path | None) -> None:
        self._record = record
        self._pins_path = pins
        self._pins = None if pins is None else read_digests(pins)

    def of(self, model: ModelFile) -> str | None:
        """Return the digest that the network's file must have, or None if unknown."""
        if pinned := (self._pins or {}).get(model.filename) or model.sha256:
            return pinned
        return self._recorded().get(model.filename) if self._pins is None else None

    def origin(self, model: ModelFile) -> str:
        """Return the origin of the digest, for messages."""
        if self._pins is not None and (model.filename in self._pins or model.sha256 is None):
            return f"pinned in {self._pins_path}"
        if model.sha256 is None:
            return (
                f"recorded in {self._record} when the file was first seen (delete its line there to trust another "
                "file)"
            )
        if isinstance(model.source, WheelMember) and model.source.tflite_outputs:
            return "known (the conversion is pinned too: install the locked versions of onnx and tflite)"
        return "known"

    def may_record(self) -> bool:
        """Tell whether a network's first file may be trusted."""
        return self._pins is None

    def record(self, model: ModelFile, digest: str, *, unfinished: Path) -> None:
        """Record the digest of a network's first file; see `write_digests`."""
        write_digests(self._record, self._recorded() | {model.filename: digest}, unfinished=unfinished)

    def _recorded(self) -> dict[str, str]:
        return read_digests(self._record) if self._record.exists() else {}
