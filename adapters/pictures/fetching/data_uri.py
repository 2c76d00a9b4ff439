"""Pictures that stand in the task itself, as ``data:`` URIs (RFC 2397)."""

import asyncio
import base64
from urllib.parse import unquote_to_bytes

from adapters.pictures.errors import PictureError

_SMALL = 256 * 1024  # characters that are decoded on the spot, in well under a millisecond
# Each costs about a microsecond and a hundred bytes to unescape; base64 needs few, and is what everybody writes.
_MAX_ESCAPES = 1_000_000
_WHITESPACE = " \t\r\n\f"
_SLICE = 2**20  # characters that are decoded at a time: no other thread runs meanwhile


async def read_data_uri(uri: str, max_bytes: int) -> bytes:
    """Decode a ``data:`` URI, base64 or percent-encoded, off the event loop if it is big.

    Args:
        uri: beginning with ``data:`` in any case. The media type it claims is ignored.
        max_bytes: that it may decode to; a longer text is refused before it is decoded.

    Raises:
        PictureError: ``too_large`` or ``bad_address``.
    """
    if len(uri) <= _SMALL:
        return _decode(uri, max_bytes)
    return await asyncio.to_thread(_decode, uri, max_bytes)


def _decode(uri: str, max_bytes: int) -> bytes:
    # Even with each byte written as %XX, this is the longest text that could fit.
    if len(uri) > 3 * max_bytes + 1024:
        raise _too_large(max_bytes)
    header, comma, payload = uri[len("data:") :].partition(",")
    if not comma:
        raise PictureError("bad_address", "The data: URI has no comma, so it holds no picture.")
    if payload.count("%") > _MAX_ESCAPES:
        raise PictureError(
            "too_large", f"The data: URI has more than {_MAX_ESCAPES} percent escapes; write it as base64."
        )
    is_base64 = header.rpartition(";")[2].strip().lower() == "base64"
    try:
        content = _decode_base64(payload) if is_base64 else unquote_to_bytes(payload)
    except ValueError:  # binascii.Error is one, and UnicodeEncodeError for half a surrogate pair
        what = "base64" if is_base64 else "text"
        raise PictureError("bad_address", f"The data: URI does not hold valid {what}.") from None
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    return content


def _decode_base64(payload: str) -> bytes:
    # Browsers accept line breaks and missing padding; so do we, but nothing else.
    end = f"={_WHITESPACE}"
    text = unquote_to_bytes(payload).rstrip(end.encode()) if "%" in payload else payload.rstrip(end)
    decoded: list[bytes] = []
    rest = b""
    for start in range(0, len(text), _SLICE):
        piece = text[start : start + _SLICE]
        rest += (piece.encode("ascii") if isinstance(piece, str) else piece).translate(
            None, _WHITESPACE.encode()
        )
        if b"=" in rest:
            raise ValueError("padding before the end")
        whole = len(rest) // 4 * 4
        decoded.append(base64.b64decode(rest[:whole], validate=True))
        rest = rest[whole:]
    decoded.append(base64.b64decode(rest + b"=" * (-len(rest) % 4), validate=True))
    return b"".join(decoded)


def _too_large(max_bytes: int) -> PictureError:
    return PictureError(
        "too_large", f"The data: URI holds more than the {max_bytes} bytes that a picture may have."
    )
