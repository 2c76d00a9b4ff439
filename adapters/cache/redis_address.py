"""Parses REDIS_URL, the address of the shared entries."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_FORMS = "redis://host:6379/0, rediss://user:password@host:6379/0 (TLS) or unix:///path/to/redis.sock?db=0"
_RESERVED = "reserved characters of a password are written as %23 (#), %2F (/), %3F (?), %40 (@)"
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OPTIONS = f"db and, for rediss, {', '.join(_FILES)} and ssl_check_hostname"


class RedisAddressError(ValueError):
    """REDIS_URL is invalid. The message says why, and never shows the value, which may hold a password."""


@dataclass(frozen=True)
class RedisAddress:
    """The address of a Redis.

    Attributes:
        shown: The address without user name, password and options, for log lines.
        url: All of it, for redis-py.
        password: The password in it.
    """

    shown: str
    url: str = field(repr=False)
    password: str | None = field(repr=False)


def parse_redis_url(url: str) -> RedisAddress:
    """Parse REDIS_URL. redis-py parses it again, but ignores some errors and shows the password in others.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`, with user name and password (percent-encoded) before the
            host. After a `?`: `db`; for `rediss` also `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (files) and
            `ssl_check_hostname` (`true`, `false`). Certificates are always verified.

    Raises:
        RedisAddressError: It has another form, or a file is missing.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError as error:
        raise RedisAddressError(f"cannot be read; write {_FORMS}; {_RESERVED}") from error
    if parts.scheme not in {"redis", "rediss", "unix"} or parts.fragment:
        raise RedisAddressError(f"cannot be read; write {_FORMS}; {_RESERVED}")
    if parts.scheme == "unix":
        if not parts.path or parts.hostname:
            raise RedisAddressError(f"names no socket; write {_FORMS}")
        shown, database = f"unix://{unquote(parts.path)}", ""
    else:
        if not parts.hostname:
            raise RedisAddressError(f"names no host; write {_FORMS}; {_RESERVED}")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        shown, database = f"{parts.scheme}://{host}:{port}", parts.path.removeprefix("/")
    _check_options(parts, database)
    return RedisAddress(shown, url, unquote(parts.password) if parts.password else None)


def _check_options(parts: SplitResult, database: str) -> None:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not re.fullmatch(r"[0-9]{0,5}", options.pop("db", "") or database):
        raise RedisAddressError(f"must end with the number of a database, or with nothing; write {_FORMS}")
    if parts.scheme == "rediss":
        for name in _FILES:
            if name in options and not Path(options.pop(name)).is_file():
                raise RedisAddressError(f"has the option {name}, but there is no such file")
        if options.pop("ssl_check_hostname", "true").lower() not in {"true", "false"}:
            raise RedisAddressError("has the option ssl_check_hostname, which must be true or false")
    if options:
        # Its name is not shown: it may be the end of a password with a question mark in it.
        raise RedisAddressError(f"has an unknown option after the question mark; known are {_OPTIONS}")
