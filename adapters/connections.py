"""Connections to Label Studio and other servers: through which proxy, and what their failures mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from adapters.sentences import printable
from runners.web_identity import PRIVATE_AUTHORITY, tls_context, user_agent


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy; as text, without its password.

    Attributes:
        url: With user and password, if any.
    """

    url: URL = field(repr=False)

    def __str__(self) -> str:
        return str(self.url.origin())


def read_proxy(setting: str, text: str) -> Proxy:
    """Read the address of a proxy.

    Raises:
        ValueError: It has another form; the message does not show it, since it may hold a password.
    """
    try:
        url = URL(text if "://" in text else f"http://{text}")
        valid = url.scheme in {"http", "https"} and bool(url.host) and url.port is not None
    except ValueError:
        valid = False
        url = URL()
    if not valid:
        raise ValueError(
            f"{setting} is not the address of an HTTP proxy, such as http://proxy.example.org:3128"
        )
    return Proxy(url)


def environment_proxy(address: str) -> Proxy | None:
    """Return the proxy of HTTPS_PROXY, HTTP_PROXY and ALL_PROXY for an address, unless NO_PROXY excludes it.

    Raises:
        ValueError: The variable holds something else.
    """
    url = URL(address)
    found = getproxies()
    text = found.get(url.scheme) or found.get("all")
    if not text or url.host is None or proxy_bypass(f"{url.host}:{url.port}"):
        return None
    return read_proxy(f"{url.scheme.upper()}_PROXY", text)


def open_session(
    proxy: Proxy | None,
    timeout: aiohttp.ClientTimeout,
    *,
    headers: Mapping[str, str] | None = None,
) -> aiohttp.ClientSession:
    """Return a session that trusts `tls_context`, names this program, and sends all requests through a proxy.

    It reads no variables: aiohttp would take passwords from a .netrc as well.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls_context()),
        headers={"User-Agent": user_agent(), **(headers or {})},
        timeout=timeout,
        proxy=proxy.url if proxy else None,
        trust_env=False,
    )


def connection_problem(error: BaseException) -> str | None:
    """Return what is wrong with TLS or a proxy and what to do, as the end of a sentence; None for other errors."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause: object = error.certificate_error
        why = str(getattr(cause, "verify_message", "") or type(cause).__name__)
        return f"has no trusted certificate ({printable(why, 100)}). {PRIVATE_AUTHORITY}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        cause = cast(object, error.os_error)
        why = str(getattr(cause, "reason", "") or type(cause).__name__)
        return f"does not speak TLS as expected ({printable(why, 100)}). Check https:// and the port"
    if isinstance(error, aiohttp.ClientHttpProxyError):  # its text may hold the proxy's password
        return f"is not available through the proxy, which returns {error.status}. Check its user, password and rules"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"is behind the proxy {error.host}:{error.port}, which is unreachable. Check its address"
    return None
