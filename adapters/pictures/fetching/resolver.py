"""Name resolution that returns only addresses that may be connected to."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.pictures.fetching.address import IPAddress
from adapters.pictures.fetching.guard import AddressPolicy

_THREADS = 8


class SystemResolver(AbstractResolver):
    """Uses the system's resolver (hosts file, search domains, DNS) in its own threads.

    So a slow DNS server, which a hostile address can cause, blocks none of the threads that decode pictures.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return every address of the host, or raise OSError if it has none."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Cancel pending lookups; running ones finish."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class GuardedResolver(AbstractResolver):
    """Filters the addresses of another resolver by the policy.

    The connector connects to exactly these addresses without a second lookup, so DNS rebinding has no effect. IP
    addresses in a URL are never resolved; PictureSource checks them.
    """

    def __init__(self, resolver: AbstractResolver, policy: AddressPolicy) -> None:
        self._resolver = resolver
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the admitted addresses.

        Raises:
            PictureError: ``refused``, if none is admitted.
            OSError: if the host has no address.
        """
        results = await self._resolver.resolve(host, port, family)
        addresses = addresses_in(results)
        if not addresses:
            raise OSError(f"{host} has no address")
        admitted = set(self._policy.check(host, port, addresses))
        return [result for address, result in zip(addresses, results, strict=True) if address in admitted]

    async def close(self) -> None:
        """Close the wrapped resolver."""
        await self._resolver.close()


def addresses_in(results: Sequence[ResolveResult]) -> list[IPAddress]:
    """Return the address of each result of a resolver."""
    # A zone id ("fe80::1%eth0") is ignored in the check: its address is link-local in any case.
    return [ip_address(result["host"].partition("%")[0]) for result in results]
