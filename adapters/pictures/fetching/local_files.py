"""Pictures in a folder shared with Label Studio (its local-files storage)."""

import os
import posixpath
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from adapters.pictures.errors import PictureError


def read_local_file(root: Path, name: str, max_bytes: int) -> bytes:
    """Read a file below ``root``; blocking.

    Symbolic links work inside the root and cannot lead out of it, even if they change while the file is opened: the
    resolved path is opened without following links.

    Args:
        root: Label Studio's LOCAL_FILES_DOCUMENT_ROOT, as mounted here.
        name: path below it, as in ``/data/local-files/?d=…``; a leading slash means the root itself, as it
            does to Label Studio. Other spellings are tried if there is no such file: slashes for the backslashes of
            Windows, and both Unicode forms of letters with accents (macOS decomposes them).
        max_bytes: largest size of the file.

    Raises:
        PictureError: ``refused`` outside the root, ``not_found``, ``too_large``.
    """
    if _is_outside(name):
        raise _refused()
    missing: PictureError | None = None
    for spelling in _spellings(name):
        try:
            return _read(root, spelling, max_bytes)
        except PictureError as error:
            if error.reason != "not_found":
                raise
            missing = missing or error
    assert missing is not None, "the name itself is one of its spellings"
    raise missing


def _is_outside(name: str) -> bool:
    return "\0" in name or ".." in posixpath.normpath(name.lstrip("/")).split("/")


def _spellings(name: str) -> Iterable[str]:
    separators = (name, name.replace("\\", "/"))
    forms = [unicodedata.normalize(form, text) for text in separators for form in ("NFC", "NFD")]
    return [text for text in dict.fromkeys((*separators, *forms)) if not _is_outside(text)]


def _read(root: Path, name: str, max_bytes: int) -> bytes:
    try:
        top = root.resolve(strict=True)
        path = (top / name.lstrip("/")).resolve(strict=True)
        if not path.is_relative_to(top):
            raise _refused()
        handle = _open_without_links(top, path.relative_to(top).parts)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise PictureError(
            "not_found",
            f"The local file cannot be opened ({getattr(error, 'strerror', None) or 'not readable'}). Mount the folder "
            "that Label Studio serves as LOCAL_FILES_DOCUMENT_ROOT here.",
        ) from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise PictureError("not_found", "The local path is a folder or a device, not a picture.")
        with open(handle, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    finally:
        os.close(handle)
    if len(content) > max_bytes:
        raise PictureError("too_large", f"The local file has more than {max_bytes} bytes. Make it smaller.")
    return content


def _open_without_links(top: Path, parts: tuple[str, ...]) -> int:
    """Open ``top``/``parts`` for reading, and fail at any symbolic link.

    O_NONBLOCK prevents blocking on a FIFO; it has no effect on a regular file.
    """
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        last = parts[-1] if parts else "."
        return os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)


def _refused() -> PictureError:
    return PictureError("refused", "The local file is outside the folder that Label Studio may serve.")
