"""Web addresses, read strictly.

Addresses come from whoever may import tasks. Where two programs read one address differently, a guard can be
led past: so only one reading is made here, everything with a second one is an error, and the URL that comes
out is the very object that is requested.
"""

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NoReturn

from yarl import URL

from adapters.pictures.errors import PictureError

IPAddress = IPv4Address | IPv6Address

MAX_LENGTH = 16_384  # presigned addresses reach some kilobytes
_SHOWN_LENGTH = 200
_SHOWN_MEDIA_TYPE = 30

_WEB_ADDRESS = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*")
_OWN_PATH = re.compile(r"/(?![/\\])")
_SCHEME = re.compile(r"[a-z][a-z0-9+-]*://", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Characters that may stand in a path and query as they are (RFC 3986), with whole percent escapes only.
_ENCODED = re.compile(r"(?:[A-Za-z0-9\-._~:/?@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port: what decides whether two addresses are the same party."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if _DEFAULT_PORTS[self.scheme] == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def parse_web_address(text: str) -> URL:
    """Read an absolute http(s) address.

    Args:
        text: as it stands in a task or in a Location header. Spaces and letters beyond ASCII in the path are
            escaped; what is escaped already stays as it is, byte for byte, since it may be signed.

    Returns:
        The URL to request: its host is lower-case ASCII, or an IP address in its one canonical notation; it
        has no user, password or fragment.

    Raises:
        PictureError: ``bad_address``.
    """
    if len(text) > MAX_LENGTH:
        raise PictureError(
            "bad_address", f"The address is {len(text)} characters long; {MAX_LENGTH} are allowed."
        )
    if has_control_characters(text):
        _refuse(text, "contains control characters")
    match = _WEB_ADDRESS.match(text)
    if match is None:
        _refuse(text, "is not an http:// or https:// address")
    scheme, authority, rest = match[1].lower(), match[2], match[3]
    if "@" in authority:
        _refuse(text, "contains a user name or password: give the picture an address that needs none")
    if "\\" in authority or "\\" in rest.partition("?")[0]:
        _refuse(text, "contains a backslash, which programs read differently: use a slash")
    split = _AUTHORITY.fullmatch(authority)
    if split is None:
        _refuse(text, "has no readable host and port")
    try:
        host = canonical_host(split[1])
    except ValueError as error:
        _refuse(text, str(error))
    port = int(split[2]) if split[2] and len(split[2]) <= 5 else _DEFAULT_PORTS[scheme]
    if split[2] and not (len(split[2]) <= 5 and 0 < port < 65536):
        _refuse(text, "has a port that does not exist")

    origin = Origin(scheme, host, port)
    try:
        url = URL(f"{origin}{rest}", encoded=_ENCODED.fullmatch(rest) is not None)
        parsed = origin_of(url)
    except ValueError:
        _refuse(text, "cannot be read")
    # What is requested must be what was checked, whatever the library makes of the text.
    if parsed != origin:
        _refuse(text, "can be read in two ways")
    return url


def origin_of(url: URL) -> Origin:
    """Return the origin of an absolute http(s) URL."""
    if url.raw_host is None or url.port is None:
        raise ValueError("the address has no host")
    return Origin(url.scheme, url.raw_host, url.port)


def canonical_host(text: str) -> str:
    """Bring a host into the one form that is compared, resolved and connected to.

    Args:
        text: a name, possibly international, an IPv4 address, or an IPv6 address in brackets.

    Raises:
        ValueError: with the rest of a sentence that begins with the address.
    """
    if text.startswith("["):
        literal = text[1:-1]
        if "%" in literal:
            raise ValueError("names a network interface (zone), which is not allowed")
        try:
            return str(IPv6Address(literal))
        except ValueError:
            raise ValueError("has no valid IPv6 address in its brackets") from None
    host = text
    if not host.isascii():
        try:
            host = URL.build(scheme="http", host=host).raw_host or ""
        except ValueError:  # UnicodeError is one
            raise ValueError("has a host name that is not a valid international name") from None
    host = host.lower().removesuffix(".")
    if len(host) > 253 or _HOST_NAME.fullmatch(host) is None:
        raise ValueError("has no valid host name")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        # Only four decimal numbers mean the same to every program: 127.1, 0177.0.0.1, 0x7f000001 and
        # 2130706433 are all read as 127.0.0.1 by some.
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise ValueError("has a numeric host that is not four plain decimal numbers") from None
    return host


def ip_literal(host: str) -> IPAddress | None:
    """Return the address that a canonical host is, or None if it is a name."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except ValueError:
        return None


def has_control_characters(text: str) -> bool:
    """Tell whether the text has characters that are invisible or end a line."""
    # Cc: control, Cs: lone surrogates (undecodable bytes), Zl and Zp: line and paragraph separators.
    return not text.isprintable() and any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in text)


def shown(address: str | URL) -> str:
    """Return an address fit for a log: no query, no password, one line, not long.

    Of a text that was not read as an address, all before its last @ may be a password; paths of Label Studio have
    none.
    """
    text = str(address).partition("?")[0].partition("#")[0]
    if text[:5].lower() == "data:":
        media_type, comma, _ = text.partition(",")
        text = f"{media_type[:_SHOWN_MEDIA_TYPE] if comma else 'data:'},…"
    elif isinstance(address, str) and _OWN_PATH.match(text) is None and "@" in text:
        scheme = _SCHEME.match(text)
        text = f"{scheme[0] if scheme else ''}…@{text.rpartition('@')[2]}"
    if len(text) > _SHOWN_LENGTH:
        text = text[:_SHOWN_LENGTH] + "…"
    return text if text.isprintable() else ascii(text)[1:-1]


def _refuse(text: str, why: str) -> NoReturn:
    raise PictureError("bad_address", f"The picture's address {shown(text)} {why}.")
