"""Pictures embedded in the task as ``data:`` URIs (RFC 2397)."""

import asyncio
import base64
from urllib.parse import unquote_to_bytes

from adapters.pictures.errors import PictureError

_SMALL = 256 * 1024  # characters decoded on the event loop, in well under a millisecond
# Unescaping one takes about a microsecond and 100 bytes. base64, the usual encoding, needs few.
_MAX_ESCAPES = 1_000_000
_WHITESPACE = " \t\r\n\f"
_SLICE = 2**20  # characters decoded in one step, which blocks all other threads


async def read_data_uri(uri: str, max_bytes: int) -> bytes:
    """Decode a ``data:`` URI, base64 or percent-encoded; a large one in a thread.

    Args:
        uri: beginning with ``data:`` in any case. Its media type is ignored.
        max_bytes: limit on the decoded size; a longer text is rejected before it is decoded.

    Raises:
        PictureError: ``too_large`` or ``bad_address``.
    """
    if len(uri) <= _SMALL:
        return _decode(uri, max_bytes)
    return await asyncio.to_thread(_decode, uri, max_bytes)


def _decode(uri: str, max_bytes: int) -> bytes:
    # The longest text that can fit, with each byte written as %XX.
    if len(uri) > 3 * max_bytes + 1024:
        raise _too_large(max_bytes)
    header, comma, payload = uri[len("data:") :].partition(",")
    if not comma:
        raise PictureError("bad_address", "The data: URI has no comma, so it has no picture.")
    if payload.count("%") > _MAX_ESCAPES:
        raise PictureError(
            "too_large", f"The data: URI has more than {_MAX_ESCAPES} percent escapes. Use base64."
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
    # As in browsers, line breaks and missing padding are accepted; nothing else is.
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
        "too_large", f"The data: URI has more than {max_bytes} bytes. Make the picture smaller."
    )
