"""Connections to Label Studio and other servers: through which proxy, and what their failures mean."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import cast
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from adapters.sentences import printable
from runners.web_identity import PRIVATE_AUTHORITY, tls_context, user_agent

_LOG = logging.getLogger(__name__)


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
        bare = url.path in {"", "/"} and not url.query_string and not url.fragment
        valid = url.scheme in {"http", "https"} and bool(url.host) and url.port is not None and bare
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

    This machine is never reached through a proxy.

    Raises:
        ValueError: HTTPS_PROXY or HTTP_PROXY holds something else.
    """
    url = URL(address)
    if url.host is None or _is_this_machine(url.host) or proxy_bypass(f"{url.host}:{url.port}"):
        return None
    found = getproxies()
    if text := found.get(url.scheme):
        return read_proxy(f"{url.scheme.upper()}_PROXY", text)
    if text := found.get("all"):
        try:
            return read_proxy("ALL_PROXY", text)
        except ValueError as error:  # usually SOCKS for other programs
            _LOG.warning("ALL_PROXY is ignored: %s.", error)
    return None


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


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
        raise_for_status=proxy_refusals if proxy else False,
        trust_env=False,
    )


async def proxy_refusals(response: aiohttp.ClientResponse) -> None:
    """Raise the error of a proxy that wants a password; aiohttp raises it for https only."""
    if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        response.close()
        raise aiohttp.ClientHttpProxyError(response.request_info, response.history, status=response.status)


def connection_problem(error: BaseException) -> str | None:
    """Return what is wrong with a name, TLS or a proxy and what to do, as the end of a sentence; else None."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause: object = error.certificate_error
        why = str(getattr(cause, "verify_message", "") or type(cause).__name__)
        return f"has no trusted certificate ({printable(why, 100)}). {PRIVATE_AUTHORITY}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        cause = cast(object, error.os_error)
        why = str(getattr(cause, "reason", "") or type(cause).__name__)
        return f"does not speak TLS as expected ({printable(why, 100)}). Check https:// and the port"
    if isinstance(error, aiohttp.ClientConnectorDNSError):  # the name may be the proxy's
        return f"is unreachable: the name {printable(error.host, 100)} is unknown. Check it"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"is behind the proxy {error.host}:{error.port}, which is unreachable. Check its address"
    return _response_problem(error)


def _response_problem(error: BaseException) -> str | None:
    """Return what is wrong with a response, without the error's own text, which may hold the proxy's password."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"is not available through the proxy, which returns {error.status}. Check its user, password and rules"
    if isinstance(error, aiohttp.ClientResponseError):
        return "does not answer with valid HTTP, or a proxy before it does not. Check both addresses"
    return None
