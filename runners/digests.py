"""Files that say which digest each network has: what the model store recorded, and what a user has pinned.

A JSON object, from the network's file name to the SHA-256 of the file.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pydantic

from runners.errors import ModelStoreError

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
            f"{path} is not a JSON object of file names and digests: correct it, or delete it and run "
            f"`rtmlib-backend models pin {path}`."
        ) from error
    if wrong := [name for name, digest in digests.items() if not _SHA256.fullmatch(digest)]:
        raise ModelStoreError(
            f"{path} names for {wrong[0]} something other than a SHA-256 digest of 64 hexadecimal digits in lower case: "
            "correct it."
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
