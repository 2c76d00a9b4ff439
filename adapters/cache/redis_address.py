"""Parses REDIS_URL, the address of the shared entries."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_FORMS = "redis://host:6379/0, rediss://user:password@host:6379/0 (TLS) or unix:///path/to/redis.sock?db=0"
_RESERVED = "reserved characters of a password are written as %23 (#), %2F (/), %3F (?), %40 (@)"
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OPTIONS = f"db and, for rediss, {', '.join(_FILES)} and ssl_check_hostname"
_YES_OR_NO = {"true": True, "false": False}


class RedisAddressError(ValueError):
    """REDIS_URL is invalid. The message says why, and never shows the value, which may hold a password."""


@dataclass(frozen=True)
class RedisAddress:
    """The address of a Redis.

    Attributes:
        scheme: `redis`, `rediss` or `unix`.
        shown: The address without user name, password and options, for log lines.
        options: Arguments of redis-py's connection class for the scheme.
    """

    scheme: str
    shown: str
    options: dict[str, Any] = field(repr=False)


def parse_redis_url(url: str) -> RedisAddress:
    """Parse REDIS_URL.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`, with user name and password (percent-encoded) before the
            host. After a `?`: `db`; for `rediss` also `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (files) and
            `ssl_check_hostname` (`true`, `false`). Certificates are always verified.

    Raises:
        RedisAddressError: It has another form, or a file is missing.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RedisAddressError(f"cannot be read; write {_FORMS}; {_RESERVED}") from error
    if parts.scheme not in {"redis", "rediss", "unix"} or parts.fragment:
        raise RedisAddressError(f"cannot be read; write {_FORMS}; {_RESERVED}")
    queried = dict(parse_qsl(parts.query, keep_blank_values=True))
    login = {
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
    }
    if parts.scheme == "unix":
        path = unquote(parts.path)
        if not path or parts.hostname:
            raise RedisAddressError(f"names no socket; write {_FORMS}")
        options = {"path": path, "db": _database(queried.pop("db", ""))}
        shown = f"unix://{path}"
    else:
        if not parts.hostname:
            raise RedisAddressError(f"names no host; write {_FORMS}; {_RESERVED}")
        number = queried.pop("db", "") or parts.path.removeprefix("/")
        options = {"host": parts.hostname, "port": port or 6379, "db": _database(number)}
        shown = _shown(parts, port or 6379)
    if parts.scheme == "rediss":
        options |= _tls(queried)
    if queried:
        # Its name is not shown: it may be the end of a password with a question mark in it.
        raise RedisAddressError(f"has an unknown option after the question mark; known are {_OPTIONS}")
    return RedisAddress(parts.scheme, shown, options | login)


def _shown(parts: SplitResult, port: int) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def _database(number: str) -> int:
    if number and not (number.isascii() and number.isdigit() and len(number) <= 5):
        raise RedisAddressError(f"must end with the number of a database, or with nothing; write {_FORMS}")
    return int(number or 0)


def _tls(queried: dict[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {"ssl_min_version": ssl.TLSVersion.TLSv1_2, "ssl_check_hostname": True}
    for name in _FILES:
        if name in queried:
            path = queried.pop(name)
            if not Path(path).is_file():
                raise RedisAddressError(f"has the option {name}, but there is no such file")
            options[name] = path
    if "ssl_check_hostname" in queried:
        value = queried.pop("ssl_check_hostname").lower()
        if value not in _YES_OR_NO:
            raise RedisAddressError("has the option ssl_check_hostname, which must be true or false")
        options["ssl_check_hostname"] = _YES_OR_NO[value]
    return options
