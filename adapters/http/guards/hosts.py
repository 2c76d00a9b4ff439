"""The names by which browsers may reach this service.

A page of another site can make its own host name resolve to this server (DNS rebinding). The browser then takes both
for one site, and the page may send any request and read the response. The Host header still has the page's name.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+?)\.?(?::[0-9]*)?", re.IGNORECASE)
_NAME = re.compile(r"(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.IGNORECASE)
_RESERVED = (".localhost", ".local", ".internal", ".home.arpa", ".test")
"""Suffixes that cannot be registered (RFC 6761, 6762, 8375, and ICANN for `internal`)."""
_LONGEST_NAME = 253
_SENT_BY_BROWSERS = frozenset({"origin", "referer", "accept-language"})
"""Pages can make a browser omit the first two, but not the last."""


def as_host_pattern(text: str) -> str:
    """Return a host name, or `*.` and a suffix, in lower case.

    Raises:
        ValueError: The text is neither; it is an address, for example.
    """
    if not _NAME.fullmatch(text) or len(text) > _LONGEST_NAME:
        raise ValueError("write each host as a name without scheme and port, such as pose.example.org")
    return text.lower()


@dataclass(frozen=True)
class KnownHosts:
    """The names by which browsers may reach this service.

    Always known: IP addresses, names without a dot, the machine's own, and those under a reserved suffix.

    Attributes:
        patterns: Further names, as `as_host_pattern` returns them.
    """

    patterns: frozenset[str] = frozenset()

    @classmethod
    def named(cls, patterns: Iterable[str]) -> "KnownHosts":
        """Return the given patterns and the machine's own name."""
        return cls(frozenset((*patterns, socket.gethostname().lower())))

    def unknown(self, headers: Headers) -> str | None:
        """Return the Host name of a browser's request if it is unknown, else None.

        Label Studio and other programs may use any name, since no page controls them.
        """
        given = headers.get("host")
        if given is None or not from_browser(headers):
            return None
        found = _HOST.fullmatch(given)
        name = found[1].lower() if found else ""
        return None if name and self._knows(name) else name[:_LONGEST_NAME]

    def _knows(self, name: str) -> bool:
        if "." not in name or name.endswith(_RESERVED) or _is_address(name) or name in self.patterns:
            return True
        parents = (name.split(".", count)[-1] for count in range(1, name.count(".") + 1))
        return any(f"*.{parent}" in self.patterns for parent in parents)


def from_browser(headers: Headers) -> bool:
    """Return whether a browser sent a request, for a page or from its address bar."""
    return any(name in _SENT_BY_BROWSERS or name.startswith("sec-fetch-") for name in headers) or headers.get(
        "user-agent", ""
    ).startswith("Mozilla/")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
