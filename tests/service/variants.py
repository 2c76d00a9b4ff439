"""Any number of files of one picture, all different, made in no time."""

import struct
from collections.abc import Callable

from PIL import Image

from tests.support.pictures import encoded


def variants(picture: Image.Image) -> Callable[[int], bytes]:
    """Gives a JPEG of the picture for each number, with a comment of its own."""
    data = encoded(picture.convert("RGB"), "JPEG")

    def numbered(number: int) -> bytes:
        comment = str(number).encode()
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + data[2:]

    return numbered
