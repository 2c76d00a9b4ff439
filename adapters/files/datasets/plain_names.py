"""File names for pictures in one flat folder."""

import re
from collections.abc import Sequence

from adapters.coco.document import PictureOfTask, picture_names

_SUFFIX = re.compile(r"\.(?:avif|bmp|gif|jpe?g|png|tiff?|webp)$", re.IGNORECASE)
_OTHER = re.compile(r"[^\w.\-]+")
_LONGEST = 100


def plain_stems(pictures: Sequence[PictureOfTask]) -> list[str]:
    """Return a file name without ending for each picture.

    It is the end of the picture's address, in letters, digits, `_`, `-` and `.`. Different pictures have different
    names, also for file systems without case; one picture that occurs twice has one.
    """
    taken: dict[str, tuple[int, str, int | None]] = {}
    stems: list[str] = []
    for one, name in zip(pictures, picture_names(pictures), strict=True):
        stem = _OTHER.sub("_", _SUFFIX.sub("", name)).strip("._-")[:_LONGEST] or "picture"
        free, number = stem, 2
        while taken.setdefault(free.casefold(), one.key) != one.key:
            free, number = f"{stem}-{number}", number + 1
        stems.append(free)
    return stems
