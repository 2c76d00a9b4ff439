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
_DATE = re.compile(r"[A-Za-z]{3}, [0-9A-Za-z :]{1,30} GMT")
_PART = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(?:(\d{1,18})|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})")


class InterruptedTransferError(Exception):
    """A response ended before the body was complete; `str()` is the predicate of a sentence about the address.

    Attributes:
        progressed: Whether the next request can continue where this one ended, or confirm its end.
    """

    def __init__(self, predicate: str, *, progressed: bool = False) -> None:
        super().__init__(predicate)
        self.progressed = progressed


class Transfer:
    """One body, received in parts if the server ends responses early (RFC 9110, 14 and 15.3.7).

    Some proxies end each response after some seconds or megabytes, and expect clients to continue with Range. Only a
    body with a strong ETag or a Last-Modified is continued; any other begins again. A body without length and chunks
    ends with its connection, whether complete or not: it is complete only if the server has nothing beyond its end, or
    ends a second time at the same byte.

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
        self._response_end: int | None = None
        self._etag: str | None = None
        self._modified: str | None = None
        self._validator: str | None = None
        self._ended_at: int | None = None

    @property
    def begun(self) -> bool:
        """Whether the next request asks for the rest of the body."""
        return self._body.tell() > 0

    def headers(self) -> dict[str, str]:
        """Return the headers of the next request: for all of the body, or for its rest."""
        if self._validator is None or not self.begun:
            return {}
        return {"Range": f"bytes={self._body.tell()}-", "If-Range": self._validator}

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
        packed, before = _packed(response.headers), self._body.tell()
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            await self._continue(response.headers, packed)
        else:
            await self._restart(response)
        try:
            await self._read(response, packed)
        except TimeoutError:
            raise
        except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, ConnectionError) as error:
            raise await self._cut_off(packed, before) from error
        received = self._body.tell()
        if received < (self._response_end or 0) or self._total not in {None, received}:
            raise await self._cut_off(packed, before)
        if packed:
            return await self._unpacked()
        if self._total is None and not _delimited(response):
            await self._confirm_end()
        return self._body.getvalue()

    async def drop(self) -> None:
        """Discard the received bytes and return their share of the memory."""
        await self._share.aclose()
        self._counted = False
        self._body = io.BytesIO()
        self._total = self._response_end = self._etag = self._modified = self._validator = None

    async def _restart(self, response: aiohttp.ClientResponse) -> None:
        await self.drop()
        self._identify(response.headers)
        self._total = self._response_end = response.content_length

    def _identify(self, headers: Mapping[str, str]) -> None:
        self._etag, self._modified = headers.get("ETag"), headers.get("Last-Modified")
        if _STRONG_ETAG.fullmatch(self._etag or ""):
            self._validator = self._etag
        elif _DATE.fullmatch(self._modified or ""):
            self._validator = self._modified

    def _is_same(self, headers: Mapping[str, str]) -> bool:
        """Return whether a part is of the same file; the other of the two headers may be missing (RFC 9110, 15.3.7)."""
        etag, modified = headers.get("ETag"), headers.get("Last-Modified")
        same = etag in {None, self._etag} and modified in {None, self._modified}
        return same and self._validator is not None and self._validator in {etag, modified}

    async def _continue(self, headers: Mapping[str, str], packed: bool) -> None:
        """Check that a part begins where the received bytes end, and belongs to the same file."""
        part = _PART.fullmatch(headers.get("Content-Range", "").strip())
        begin, end = (int(part[1]), int(part[2]) + 1) if part else (None, 0)
        total = int(part[3]) if part and part[3] else self._total
        fits = begin == self._body.tell() and (total is None or end <= total)
        same = not self.begun or (self._total in {None, total} and self._is_same(headers))
        if packed or not fits or not same:
            await self.drop()
            raise InterruptedTransferError("sent another part of the file than requested")
        if not self.begun:
            self._identify(headers)
        self._total, self._response_end = total, end

    async def _read(self, response: aiohttp.ClientResponse, packed: bool) -> None:
        if self._total is not None and self._total > self._max_bytes:
            raise _too_large(self._max_bytes)
        if self._total is not None and not packed:
            await self._count(self._total)
        async for chunk in response.content.iter_any():
            size = self._body.tell() + len(chunk)
            if self._response_end is not None and size > self._response_end:
                await self.drop()
                raise InterruptedTransferError("sent more bytes than announced")
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

    async def _cut_off(self, packed: bool, before: int) -> InterruptedTransferError:
        received, total = self._body.tell(), self._total
        resumable = not packed and self._validator is not None
        if not resumable:
            await self.drop()
        of = f" of {total}" if total is not None else ""
        return InterruptedTransferError(
            f"ended the file after {received}{of} bytes", progressed=resumable and received > before
        )

    async def _confirm_end(self) -> None:
        before, end = self._ended_at, self._body.tell()
        self._ended_at = end
        if end != before:
            if self._validator is None:
                await self.drop()
            raise InterruptedTransferError("ends the file at different bytes", progressed=end > (before or 0))

    async def _after_the_end(self, headers: Mapping[str, str]) -> bytes:
        length = _UNSATISFIED.fullmatch(headers.get("Content-Range", "").strip())
        end = self._body.tell()
        if self.begun and length and int(length[1]) == end and self._total in {None, end}:
            return self._body.getvalue()
        await self.drop()
        raise InterruptedTransferError("has no such part of the file any more")

    async def _unpacked(self) -> bytes:
        content = await asyncio.to_thread(_unpack, self._body.getvalue(), self._max_bytes)
        if content is None:
            await self.drop()
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
