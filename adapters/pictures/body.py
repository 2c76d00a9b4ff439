"""The body of an HTTP answer, read within limits."""

import asyncio
import zlib

import aiohttp

from adapters.pictures.errors import PictureError


async def read_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read a body, counting what really arrives and what it unpacks to.

    Args:
        response: of a session that does not decompress by itself.
        max_bytes: that the body may have before and after decompression.

    Raises:
        PictureError: ``too_large``, or ``server_error`` for an encoding that is not known.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
        raise PictureError(
            "server_error", f"The server packs its answer as {encoding[:40]!r}, although none was asked for."
        )
    if response.content_length is not None and response.content_length > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
    body = b"".join(chunks)
    if encoding in {"", "identity"}:
        return body
    return await asyncio.to_thread(_unpack, body, max_bytes)


def _unpack(body: bytes, max_bytes: int) -> bytes:
    unpacking = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # 32: gzip or zlib, told by its header
    try:
        content = unpacking.decompress(body, max_bytes + 1)
    except zlib.error:
        raise PictureError("server_error", "The server's packed answer is damaged.") from None
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    if not unpacking.eof:
        raise PictureError("unreachable", "The server's packed answer broke off before its end; try again.")
    return content


def _too_large(max_bytes: int) -> PictureError:
    return PictureError("too_large", f"The file has more than the {max_bytes} bytes that a picture may have.")
