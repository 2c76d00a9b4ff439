"""From the image value of a task to the bytes of its picture."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from adapters.concurrency.memory_budget import MemoryBudget
from adapters.connections import connection_problem, read_proxy
from adapters.label_studio.client.credentials import Credentials, CredentialsError
from adapters.label_studio.client.retry import NOTHING_DONE, retry_after_s
from adapters.pictures.errors import PictureError, Reason
from adapters.pictures.fetching.address import origin_of, parse_web_address, shown
from adapters.pictures.fetching.connections import PictureConnections
from adapters.pictures.fetching.data_uri import read_data_uri
from adapters.pictures.fetching.guard import AddressPolicy
from adapters.pictures.fetching.label_studio_site import LabelStudioSite, label_studio_in, leads_to_login
from adapters.pictures.fetching.local_files import read_local_file
from adapters.pictures.fetching.patience import Patience, TemporaryError
from adapters.pictures.fetching.slots import HostSlots
from adapters.pictures.fetching.transfer import SMALL_BYTES, InterruptedTransferError, Transfer
from adapters.pictures.limits import PictureLimits

__all__ = ["PictureLimits", "PictureSource"]

_CLOUD_URI = re.compile(r"(s3|gs|azure-blob)://", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_TASK_ID = re.compile(r"[0-9]{1,20}")
_ELSEWHERE: frozenset[Reason] = frozenset(
    {"refused", "unreachable", "timeout", "unauthorized", "not_found", "server_error", "too_many_redirects"}
)
"""Failures of an address of Label Studio that only browsers or another network can use."""
_REDIRECTS = {301, 302, 303, 307, 308}


class PictureSource:
    """Fetches pictures from all addresses that tasks may have, within limits and behind a guard.

    An async context manager that owns one HTTP session. It supports http(s) addresses, ``data:`` URIs, Label Studio's
    paths (``/data/upload/…``, ``/data/local-files/?d=…``, ``/tasks/N/resolve/…``, ``/tasks/N/presign/…``), and
    ``s3://``, ``gs://`` and ``azure-blob://``, which Label Studio presigns.

    Args:
        label_studio_url: LABEL_STUDIO_URL, possibly with a path; None without a Label Studio.
        label_studio_aliases: LABEL_STUDIO_ALIASES; addresses under them are requested under label_studio_url.
        credentials: for its pictures; sent to its picture paths only, also after redirects.
        allowed_hosts: patterns of ALLOWED_IMAGE_HOSTS, see AddressPolicy.
        local_files_root: Label Studio's LOCAL_FILES_DOCUMENT_ROOT as mounted here; None to fetch from Label Studio.
        limits: bounds on every wait and size.
        proxy: IMAGE_PROXY, for all hosts but Label Studio.
        resolver: of host names; the system's if None.

    Raises:
        ValueError: if the address of Label Studio or a pattern is invalid.
    """

    def __init__(  # noqa: PLR0913 - the settings of one deployment, each named by its caller
        self,
        *,
        label_studio_url: str | None,
        label_studio_aliases: Sequence[str] = (),
        credentials: Credentials | None,
        allowed_hosts: Sequence[str],
        local_files_root: Path | None,
        limits: PictureLimits,
        proxy: str | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._site = LabelStudioSite.at(label_studio_url, label_studio_aliases) if label_studio_url else None
        policy = AddressPolicy.of(self._site.origin if self._site else None, allowed_hosts)
        self._connections = PictureConnections(
            policy, self._site, limits, resolver, read_proxy("IMAGE_PROXY", proxy) if proxy else None
        )
        self._credentials = credentials
        self._local_files_root = local_files_root
        self._limits = limits
        self._memory = MemoryBudget(limits.held_bytes, SMALL_BYTES)
        self._slots = HostSlots(limits.downloads_per_host, limits.downloads)

    async def __aenter__(self) -> Self:
        await self._connections.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connections.__aexit__(kind, error, trace)

    async def fetch(
        self, uri: str, *, task_id: int | str | None = None, held: AsyncExitStack | None = None
    ) -> bytes:
        """Return the bytes at a picture's address, neither decoded nor checked.

        Args:
            uri: the task's image value, unchanged.
            task_id: of the task; needed for cloud storage.
            held: to be closed when the bytes leave the memory, so another large file may be fetched; None to count
                them only while they are fetched.

        Raises:
            PictureError: with the reason.
        """
        async with AsyncExitStack() as while_fetched:
            return await self._fetch(uri, task_id, held or while_fetched)

    async def _fetch(self, uri: str, task_id: int | str | None, held: AsyncExitStack) -> bytes:
        # A task's data is any JSON, whatever the type says.
        text = uri.strip(" \t\r\n") if isinstance(uri, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
        if not text:
            raise PictureError("no_picture", "The task has no picture: its image value is empty or no text.")
        if text[:5].lower() == "data:":
            return await read_data_uri(text, self._limits.max_bytes)
        url = self._web_address(text, task_id)
        if self._site is not None and self._local_files_root is not None:
            name = self._site.local_file(url)
            if name is not None:
                return await self._read_local_file(self._local_files_root, name)
        try:
            return await self._download_spelled(url, held)
        except CredentialsError as error:
            raise PictureError(error.reason, str(error)) from error
        except PictureError as error:
            raise self._with_alias_named(url, error) from error

    def _with_alias_named(self, url: URL, error: PictureError) -> PictureError:
        """Return an error that names the setting, if an address looks like another one of Label Studio."""
        other = label_studio_in(url)
        own = self._site is not None and self._site.has(url)
        if other is None or own or error.reason not in _ELSEWHERE:
            return error
        setting = "LABEL_STUDIO_URL" if self._site is None else "LABEL_STUDIO_ALIASES"
        return PictureError(
            error.reason,
            f"{shown(url)} looks like your Label Studio under another address: set {setting}={other}. {error}",
        )

    def _web_address(self, text: str, task_id: int | str | None) -> URL:
        """Return the first URL to request for any address except data:."""
        cloud = _CLOUD_URI.match(text) is not None
        if not cloud and not text.startswith("/"):
            if "://" not in text[:16]:
                raise PictureError(
                    "bad_address",
                    f"The image value {shown(text)} is no address. Use http(s)://, data:, s3://, gs://, azure-blob:// "
                    "or one of Label Studio's paths such as /data/upload/….",
                )
            return self._own(parse_web_address(text))
        if text.startswith(("//", "/\\")):
            raise PictureError(
                "bad_address", f"The address {shown(text)} has no scheme. Begin it with https://."
            )
        if self._site is None:
            raise PictureError(
                "bad_address",
                f"{shown(text)} is available through Label Studio only. Set LABEL_STUDIO_URL and "
                "LABEL_STUDIO_API_TOKEN.",
            )
        if not cloud:
            return self._site.url(text)
        if task_id is None or _TASK_ID.fullmatch(str(task_id)) is None:
            raise PictureError(
                "bad_address",
                f"The task has no id, which Label Studio needs to serve {shown(text)}. Send the id.",
            )
        return self._site.presign_url(task_id, text)

    def _own(self, url: URL) -> URL:
        """Return the address at which Label Studio is requested for one of its aliases; others unchanged."""
        return url if self._site is None else self._site.canonical(url)

    async def _read_local_file(self, root: Path, name: str) -> bytes:
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                return await asyncio.to_thread(read_local_file, root, name, self._limits.max_bytes)
        except TimeoutError:
            raise PictureError(
                "timeout", "Reading the local file timed out. Check the mount of LOCAL_FILES_DOCUMENT_ROOT."
            ) from None

    async def _download_spelled(self, url: URL, held: AsyncExitStack) -> bytes:
        """Request a picture, and a local file of Label Studio with the other separators if it is not found."""
        other = self._site.with_slashes(url) if self._site is not None else None
        try:
            return await self._download(url, held)
        except PictureError as error:
            if other is None or error.reason != "not_found":
                raise
        return await self._download(other, held)

    async def _download(self, url: URL, held: AsyncExitStack) -> bytes:
        """Request a picture, and again while its server ends responses early or asks to wait."""
        transfer = Transfer(self._limits.max_bytes, self._memory, held)
        patience = Patience(self._limits)
        while True:
            try:
                return await self._follow(url, transfer, patience)
            except TemporaryError as error:
                await patience.pause(error)

    async def _follow(self, first: URL, transfer: Transfer, patience: Patience) -> bytes:
        """Request the next part of a picture over its redirects; return the whole when it is complete."""
        url = first
        for _ in range(self._limits.max_redirects + 1):
            try:
                async with self._slot(url):
                    outcome = await self._ask(url, transfer, patience)
            except PictureError as error:
                raise self._with_storage_named(first, url, error) from error
            if isinstance(outcome, bytes):
                return outcome
            url = outcome
        raise PictureError(
            "too_many_redirects",
            f"{shown(first)} redirects more than {self._limits.max_redirects} times. Use its final address.",
        )

    async def _ask(self, url: URL, transfer: Transfer, patience: Patience) -> bytes | URL:
        """Request one address; return the whole picture, or a redirect."""
        try:
            async with patience.counted():
                return await self._request(url, transfer)
        except TimeoutError:
            raise PictureError("timeout", f"{shown(url)} timed out. Retry, or check its server.") from None
        except InterruptedTransferError as error:
            failure = PictureError("unreachable", f"{shown(url)} {error}. Retry, or check its server.")
            raise TemporaryError(failure, progressed=error.progressed) from error
        except (aiohttp.ClientError, OSError) as error:
            problem = (
                connection_problem(error) or f"is unreachable: {_short(error)}. Check its name and server"
            )
            raise PictureError("unreachable", f"{shown(url)} {problem}.") from error

    def _with_storage_named(self, first: URL, url: URL, error: PictureError) -> PictureError:
        """Return an error that names the storage's endpoint, if Label Studio redirects there."""
        redirected = self._site is not None and self._site.has(first) and not self._site.has(url)
        if not redirected or error.reason not in _ELSEWHERE:
            return error
        return PictureError(
            error.reason,
            f"Label Studio redirects to its storage at {origin_of(url)}: {error} Its storage settings need an endpoint "
            "that this service and browsers reach; or switch off pre-signed URLs there.",
        )

    @asynccontextmanager
    async def _slot(self, url: URL) -> AsyncGenerator[None]:
        """Hold one of the download slots of the host, and one of those of all hosts."""
        origin = origin_of(url)
        slots = self._slots
        try:
            async with asyncio.timeout(self._limits.slot_seconds):
                await slots.acquire(origin)
        except TimeoutError:
            raise PictureError(
                "timeout",
                f"Too many downloads from {origin} at once. Send fewer tasks per request.",
            ) from None
        try:
            yield
        finally:
            slots.release(origin)

    async def _request(self, url: URL, transfer: Transfer) -> bytes | URL:
        """Send the request, and again if the access token has expired; return the body or a redirect."""
        session = await self._connections.session(url)
        credentials = self._credentials if self._site and self._site.takes_credentials(url) else None
        header = await credentials.header(session) if credentials else {}
        part = transfer.headers()
        async with session.get(url, headers=header | part, allow_redirects=False) as response:
            if response.status != 401 or credentials is None:
                return await self._answer(url, response, credentials, transfer)
        header = await credentials.header(session, refused=header)
        async with session.get(url, headers=header | part, allow_redirects=False) as response:
            return await self._answer(url, response, credentials, transfer)

    async def _answer(
        self,
        url: URL,
        response: aiohttp.ClientResponse,
        credentials: Credentials | None,
        transfer: Transfer,
    ) -> bytes | URL:
        status = response.status
        if status in {200, 206} or (status == 416 and transfer.begun):
            return await transfer.receive(response)
        if status in _REDIRECTS and "Location" in response.headers:
            return self._redirect(url, response.headers["Location"], credentials)
        if status in {401, 403}:
            raise PictureError("unauthorized", self._explain_refusal(url, status, credentials))
        if status in {404, 410}:
            raise PictureError("not_found", f"No picture at {shown(url)} ({status}). Check the address.")
        if status == 500 and self._site is not None and self._site.is_upload(url):
            # Observed with Label Studio 1.23.2, which looks up the file's owner before the file.
            raise PictureError(
                "server_error",
                f"Label Studio returned 500 for {shown(url)}, as it does when an uploaded file is gone. Upload the "
                "picture again, or delete the task. If the file exists, see Label Studio's log.",
            )
        if status in NOTHING_DONE:
            raise _busy(url, status, response.headers.get("Retry-After"))
        raise PictureError(
            "server_error", f"{shown(url)} returned {status} instead of a picture. Check its server."
        )

    def _redirect(self, url: URL, location: str, credentials: Credentials | None) -> URL:
        """Return the redirect's target, which is checked like any other address before it is requested."""
        if _SCHEME.match(location) is None:
            try:
                location = str(url.join(URL(location, encoded=True)))
            except ValueError:
                raise PictureError("bad_address", f"{shown(url)} redirects to an invalid address.") from None
        stated = parse_web_address(location)
        target = self._own(stated)
        own_login = self._site is not None and self._site.is_login_page(target)
        if own_login or leads_to_login(url, target):
            raise PictureError("unauthorized", self._explain_refusal(url, 401, credentials))
        here, there = origin_of(url), origin_of(stated)
        # Usually to https; a presigned address has another path.
        moved = here.host == there.host and here != there and url.raw_path == stated.raw_path
        if not moved and (target != url or stated == url):
            return target
        if credentials is not None:
            raise PictureError(
                "unauthorized",
                f"Label Studio at {here} redirects to {there}; the token is not sent there. Set LABEL_STUDIO_URL to "
                "that site.",
            )
        return stated

    def _explain_refusal(self, url: URL, status: int, credentials: Credentials | None) -> str:
        if credentials is not None and status == 401:
            return credentials.explain_refusal()
        if credentials is not None:
            return f"The owner of the token has no access to {shown(url)} ({status}). Give them access to the project."
        if self._site is not None and self._site.takes_credentials(url):
            return (
                f"Label Studio needs a token for {shown(url)} ({status}). Set LABEL_STUDIO_API_TOKEN to a personal "
                "access token."
            )
        return (
            f"{shown(url)} needs a login, or its signature has expired ({status}). Make the picture readable without "
            "a login, or use Label Studio's cloud storage."
        )


def _busy(url: URL, status: int, retry_after: str | None) -> TemporaryError:
    """Return the error for 429 and 503."""
    asked_s = retry_after_s(retry_after)
    if status != 429 and asked_s is None:
        failure = PictureError(
            "server_error", f"{shown(url)} returned {status} repeatedly. Check its server."
        )
        return TemporaryError(failure)
    wait = "Retry later" if asked_s is None else f"Retry after {asked_s:.0f} s"
    failure = PictureError(
        "rate_limited",
        f"{shown(url)} is rate limited ({status}). {wait}, with fewer tasks at once, or raise the limit of its server.",
    )
    return TemporaryError(failure, retry_after=retry_after)


def _short(error: aiohttp.ClientError | OSError) -> str:
    """Describe an error without the server's text and without an address, whose query may be secret."""
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, socket.gaierror):
        return error.strerror or "unknown name"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed before the response"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the body is incomplete"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the response is not valid HTTP"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else str(error)[:200]
    return type(error).__name__
