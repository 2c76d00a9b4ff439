"""Folders for derived files, such as prepared networks.

They are beside the networks, or in the user's temporary folder if the model store is read-only.
"""

import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from runners.errors import ModelStoreError


def made_folders(store: Path) -> tuple[Path, ...]:
    """Return the folders for derived files in order of preference; they may not exist.

    Args:
        store: The folder of the model store.
    """
    own = (
        Path(tempfile.gettempdir()) / f"rtmlib-ml-backend-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    )
    # Files that other users can write are not loaded.
    return (store / "prepared", *((own,) if not own.exists() or _is_private(own) else ()))


def write_whole(folders: Sequence[Path], contents: Mapping[str, bytes]) -> Path:
    """Write files atomically into the first writable folder, and return that folder.

    Raises:
        ModelStoreError: No folder is writable.
    """
    failure: OSError | None = None
    for folder in folders:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, content in contents.items():
                _write(folder / name, content)
        except OSError as error:
            failure = error
        else:
            return folder
    where = " or ".join(str(folder) for folder in folders)
    raise ModelStoreError(
        f"Prepared networks cannot be written to {where} ({failure.strerror if failure else 'no folder'}). Make one of "
        "these folders writable."
    )


def _write(path: Path, content: bytes) -> None:
    unfinished, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(unfinished, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return mine and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
