"""Extracts one file from an untrusted zip archive."""

import io
import os
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from runners.errors import ModelDownloadError

MAGIC = b"PK\x03\x04"

MAX_READ = 1 << 20
"""Bytes per read. The archive itself states the length of its directory, which zipfile reads at once."""


class _Archive(io.FileIO):
    """A file that limits each read to `MAX_READ` and to its own size."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (OSError, OverflowError) as error:
            raise zipfile.BadZipFile("it points outside itself") from error

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > MAX_READ:
            raise zipfile.BadZipFile("its list of contents is too long")
        return super().read(max(0, wanted)) or b""


def is_archive(file: Path) -> bool:
    """Tell whether a file starts with the signature of a zip archive.

    Raises:
        OSError: The file cannot be read.
    """
    with file.open("rb") as content:
        return content.read(len(MAGIC)) == MAGIC


def extract_file(archive: Path, name: str, target: Path, *, max_size: int) -> None:
    """Extract the one file of this name, from any folder of the archive, to `target`.

    Nothing else is written, so names and links in the archive are harmless. The archive's checksum is verified.

    Args:
        archive: The zip file.
        name: The file's name without folders.
        target: The path to write.
        max_size: Bytes; a larger file is refused before it is unpacked.

    Raises:
        ModelDownloadError: The archive is invalid, damaged or encrypted, does not hold exactly one such file, or the
            file is too large.
    """
    try:
        with _Archive(archive) as file, zipfile.ZipFile(file) as opened:
            found = [info for info in opened.infolist() if PurePosixPath(info.filename).name == name]
            if len(found) != 1:
                raise ModelDownloadError(f"the archive holds {len(found)} files named {name} instead of one")
            if found[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ModelDownloadError(f"{name} has an unsupported compression")
            if found[0].file_size > max_size:
                raise ModelDownloadError(
                    f"{name} unpacks to {found[0].file_size / 1e6:.1f} MB, more than the limit of "
                    f"{max_size / 1e6:.1f} MB"
                )
            # Reads at most the announced size and verifies the checksum at the end.
            with opened.open(found[0]) as content, target.open("wb") as unpacked:
                shutil.copyfileobj(content, unpacked)
    # zipfile raises these for damage; RuntimeError also for encryption and unknown methods.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise ModelDownloadError(
            f"the download is not a valid zip archive ({error or type(error).__name__})"
        ) from error
