"""Receives a body over one HTTP response or several, within limits."""

import asyncio
import io
import re
import zlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus

import aiohttp

from adapters.concurrency.memory_budget import MemoryBudget
from adapters.pictures.errors import PictureError

SMALL_BYTES = 4 * 2**20
"""Smaller files do not wait for memory: the number of downloads bounds them."""

_PLAIN, _PACKED = frozenset({"", "identity"}), frozenset({"gzip", "x-gzip", "deflate"})
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_PART = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(?:(\d{1,18})|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})")


class InterruptedTransferError(Exception):
    """A response ended before the body was complete; `str()` is the predicate of a sentence about the address.

    Attributes:
        progressed: Whether it got further than the responses before it.
    """

    def __init__(self, predicate: str, *, progressed: bool = False) -> None:
        super().__init__(predicate)
        self.progressed = progressed


class Transfer:
    """One body, received in parts if the server ends responses early (RFC 9110, 14 and 15.3.7).

    Some proxies end each response after some seconds or megabytes, and expect clients to continue with Range. A body
    without length and chunks ends with its connection, whether complete or not: it is complete only if the server has
    nothing beyond its end, or ends a second time at the same byte.

    Args:
        max_bytes: Limit on the body before and after decompression.
        memory: Budget of all large bodies; reading pauses while it is exhausted.
        held: Returns this body's share of the memory when it is closed.
    """

    def __init__(self, max_bytes: int, memory: MemoryBudget, held: AsyncExitStack) -> None:
        self._max_bytes = max_bytes
        self._memory = memory
        self._share = AsyncExitStack()
        held.push_async_callback(self._share.aclose)
        self._counted = False
        self._body = io.BytesIO()  # joining chunks at the end would take the memory twice
        self._total: int | None = None
        self._etag: str | None = None
        self._modified: str | None = None
        self._ended_at: int | None = None
        self._furthest = 0

    @property
    def begun(self) -> bool:
        """Whether the next request asks for the rest of the body."""
        return self._body.tell() > 0

    def headers(self) -> dict[str, str]:
        """Return the headers of the next request: for all of the body, or for its rest."""
        if not self.begun:
            return {}
        validator = self._etag or self._modified
        rest = {"Range": f"bytes={self._body.tell()}-"}
        return rest if validator is None else {**rest, "If-Range": validator}

    async def receive(self, response: aiohttp.ClientResponse) -> bytes:
        """Read a response and return the complete body.

        Args:
            response: Its status is 200, 206 or, for a rest, 416. Of a session that does not decompress.

        Raises:
            InterruptedTransferError: The body is incomplete; send another request with `headers`.
            PictureError: ``too_large``, or ``server_error`` for an unknown encoding.
        """
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return await self._after_the_end(response.headers)
        packed = _packed(response.headers)
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            await self._continue(response.headers, packed)
        else:
            await self._restart(response)
        try:
            await self._read(response, packed)
        except TimeoutError:
            raise
        except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, ConnectionError) as error:
            raise await self._cut_off(packed) from error
        if self._total is not None and self._body.tell() != self._total:
            raise await self._cut_off(packed)
        if packed:
            return await self._unpacked()
        if self._total is None and not _delimited(response):
            self._confirm_end()
        return self._body.getvalue()

    async def _restart(self, response: aiohttp.ClientResponse) -> None:
        await self._clear()
        headers = response.headers
        etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
        self._etag = etag if _STRONG_ETAG.fullmatch(etag) else None
        self._modified = modified if modified.endswith(" GMT") and modified.isascii() else None
        self._total = response.content_length

    async def _continue(self, headers: Mapping[str, str], packed: bool) -> None:
        """Check that a part begins where the received bytes end, and belongs to the same file."""
        part = _PART.fullmatch(headers.get("Content-Range", "").strip())
        begins = int(part[1]) if part else None
        total = int(part[3]) if part and part[3] else None
        etag = headers.get("ETag", "")
        other = self.begun and (
            (self._total is not None and total is not None and total != self._total)
            or (self._etag is not None and etag not in {"", self._etag})
        )
        if packed or begins != self._body.tell() or other:
            await self._clear()
            raise InterruptedTransferError("sent another part of the file than requested")
        if not self.begun:
            self._etag = etag if _STRONG_ETAG.fullmatch(etag) else None
        self._total = total if total is not None else self._total

    async def _read(self, response: aiohttp.ClientResponse, packed: bool) -> None:
        if self._total is not None and self._total > self._max_bytes:
            raise _too_large(self._max_bytes)
        if self._total is not None and not packed:
            await self._count(self._total)
        async for chunk in response.content.iter_any():
            size = self._body.tell() + len(chunk)
            if size > self._max_bytes:
                raise _too_large(self._max_bytes)
            if packed or size > SMALL_BYTES:
                await self._count(self._max_bytes)
            self._body.write(chunk)

    async def _count(self, count: int) -> None:
        if self._counted:
            return
        await self._share.enter_async_context(self._memory.hold(count))
        self._counted = True

    async def _clear(self) -> None:
        await self._share.aclose()
        self._counted = False
        self._body = io.BytesIO()
        self._total = self._etag = self._modified = None

    async def _cut_off(self, packed: bool) -> InterruptedTransferError:
        received, total = self._body.tell(), self._total
        resumable = not packed and (total is None or received < total)
        if not resumable:
            await self._clear()
        of = f" of {total}" if total is not None else ""
        return InterruptedTransferError(
            f"ended the file after {received}{of} bytes", progressed=self._progressed(received)
        )

    def _progressed(self, received: int) -> bool:
        before, self._furthest = self._furthest, max(self._furthest, received)
        return received > before

    def _confirm_end(self) -> None:
        before, end = self._ended_at, self._body.tell()
        self._ended_at = end
        if end != before:
            raise InterruptedTransferError(
                "ends the file at different bytes", progressed=self._progressed(end)
            )

    async def _after_the_end(self, headers: Mapping[str, str]) -> bytes:
        length = _UNSATISFIED.fullmatch(headers.get("Content-Range", "").strip())
        if self.begun and self._total is None and (length is None or int(length[1]) == self._body.tell()):
            return self._body.getvalue()
        await self._clear()
        raise InterruptedTransferError("has no such part of the file any more")

    async def _unpacked(self) -> bytes:
        content = await asyncio.to_thread(_unpack, self._body.getvalue(), self._max_bytes)
        if content is None:
            await self._clear()
            raise InterruptedTransferError("sent an incomplete compressed response")
        return content


def _packed(headers: Mapping[str, str]) -> bool:
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in _PLAIN | _PACKED:
        raise PictureError(
            "server_error",
            f"The server sends the unrequested Content-Encoding {encoding[:40]!r}. Check the server.",
        )
    return encoding in _PACKED


def _delimited(response: aiohttp.ClientResponse) -> bool:
    """Return whether the end of a response is that of the file: marked by its length, or by its last chunk."""
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    return response.status == HTTPStatus.OK and (chunked or response.content_length is not None)


def _unpack(body: bytes, max_bytes: int) -> bytes | None:
    """Decompress a body; None if its end is missing."""
    unpacking = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # 32: gzip or zlib, by its header
    try:
        content = unpacking.decompress(body, max_bytes + 1)
    except zlib.error:
        raise PictureError("server_error", "The compressed response is damaged. Check the server.") from None
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    return content if unpacking.eof else None


def _too_large(max_bytes: int) -> PictureError:
    return PictureError("too_large", f"The file has more than {max_bytes} bytes. Make it smaller.")
