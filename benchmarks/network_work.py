"""What the networks of a running server have done, from its own /metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

Key = TypeVar("Key")


@dataclass(frozen=True)
class NetworkWork:
    """Time and batches, by network.

    Attributes:
        seconds: Time that each network computed; waiting for its turn is no part of it.
        crops: How many crops (of the detector: pictures) each was given.
        batches: How many batches each was given, by their size.
    """

    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    crops: Mapping[str, float] = field(default_factory=dict[str, float])
    batches: Mapping[str, Mapping[int, float]] = field(default_factory=dict[str, Mapping[int, float]])

    def plus(self, other: "NetworkWork") -> "NetworkWork":
        """Return the work of both."""
        return self._combined(other, 1)

    def since(self, before: "NetworkWork") -> "NetworkWork":
        """Return what has been done since an earlier reading."""
        return self._combined(before, -1)

    def _combined(self, other: "NetworkWork", sign: int) -> "NetworkWork":
        return NetworkWork(
            _sums(self.seconds, other.seconds, sign),
            _sums(self.crops, other.crops, sign),
            {
                network: _sums(self.batches.get(network, {}), other.batches.get(network, {}), sign)
                for network in self.batches.keys() | other.batches.keys()
            },
        )

    @property
    def total_seconds(self) -> float:
        """Time in all networks together."""
        return sum(self.seconds.values())

    @property
    def mean_batches(self) -> dict[str, float]:
        """Mean size of the batches of each network that had any."""
        counts = {network: sum(sizes.values()) for network, sizes in self.batches.items()}
        return {
            network: round(self.crops[network] / count, 2)
            for network, count in sorted(counts.items())
            if count
        }

    @property
    def batch_counts(self) -> dict[str, dict[str, int]]:
        """How many batches of each size there were, sizes that did not happen left out."""
        return {
            network: {str(size): round(count) for size, count in sorted(sizes.items()) if count}
            for network, sizes in sorted(self.batches.items())
        }


def _sums(a: Mapping[Key, float], b: Mapping[Key, float], sign: int) -> dict[Key, float]:
    return {key: a.get(key, 0) + sign * b.get(key, 0) for key in a.keys() | b.keys()}


def network_work(exposition: str) -> NetworkWork:
    """Read what the networks did from metrics in Prometheus' text format."""
    seconds: dict[str, float] = {}
    crops: dict[str, float] = {}
    up_to: dict[str, dict[float, float]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            match sample.name:
                case "rtmlib_network_seconds_sum":
                    seconds[sample.labels["network"]] = sample.value
                case "rtmlib_network_batch_size_sum":
                    crops[sample.labels["network"]] = sample.value
                case "rtmlib_network_batch_size_bucket":
                    bound = float(sample.labels["le"])
                    up_to.setdefault(sample.labels["network"], {})[bound] = sample.value
                case _:
                    pass
    return NetworkWork(seconds, crops, {network: _by_size(counts) for network, counts in up_to.items()})


def _by_size(up_to: Mapping[float, float]) -> dict[int, float]:
    """Batches by size. The buckets' bounds are all sizes that there are, so nothing is above the last of them."""
    sizes: dict[int, float] = {}
    before = 0.0
    for bound in sorted(up_to):
        if bound != float("inf"):
            sizes[int(bound)] = up_to[bound] - before
            before = up_to[bound]
    return sizes


async def read_network_work(session: aiohttp.ClientSession, address: str) -> NetworkWork:
    """Ask a server what its networks have done since it started."""
    async with session.get(f"{address}/metrics") as answer:
        return network_work(await answer.text())


def outside_ms(latencies: Sequence[float], work: NetworkWork) -> float:
    """Return how long a picture of a single caller is not in the networks, in milliseconds.

    Args:
        latencies: Time of each request from sending to answer, seconds; no two at once.
        work: What the networks did for them.
    """
    return 1000 * (sum(latencies) - work.total_seconds) / len(latencies)
