"""The connections over which pictures are fetched: guarded, or through a proxy after the same check."""

import socket
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from adapters.connections import Proxy, environment_proxy, tls_context, user_agent
from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.address import ip_literal, origin_of
from adapters.pictures.fetching.guard import AddressPolicy
from adapters.pictures.fetching.label_studio_site import LabelStudioSite
from adapters.pictures.fetching.resolver import GuardedResolver, SystemResolver
from adapters.pictures.limits import PictureLimits

_HEADERS = {
    "User-Agent": user_agent(),
    # Not image/*: Label Studio's API views return 406 for types that they do not negotiate.
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}


class PictureConnections:
    """HTTP sessions for pictures. An async context manager.

    Label Studio is reached as its API is: through the proxy of the environment, if there is one. All other hosts are
    connected to directly, or through IMAGE_PROXY.

    Args:
        policy: Which hosts may be connected to.
        site: Label Studio, if there is one.
        limits: Time limits.
        resolver: Of host names.
        proxy: IMAGE_PROXY.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        site: LabelStudioSite | None,
        limits: PictureLimits,
        resolver: AbstractResolver | None,
        proxy: Proxy | None,
    ) -> None:
        self._policy = policy
        self._site = site
        self._site_proxy = environment_proxy(str(site.origin)) if site else None
        self._proxy = proxy
        self._resolver = resolver or SystemResolver()
        self._timeout = aiohttp.ClientTimeout(
            total=None,  # counted over all requests of a picture
            sock_connect=limits.connect_seconds,
            sock_read=limits.first_byte_seconds,
        )
        self._opened = AsyncExitStack()
        self._sessions: dict[Proxy | None, aiohttp.ClientSession] = {}
        self._guarded: GuardedResolver | None = None

    async def __aenter__(self) -> Self:
        self._guarded = GuardedResolver(self._resolver, self._policy)
        for proxy in {None, self._site_proxy, self._proxy}:
            self._sessions[proxy] = await self._opened.enter_async_context(self._open(proxy, self._guarded))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sessions = {}
        self._guarded = None
        await self._opened.aclose()

    async def session(self, url: URL) -> aiohttp.ClientSession:
        """Return the session for an address that may be connected to.

        Raises:
            PictureError: ``refused``, or ``unreachable`` if a name for the proxy cannot be checked.
        """
        if self._guarded is None:
            raise RuntimeError("PictureSource is used outside of its async with block")
        origin = origin_of(url)
        if self._site is not None and origin == self._site.origin:
            return self._sessions[self._site_proxy]
        address = ip_literal(origin.host)
        if address is not None:  # the resolver checks names when they are connected to
            self._policy.check(origin.host, origin.port, [address])
        elif self._proxy is not None:
            await self._check_name(self._guarded, origin.host, origin.port)
        return self._sessions[self._proxy]

    async def _check_name(self, resolver: GuardedResolver, host: str, port: int) -> None:
        """Check a name before a proxy resolves it, which this program cannot observe."""
        try:
            await resolver.resolve(host, port, socket.AF_UNSPEC)
        except OSError as error:
            if self._policy.lists(host, port):
                return
            raise PictureError(
                "unreachable",
                f"{host} cannot be resolved here, so it cannot be checked before IMAGE_PROXY connects to it. Add it to "
                "ALLOWED_IMAGE_HOSTS to leave that to the proxy.",
            ) from error

    def _open(self, proxy: Proxy | None, guarded: GuardedResolver) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                # With a proxy, its own name is the only one that is resolved.
                resolver=guarded if proxy is None else None,
                ssl=tls_context(),
                use_dns_cache=False,  # each new connection is checked again
                family=socket.AF_UNSPEC,
                limit=0,  # the slots limit
            ),
            timeout=self._timeout,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),  # cookies must not link one task's pictures to another's
            auto_decompress=False,  # the library would decompress without a limit
            proxy=proxy.url if proxy else None,
            trust_env=False,  # a proxy of the environment would resolve and connect itself, past the guard
        )
