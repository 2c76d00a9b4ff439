"""Strict parsing of web addresses.

Anybody who may import tasks chooses addresses. If two parsers read an address differently, an attacker can bypass the
guard. So each address is parsed once, ambiguous ones are errors, and the parsed URL is the object that is requested.
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
# Characters that a path and a query may contain unescaped (RFC 3986), and complete percent escapes.
_ENCODED = re.compile(r"(?:[A-Za-z0-9\-._~:/?@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port: two addresses with the same origin belong to the same server."""

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
        text: from a task or a Location header. Spaces and non-ASCII letters in the path are escaped. Existing escapes
            stay unchanged, byte for byte, since they may be signed.

    Returns:
        The URL to request. Its host is lower-case ASCII, or an IP address in canonical notation. It has no user,
        password or fragment.

    Raises:
        PictureError: ``bad_address``.
    """
    if len(text) > MAX_LENGTH:
        raise PictureError(
            "bad_address",
            f"The address has {len(text)} characters; the limit is {MAX_LENGTH}. Use a shorter one.",
        )
    if has_control_characters(text):
        _refuse(text, "contains control characters")
    match = _WEB_ADDRESS.match(text)
    if match is None:
        _refuse(text, "is not an http:// or https:// address")
    scheme, authority, rest = match[1].lower(), match[2], match[3]
    if "@" in authority:
        _refuse(text, "contains a user name or password; use an address without them")
    if "\\" in authority or "\\" in rest.partition("?")[0]:
        _refuse(text, "contains a backslash, which is ambiguous; use a slash")
    split = _AUTHORITY.fullmatch(authority)
    if split is None:
        _refuse(text, "has no valid host and port")
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
        _refuse(text, "is not a valid URL")
    # The requested URL must equal the checked one, however the library parses the text.
    if parsed != origin:
        _refuse(text, "is ambiguous")
    return url


def origin_of(url: URL) -> Origin:
    """Return the origin of an absolute http(s) URL."""
    if url.raw_host is None or url.port is None:
        raise ValueError("the address has no host")
    return Origin(url.scheme, url.raw_host, url.port)


def canonical_host(text: str) -> str:
    """Return the canonical form of a host, which is compared, resolved and connected to.

    Args:
        text: a name, possibly international, an IPv4 address, or an IPv6 address in brackets.

    Raises:
        ValueError: the message is the predicate of a sentence about the address.
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
        # Only four decimal numbers are unambiguous: some programs read 127.1, 0177.0.0.1, 0x7f000001 and 2130706433
        # as 127.0.0.1.
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise ValueError("has a numeric host that is not four plain decimal numbers") from None
    return host


def ip_literal(host: str) -> IPAddress | None:
    """Return the IP address that a canonical host is, or None for a name."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except ValueError:
        return None


def has_control_characters(text: str) -> bool:
    """Return whether the text has invisible characters or line ends."""
    # Cc: control, Cs: lone surrogates (undecodable bytes), Zl and Zp: line and paragraph separators.
    return not text.isprintable() and any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in text)


def shown(address: str | URL) -> str:
    """Return an address for logs: one short line without query and password.

    In a text that was not parsed as an address, everything before the last @ may be a password, except in a path of
    Label Studio.
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
