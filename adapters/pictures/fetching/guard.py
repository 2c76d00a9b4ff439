"""The hosts from which pictures may be fetched.

A task's author chooses the address, but this server connects to it from inside its network. So by default only public
addresses are allowed, and the check is made on the IP address actually connected to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.address import IPAddress, Origin, canonical_host, ip_literal

IPNetwork = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(ip_network(text) for text in texts)


_LOOPBACK = _networks("127.0.0.0/8", "::1/128")
_PRIVATE = _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
# Cloud metadata services outside the link-local networks: Alibaba, Oracle, Azure, Amazon.
_METADATA = _networks("100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32", "fd00:ec2::/32")
# All IPv6 addresses assigned for public use (RFC 4291, IANA).
_PUBLIC_IPV6 = IPv6Network("2000::/3")
# Special-purpose networks (IANA registries, RFC 6890) that are `is_global` in some or all Python versions.
_NEVER_PUBLIC = _networks(
    "0.0.0.0/8",
    "192.0.0.0/24",
    "192.88.99.0/24",  # 6to4 relays
    "224.0.0.0/4",
    "240.0.0.0/4",
    "2001::/23",  # Teredo, ORCHID and other protocols
    "2001:db8::/32",
    "2002::/16",  # 6to4: carries any IPv4 address
    "3fff::/20",
)
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class _HostPattern:
    """One host entry of ALLOWED_IMAGE_HOSTS."""

    suffix: str
    any_subdomain: bool
    port: int | None

    def matches(self, host: str, port: int) -> bool:
        if self.port not in (None, port):
            return False
        return host.endswith(f".{self.suffix}") if self.any_subdomain else host == self.suffix


@dataclass(frozen=True)
class AddressPolicy:
    """Decides whether a host at an IP address may be connected to.

    Allowed are Label Studio at any address, addresses in an allowed network, public addresses, and private addresses
    of an allowed name. An exact name may resolve to loopback, a wildcard name may not. No name may resolve to
    link-local, multicast or metadata addresses: their network must be in the list.
    """

    label_studio: Origin | None
    hosts: tuple[_HostPattern, ...]
    networks: tuple[IPNetwork, ...]

    @classmethod
    def of(cls, label_studio: Origin | None, allowed_hosts: Sequence[str]) -> "AddressPolicy":
        """Read the patterns ``host``, ``host:port``, ``*.example.org``, ``10.0.0.5`` and ``10.0.0.0/8``.

        Raises:
            ValueError: if a pattern has another form.
        """
        hosts: list[_HostPattern] = []
        networks: list[IPNetwork] = []
        for pattern in allowed_hosts:
            entry = _parse_pattern(pattern.strip())
            if isinstance(entry, _HostPattern):
                hosts.append(entry)
            else:
                networks.append(entry)
        return cls(label_studio, tuple(hosts), tuple(networks))

    def admits(self, host: str, port: int, address: IPAddress) -> bool:
        """Return whether ``host``, resolved to ``address``, may be connected to on ``port``."""
        if self.label_studio is not None and (host, port) == (self.label_studio.host, self.label_studio.port):
            return True
        address = _carried(address)
        if _within(address, self.networks) or is_public(address):
            return True
        matching = [pattern for pattern in self.hosts if pattern.matches(host, port)]
        if _within(address, _LOOPBACK):
            return any(not pattern.any_subdomain for pattern in matching)
        return bool(matching) and _within(address, _PRIVATE) and not _within(address, _METADATA)

    def lists(self, host: str, port: int) -> bool:
        """Return whether ALLOWED_IMAGE_HOSTS has a name for a host."""
        return any(pattern.matches(host, port) for pattern in self.hosts)

    def check(self, host: str, port: int, addresses: Sequence[IPAddress]) -> list[IPAddress]:
        """Return a host's addresses that may be connected to.

        Raises:
            PictureError: ``refused``, if there are none.
        """
        admitted = [address for address in addresses if self.admits(host, port, address)]
        if not admitted:
            places = ", ".join(str(address) for address in addresses[:4])
            at = "" if places == host else f" ({places})"
            raise PictureError(
                "refused",
                f"{host}{at} is not a public address. To allow it, add it to ALLOWED_IMAGE_HOSTS. If it is your "
                "Label Studio, set LABEL_STUDIO_URL to it.",
            )
        return admitted


def is_public(address: IPAddress) -> bool:
    """Return whether an address is unicast and public, with the same result in every Python version."""
    address = _carried(address)
    if not address.is_global or address.is_multicast or _within(address, _NEVER_PUBLIC):
        return False
    if _within(address, _METADATA):
        return False
    return isinstance(address, IPv4Address) or address in _PUBLIC_IPV6


def _carried(address: IPAddress) -> IPAddress:
    """Return the IPv4 address inside an IPv4-mapped or NAT64 address: packets go there."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


def _within(address: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    return any(address in network for network in networks)  # False across IP versions


def _parse_pattern(pattern: str) -> _HostPattern | IPNetwork:
    try:
        return ip_network(pattern.strip("[]"))
    except ValueError:
        pass  # a name, or an address with a port
    name, port = pattern, None
    if pattern.count(":") == 1 or "]:" in pattern:
        name, _, digits = pattern.rpartition(":")
        port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else 0
        if not 0 < port < 65536:
            raise ValueError(f"ALLOWED_IMAGE_HOSTS: the port in {pattern!r} is not a number from 1 to 65535.")
    any_subdomain = name.startswith("*.")
    try:
        host = canonical_host(name.removeprefix("*."))
    except ValueError:
        host = None
    if host is None or (any_subdomain and ip_literal(host)):
        raise ValueError(
            f"ALLOWED_IMAGE_HOSTS: {pattern!r} is invalid. Write host names or addresses without http:// and path, "
            f"such as images.example.org, *.example.org, minio:9000 or 10.0.0.0/8."
        )
    return _HostPattern(host, any_subdomain, port)
