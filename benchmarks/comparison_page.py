"""The comparison as tables and a plot."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MOST_OUTSIDE_MS = 20
"""Goal: largest latency of a single caller outside the networks."""
MOST_FOR_PEOPLE = 1.15
"""Goal: largest cost of a picture relative to the networks alone, for any number of people."""


@dataclass
class Found:
    """The measurements of one set of networks.

    Attributes:
        rates: Pictures per second of each lane, one number for each round.
        latency_ms: Latency of a request of each lane: median and 99th percentile.
        outside_ms: For each service with one caller: latency minus time in the networks, mean of all pictures.
        outside_share: `outside_ms` as a share of the latency.
        networks_busy: For each lane of a service: time in the networks per second; more than 1 where several compute
            at once.
        mean_batch: For each lane of a service and network: mean size of batches.
        batches: For each lane of a service and network: number of batches by size.
        gpu_percent: For each served lane: share of the time in which the GPU was in use; absent if unknown.
        start_s: Seconds until each server was ready.
        memory_mib: Memory of each server after the rounds.
        lacking: Unavailable engines, with the reason.
    """

    rates: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    outside_ms: dict[str, float] = field(default_factory=dict[str, float])
    outside_share: dict[str, float] = field(default_factory=dict[str, float])
    networks_busy: dict[str, float] = field(default_factory=dict[str, float])
    mean_batch: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    batches: dict[str, dict[str, dict[str, int]]] = field(
        default_factory=dict[str, dict[str, dict[str, int]]]
    )
    gpu_percent: dict[str, float] = field(default_factory=dict[str, float])
    start_s: dict[str, float] = field(default_factory=dict[str, float])
    memory_mib: dict[str, float] = field(default_factory=dict[str, float])
    lacking: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class PictureCost:
    """The cost of a picture with a number of people.

    Attributes:
        served_ms: Time per picture of the service, with 8 callers.
        engine_ms: Time per picture of the networks alone: the detector once, the pose network on each person.
        ratio: `served_ms` to `engine_ms`, median of the rounds.
    """

    served_ms: float
    engine_ms: float
    ratio: float


def picture_cost(rates: Sequence[tuple[float, float]]) -> PictureCost:
    """Return the cost of a picture from each round's pictures per second, served and of the networks alone."""
    return PictureCost(
        served_ms=round(1000 / statistics.median(served for served, _ in rates), 1),
        engine_ms=round(1000 / statistics.median(engine for _, engine in rates), 1),
        ratio=round(statistics.median(engine / served for served, engine in rates), 3),
    )


def ratio(found: Found, lane: str, to: str) -> float:
    """Return the median over the rounds of one lane's pictures per second to another's."""
    return statistics.median(a / b for a, b in zip(found.rates[lane], found.rates[to], strict=True))


def lanes_table(found: Found, peer: str) -> str:
    """Write the lanes as a Markdown table.

    Args:
        found: What was measured.
        peer: The lane of the peer that all are compared with.
    """
    header = ["lane", "pictures/s", "to the peer", "to the loop", "to the engine", "p50 ms", "p99 ms"]
    header += ["outside the networks, ms", "networks busy", "mean batch"]
    if found.gpu_percent:
        header.append("GPU in use, %")
    rows = [_row(header), _row(["---"] * len(header))]
    for lane, rates in found.rates.items():
        latency = found.latency_ms.get(lane, {})
        batches = found.mean_batch.get(lane, {})
        cells = [
            lane,
            f"{statistics.median(rates):.2f}",
            f"{ratio(found, lane, peer):.2f}",
            f"{ratio(found, lane, 'loop'):.2f}",
            f"{ratio(found, lane, f'engine{_engine(lane)}'):.2f}" if lane.startswith("service") else "",
            str(latency.get("p50", "")),
            str(latency.get("p99", "")),
            f"{found.outside_ms[lane]:.1f}" if lane in found.outside_ms else "",
            f"{found.networks_busy[lane]:.2f}" if lane in found.networks_busy else "",
            ", ".join(f"{network} {size:.1f}" for network, size in batches.items()),
        ]
        if found.gpu_percent:
            cells.append(str(found.gpu_percent.get(lane, "")))
        rows.append(_row(cells))
    return "\n".join(rows)


def _engine(service_lane: str) -> str:
    """Return ` (engine)` of `service (engine), 8 callers`; engines have commas in their names."""
    return service_lane.removeprefix("service").rpartition(", ")[0]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def servers_table(found: Found) -> str:
    """Write start and memory of the servers as a Markdown table."""
    rows = ["| server | ready after s | memory MiB |", "| --- | --- | --- |"]
    rows += [
        f"| {title} | {found.start_s[title]} | {memory:.0f} |" for title, memory in found.memory_mib.items()
    ]
    return "\n".join(rows)


def people_table(costs: Mapping[int, PictureCost]) -> str:
    """Write the cost of pictures by the people in them as a Markdown table."""
    rows = [
        "| people | served, ms a picture | networks alone, ms a picture | served costs more by |",
        "| --- | --- | --- | --- |",
    ]
    rows += [
        f"| {people} | {cost.served_ms} | {cost.engine_ms} | {100 * (cost.ratio - 1):+.0f} % |"
        for people, cost in costs.items()
    ]
    return "\n".join(rows)


def page(results: Mapping[str, Found], people: Mapping[str, Mapping[int, PictureCost]], peer: str) -> str:
    """Write everything as Markdown.

    Args:
        results: What was measured, by set of networks.
        people: Cost of a picture by people, by engine.
        peer: The lane of the peer that all are compared with.
    """
    parts = [
        f"## {title}\n\n{lanes_table(found, peer)}\n\n{servers_table(found)}\n"
        + "".join(f"\nNot measured: {engine}. {reason}\n" for engine, reason in found.lacking.items())
        for title, found in results.items()
    ]
    parts.append(
        f'"Outside the networks": latency of a single caller less the time in the networks; the goal is at most '
        f"{MOST_OUTSIDE_MS} ms with the balanced stand-ins.\n"
    )
    for engine, costs in people.items():
        most = max(costs)
        reached = "reached" if costs[most].ratio <= MOST_FOR_PEOPLE else "missed"
        parts.append(
            f"## Cost of a picture as people grow ({engine}, 8 callers)\n\n{people_table(costs)}\n\n"
            f"A picture with {most} people costs {costs[most].ratio:.2f} times what the networks alone do; the goal, "
            f"{MOST_FOR_PEOPLE:.2f} at most, is {reached}.\n"
        )
    return "\n".join(parts)


def plot(results: Mapping[str, Found], file: Path) -> None:
    """Draw pictures per second of the peer, the loop and the service."""
    import matplotlib as mpl  # noqa: PLC0415 - of the bench group only

    mpl.use("svg")
    from matplotlib import pyplot  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "comparison"
    figure, axes = pyplot.subplots(
        1, len(results), figsize=(6 * len(results), 4), layout="constrained", squeeze=False
    )
    for axis, (title, found) in zip(axes[0], results.items(), strict=True):
        shown = [lane for lane in found.rates if not lane.startswith("engine")]
        values = [statistics.median(found.rates[lane]) for lane in shown]
        colours = ["#5b2be0" if lane.startswith("service") else "#8c8c8c" for lane in shown]
        axis.barh(shown, values, color=colours)
        axis.invert_yaxis()
        axis.bar_label(axis.containers[0], fmt="%.1f", padding=3)
        axis.set(title=title, xlabel="pictures per second")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})
