"""Downloads a file over HTTP and resumes interrupted downloads."""

import concurrent.futures
import ipaddress
import re
import socket
import threading
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests

from runners.errors import ModelDownloadError
from runners.models.progress import Received
from runners.models.session import http_session
from runners.web_identity import PRIVATE_AUTHORITY

CONNECT_LIMIT_S = 10.0
SILENCE_LIMIT_S = 30.0
ATTEMPTS = 10
REDIRECTS = 5
CHUNK = 64 * 1024

_REDIRECTS = {301, 302, 303, 307, 308}
_ANSWERS_TO_A_RANGE = {206, 416}
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})")
_LENGTH = re.compile(r"\d{1,18}")


class _BrokenOffError(ModelDownloadError):
    """The connection was interrupted."""


class _GivenUpError(Exception):
    """The caller has abandoned this download."""


class PartialFile:
    """A partly downloaded file, with the ETag of the whole file beside it.

    Without an ETag the file on the server may have changed, so the download restarts from the beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._etag_path = path.with_suffix(".etag")
        self._writing = threading.Lock()
        self._given_up = False

    def resumable(self) -> tuple[int, str] | None:
        """Return the size in bytes and the ETag, or None if the download must restart."""
        try:
            size, etag = self.path.stat().st_size, self._etag_path.read_text("ascii")
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        return (size, etag) if size and _STRONG_ETAG.fullmatch(etag) else None

    def start(self, etag: str | None) -> None:
        """Empty the file and store the new ETag."""
        with self._writing:
            self._check_wanted()
            self._etag_path.unlink(missing_ok=True)
            self.path.write_bytes(b"")
            if etag and _STRONG_ETAG.fullmatch(etag):
                self._etag_path.write_text(etag, "ascii")

    def append(self, chunk: bytes) -> None:
        """Append received bytes."""
        with self._writing:
            self._check_wanted()
            with self.path.open("ab") as file:
                file.write(chunk)

    def give_up(self) -> None:
        """Refuse further writes. Delete the file if it cannot be resumed."""
        with self._writing:
            self._given_up = True
        if self.resumable() is None:
            self.discard()

    def discard(self) -> None:
        """Delete the file and its ETag."""
        self._etag_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _check_wanted(self) -> None:
        if self._given_up:
            raise _GivenUpError


def download(url: str, partial: PartialFile, *, max_size: int, limit_s: float, received: Received) -> None:
    """Download a file.

    Args:
        url: Redirects are followed, from https to https only, and never to link-local addresses.
        partial: Holds the whole file afterwards. After a failure it keeps the received part if it can be resumed.
        max_size: Size limit, bytes.
        limit_s: Timeout of the download, seconds.
        received: Progress callback.

    Raises:
        ModelDownloadError: The download failed or timed out; with the reason.
        OSError: The file could not be written.
    """
    outcome: concurrent.futures.Future[None] = concurrent.futures.Future()

    def run() -> None:
        try:
            _fetch(url, partial, max_size, received)
        except BaseException as error:
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    # Only a thread can be abandoned when name resolution hangs or headers arrive one by one.
    threading.Thread(target=run, name="download", daemon=True).start()
    try:
        if not concurrent.futures.wait([outcome], limit_s).done:
            raise ModelDownloadError(f"the download timed out after {limit_s:g} s")
        outcome.result()
    except BaseException:
        partial.give_up()
        raise


def _fetch(url: str, partial: PartialFile, max_size: int, received: Received) -> None:
    most = -1
    for _ in range(ATTEMPTS):
        try:
            return _attempt(url, partial, max_size, received)
        except _BrokenOffError:
            size = partial.path.stat().st_size
            if size <= most:  # no progress
                raise
            most = size
    raise ModelDownloadError(f"the connection was interrupted {ATTEMPTS} times")


def _attempt(url: str, partial: PartialFile, max_size: int, received: Received) -> None:
    """Request the missing part once."""
    # Content codings would invalidate ranges and lengths.
    headers = {"Accept-Encoding": "identity"}
    if resumable := partial.resumable():
        headers |= {"Range": f"bytes={resumable[0]}-", "If-Range": resumable[1]}
    with http_session() as session:
        try:
            response = _answer(session, url, headers)
        except requests.Timeout as error:
            raise ModelDownloadError("the server does not respond") from error
        except requests.exceptions.SSLError as error:
            raise ModelDownloadError(
                f"the certificate of its server is not trusted ({_reason(error)}). {PRIVATE_AUTHORITY}"
            ) from error
        except (
            requests.RequestException,
            ValueError,
        ) as error:  # ValueError: a redirect to an invalid URL
            raise ModelDownloadError(_reason(error)) from error
        with response:
            if resumable and _is_complete(response, resumable):
                return
            position = _position(response, partial, resumable)
            if position[0] == 0:
                partial.start(response.headers.get("ETag"))
            _receive(response, partial, position, max_size, received)


def _receive(
    response: requests.Response,
    partial: PartialFile,
    position: tuple[int, int | None],
    max_size: int,
    received: Received,
) -> None:
    """Append the body of a response and check that it is complete."""
    at, total = position
    try:
        if (total or 0) <= max_size:
            for chunk in response.iter_content(CHUNK):
                at += len(chunk)
                if at > max_size:
                    break
                partial.append(chunk)
                received(at, total)
    except requests.RequestException as error:
        raise _BrokenOffError(f"the connection was interrupted after {at / 1e6:.1f} MB") from error
    if max(at, total or 0) > max_size:
        partial.discard()
        raise ModelDownloadError(f"the server sends more than the limit of {max_size / 1e6:.1f} MB")
    if total and at < total:
        raise _BrokenOffError(f"the connection was interrupted after {at / 1e6:.1f} of {total / 1e6:.1f} MB")


def _answer(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Return the response after all redirects; the caller closes it."""
    allowed = {"https", urlsplit(url).scheme}
    for _ in range(REDIRECTS + 1):
        response = session.get(
            url,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(CONNECT_LIMIT_S, SILENCE_LIMIT_S),
        )
        if response.status_code not in _REDIRECTS or "Location" not in response.headers:
            return response
        response.close()
        url = urljoin(url, response.headers["Location"])
        if (scheme := urlsplit(url).scheme) not in allowed:
            raise ModelDownloadError(f"the server redirects to the unsafe scheme {scheme!r}")
        if _is_link_local(urlsplit(url).hostname or ""):
            raise ModelDownloadError(
                "the server redirects to a link-local address, where clouds keep secrets"
            )
    raise ModelDownloadError(f"the server redirects more than {REDIRECTS} times")


def _is_link_local(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # the request will raise the reason
        return False
    addresses = [ipaddress.ip_address(str(address[0]).split("%")[0]) for *_, address in found]
    return any((getattr(address, "ipv4_mapped", None) or address).is_link_local for address in addresses)


def _is_complete(response: requests.Response, resumable: tuple[int, str]) -> bool:
    """Tell whether the response reports the partial file as complete."""
    nothing_behind = response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    return nothing_behind and response.headers.get("Content-Range") == f"bytes */{resumable[0]}"


def _position(
    response: requests.Response, partial: PartialFile, resumable: tuple[int, str] | None
) -> tuple[int, int | None]:
    """Return the response's offset in the file, and the total size if known.

    Raises:
        ModelDownloadError: The response is not the file.
    """
    if resumable and response.status_code in _ANSWERS_TO_A_RANGE:
        size, etag = resumable
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match and int(match[1]) == size and response.headers.get("ETag", etag) == etag:
            return size, int(match[2])
        partial.start(None)
        raise _BrokenOffError("the server sends another range than requested")
    if response.status_code != HTTPStatus.OK:
        raise ModelDownloadError(
            f"the server returns {response.status_code} {response.reason or ''}".rstrip()
        )
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise ModelDownloadError(
            "the server sends a web page instead of the file, as a proxy with a login does"
        )
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ModelDownloadError("the server sends an unrequested Content-Encoding")
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if _LENGTH.fullmatch(length) else None


def _reason(error: BaseException) -> str:
    """Return the message of the root cause, such as the operating system's or TLS's."""
    cause = error
    while cause.__context__ is not None:
        cause = cause.__context__
    said = cause.strerror if isinstance(cause, OSError) else None
    return said or str(cause) or type(cause).__name__
