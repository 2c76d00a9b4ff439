"""The ending of a picture's file."""

import pytest

from adapters.files.datasets.pictures import ending
from adapters.pictures.errors import PictureError


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"II+\0\x08\0\0\0", ".tif"),
        (b"\0\0\0\x20ftypavif\0\0\0\0", ".avif"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif", ".avif"),
    ],
)
def test_is_that_of_every_format_that_is_predicted(data: bytes, expected: str) -> None:
    assert ending(data) == expected


@pytest.mark.parametrize("data", [b"", b"<html>", b"II*\0\x10\0\0\0CR\x02\0"], ids=["empty", "page", "raw"])
def test_of_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(PictureError, match="does not lead to a JPEG"):
        ending(data)
