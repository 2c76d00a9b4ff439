"""The work of a running server's networks, from its /metrics."""

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
        seconds: Inference time of each network, without queue wait.
        crops: Number of crops of each network; of the detector: pictures.
        batches: Number of batches of each network by size.
    """

    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    crops: Mapping[str, float] = field(default_factory=dict[str, float])
    batches: Mapping[str, Mapping[int, float]] = field(default_factory=dict[str, Mapping[int, float]])

    def plus(self, other: "NetworkWork") -> "NetworkWork":
        """Return the sum of both."""
        return self._combined(other, 1)

    def since(self, before: "NetworkWork") -> "NetworkWork":
        """Return the work since an earlier reading."""
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
        """Inference time of all networks together."""
        return sum(self.seconds.values())

    @property
    def mean_batches(self) -> dict[str, float]:
        """Mean batch size of each network that had batches."""
        counts = {network: sum(sizes.values()) for network, sizes in self.batches.items()}
        return {
            network: round(self.crops[network] / count, 2)
            for network, count in sorted(counts.items())
            if count
        }

    @property
    def batch_counts(self) -> dict[str, dict[str, int]]:
        """Number of batches of each size, without sizes that did not occur."""
        return {
            network: {str(size): round(count) for size, count in sorted(sizes.items()) if count}
            for network, sizes in sorted(self.batches.items())
        }


def _sums(a: Mapping[Key, float], b: Mapping[Key, float], sign: int) -> dict[Key, float]:
    return {key: a.get(key, 0) + sign * b.get(key, 0) for key in a.keys() | b.keys()}


def network_work(exposition: str) -> NetworkWork:
    """Parse the networks' work from metrics in Prometheus' text format."""
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
    """Return batches by size. The buckets' bounds are all possible sizes, so none is above the last."""
    sizes: dict[int, float] = {}
    before = 0.0
    for bound in sorted(up_to):
        if bound != float("inf"):
            sizes[int(bound)] = up_to[bound] - before
            before = up_to[bound]
    return sizes


async def read_network_work(session: aiohttp.ClientSession, address: str) -> NetworkWork:
    """Return the work of a server's networks since it started."""
    async with session.get(f"{address}/metrics") as answer:
        return network_work(await answer.text())


def outside_ms(latencies: Sequence[float], work: NetworkWork) -> float:
    """Return the mean latency of a single caller's pictures outside the networks, in milliseconds.

    Args:
        latencies: Latency of each request, seconds; none concurrent.
        work: The networks' work for these requests.
    """
    return 1000 * (sum(latencies) - work.total_seconds) / len(latencies)
