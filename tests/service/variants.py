"""Any number of files of one picture, all different, made in no time."""

import io
import struct
from collections.abc import Callable

from PIL import Image


def variants(picture: Image.Image) -> Callable[[int], bytes]:
    """Gives a JPEG of the picture for each number, with a comment of its own."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG")
    data = file.getvalue()

    def numbered(number: int) -> bytes:
        comment = str(number).encode()
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + data[2:]

    return numbered
