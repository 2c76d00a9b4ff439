"""Pictures as files, and as addresses that hold them."""

import base64
import io

from PIL import Image


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def data_uri(picture: Image.Image, kind: str = "PNG") -> str:
    """A picture as its own address."""
    return f"data:image/{kind.lower()};base64," + base64.b64encode(encoded(picture, kind)).decode()
