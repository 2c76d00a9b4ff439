"""The interface of a clip's files: a writer takes frames in order, and its file appears when it is closed.

Until then, nothing is at the file's place: whatever ends a run, a file that is there is complete. Memory does not grow
with the clip.
"""

import shutil
from abc import ABC, abstractmethod
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from wholebody.posed_clip import PosedFrame

_UNFINISHED = ".unfinished"


class ClipFormat(StrEnum):
    """The formats of clips."""

    POSE = "pose"
    OPENPOSE = "openpose"
    COCO = "coco"
    CSV = "csv"


class ClipFileError(Exception):
    """A clip cannot be written in a format, or not there; the message says what to do."""


class ClipWriter(ABC):
    """Writes one clip.

    A context manager: at its end the file is complete and in place, or, after an exception, not there. One of an
    earlier run stays until it is replaced.

    Attributes:
        path: The file, or the folder of files, that is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unfinished = path.with_name(path.name + _UNFINISHED)

    @abstractmethod
    def write(self, frame: PosedFrame) -> None:
        """Add a frame; frames come in order of presentation.

        Raises:
            ClipFileError: The format cannot hold it.
        """

    def close(self) -> None:
        """Complete the file and put it in place."""
        try:
            self._finish()
            self._put_in_place()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove what was written."""
        self._release()
        self._unfinished.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    @abstractmethod
    def _finish(self) -> None:
        """Write what is missing, and close the files."""

    @abstractmethod
    def _release(self) -> None:
        """Close the files, whatever is in them."""

    def _put_in_place(self) -> None:
        self._unfinished.replace(self.path)


def remove_folder(path: Path, own: str) -> None:
    """Remove a folder that a writer made; a missing one is no error.

    Args:
        path: The folder.
        own: The end of the names of a writer's files.

    Raises:
        ClipFileError: It has other files, or is no folder.
    """
    if not path.exists():
        return
    if not path.is_dir() or any(not file.name.endswith(own) for file in path.iterdir()):
        raise ClipFileError(
            f"{path} is not a folder of {own} files only. Move it, or write to another folder."
        )
    shutil.rmtree(path)
