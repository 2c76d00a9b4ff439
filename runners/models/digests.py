"""Which digest each network must have, and who says so.

A file of digests is a JSON object, from the network's file name to the SHA-256 of the file.
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
    """Read a file of digests.

    Raises:
        ModelStoreError: It is missing, cannot be read, or holds something else.
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
    """Write a file of digests: a reader sees the old one or the new one, never a part.

    Args:
        path: The file.
        digests: What it says afterwards.
        unfinished: Where it is written first, in the same file system.
    """
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(digests, file, indent=2, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


class KnownDigests:
    """Digests that the user has pinned, else the manifest's, else those recorded on first use.

    Where there are pinned ones, nothing is recorded: a network that neither they nor the manifest name has no digest.

    Args:
        record: The file of recorded digests; made when it is needed.
        pins: The file of pinned digests, or None.

    Raises:
        ModelStoreError: The file of pinned digests cannot be used.
    """

    def __init__(self, record: Path, pins: Path | None) -> None:
        self._record = record
        self._pins_path = pins
        self._pins = None if pins is None else read_digests(pins)

    def of(self, model: ModelFile) -> str | None:
        """The digest that the network's file must have; None where nobody has said."""
        if pinned := (self._pins or {}).get(model.filename) or model.sha256:
            return pinned
        return self._recorded().get(model.filename) if self._pins is None else None

    def origin(self, model: ModelFile) -> str:
        """Who says so, for messages."""
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
        """Whether the first file that is seen of a network may be trusted."""
        return self._pins is None

    def record(self, model: ModelFile, digest: str, *, unfinished: Path) -> None:
        """Remember the digest of the first file that was seen; see `write_digests`."""
        write_digests(self._record, self._recorded() | {model.filename: digest}, unfinished=unfinished)

    def _recorded(self) -> dict[str, str]:
        return read_digests(self._record) if self._record.exists() else {}
