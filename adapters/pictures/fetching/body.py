"""Reads the body of an HTTP response within limits."""

import asyncio
import io
import zlib
from contextlib import AsyncExitStack

import aiohttp

from adapters.concurrency.memory_budget import MemoryBudget
from adapters.pictures.errors import PictureError

SMALL_BYTES = 4 * 2**20
"""Smaller files do not wait for memory: the number of downloads bounds them."""


async def read_body(
    response: aiohttp.ClientResponse, max_bytes: int, memory: MemoryBudget, held: AsyncExitStack
) -> bytes:
    """Read a body, counting its bytes as received and as decompressed.

    Args:
        response: of a session that does not decompress.
        max_bytes: limit on the body before and after decompression.
        memory: budget of all large bodies; reading pauses while it is exhausted.
        held: returns this body's share of the memory when it is closed.

    Raises:
        PictureError: ``too_large``, or ``server_error`` for an unknown encoding.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
        raise PictureError(
            "server_error",
            f"The server sends the unrequested Content-Encoding {encoding[:40]!r}. Check the server.",
        )
    if response.content_length is not None and response.content_length > max_bytes:
        raise _too_large(max_bytes)
    packed = encoding not in {"", "identity"}
    counted = response.content_length is not None and not packed
    if counted:
        await held.enter_async_context(memory.hold(response.content_length or 0))
    body = io.BytesIO()  # joining chunks at the end would take the memory twice
    async for chunk in response.content.iter_any():
        if body.tell() + len(chunk) > max_bytes:
            raise _too_large(max_bytes)
        if not counted and (packed or body.tell() + len(chunk) > SMALL_BYTES):
            await held.enter_async_context(memory.hold(max_bytes))
            counted = True
        body.write(chunk)
    if packed:
        return await asyncio.to_thread(_unpack, body.getvalue(), max_bytes)
    return body.getvalue()


def _unpack(body: bytes, max_bytes: int) -> bytes:
    unpacking = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # 32: gzip or zlib, by its header
    try:
        content = unpacking.decompress(body, max_bytes + 1)
    except zlib.error:
        raise PictureError("server_error", "The compressed response is damaged. Check the server.") from None
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    if not unpacking.eof:
        raise PictureError("unreachable", "The compressed response is incomplete. Retry.")
    return content


def _too_large(max_bytes: int) -> PictureError:
    return PictureError("too_large", f"The file has more than {max_bytes} bytes. Make it smaller.")
