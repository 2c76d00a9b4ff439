"""Where files lie that were made here and can be made again.

Beside the networks, or where their folder is read-only, in a folder of this user's own among the temporary files.
"""

import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from runners.errors import ModelStoreError


def made_folders(store: Path) -> tuple[Path, ...]:
    """Return the folders that such files may lie in, the better one first. Neither need exist.

    Args:
        store: The folder of the model store.
    """
    own = (
        Path(tempfile.gettempdir()) / f"rtmlib-ml-backend-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    )
    # What others can write to is not loaded.
    return (store / "prepared", *((own,) if not own.exists() or _is_private(own) else ()))


def write_whole(folders: Sequence[Path], contents: Mapping[str, bytes]) -> Path:
    """Write files into the first folder that can be written to, in order; each appears complete or not at all.

    Returns:
        The folder.

    Raises:
        ModelStoreError: None can be written to.
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
