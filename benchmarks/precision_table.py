"""The tables of `precision.py`: accuracy and speed by engine and precision."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.deviation import Deviation, Spread
from runners.config import NetworkName, PrecisionSetting
from runners.plan import PlannedNetwork

SETTINGS: tuple[PrecisionSetting, ...] = ("auto", "fast")
TITLES: Mapping[NetworkName, str] = {
    "person": "YOLOX-tiny",
    "body": "RTMPose-s",
    "hand": "hand",
    "palm": "palm detection",
    "face": "face detection",
    "face_mesh": "face mesh",
}
COLUMNS = (
    "networks | computed by | people | missed | invented | keypoints | lost | gained | shift, px | "
    "shift, % of the diagonal | OKS | OKS of all 133 | AP | body | feet | face | left hand | right hand | ms a picture"
)

Ways = Mapping[NetworkName, PlannedNetwork]
"""Engine and precision of each network."""
Times = dict[NetworkName, dict[PlannedNetwork, float]]
"""Milliseconds a picture of each network, by engine and precision."""


@dataclass(frozen=True)
class Lane:
    """One row of the table.

    Attributes:
        networks: The networks that differ from the reference.
        computed_by: Engine and precision, or the setting that chose them.
        ways: Engine and precision of each network.
        only: The only network whose time is given; None for all.
    """

    networks: str
    computed_by: str
    ways: Ways
    only: NetworkName | None = None


@dataclass(frozen=True)
class Measured:
    """The measurements of a lane.

    Attributes:
        lane: The lane.
        milliseconds: Inference time of a picture.
        as_they_are: Deviation from the reference on the original pictures.
        all_pictures: Deviation including mirrored and half-size copies.
    """

    lane: Lane
    milliseconds: float
    as_they_are: Deviation
    all_pictures: Deviation


def labelled(way: PlannedNetwork) -> str:
    """Return the name of an engine and precision in tables."""
    return f"{way.engine} {way.precision}"


def markdown_row(one: Measured, apart: Deviation) -> str:
    """Write one row of the table."""

    def spread(of: Spread | None, scale: float) -> str:
        return " / ".join(f"{scale * value:.2f}" for value in asdict(of).values()) if of else "-"

    def oks(mean: float | None, worst: float | None) -> str:
        return "-" if mean is None else f"{mean:.4f} / {worst:.3f}"

    cells = [
        *(one.lane.networks, one.lane.computed_by, apart.people, apart.missed, apart.invented),
        *(apart.keypoints, apart.lost, apart.gained),
        *(spread(apart.pixels, 1), spread(apart.share, 100)),
        *(oks(apart.oks_mean, apart.oks_worst), oks(apart.whole_oks_mean, apart.whole_oks_worst)),
        *("-" if ap is None else f"{ap:.3f}" for ap in apart.ap.values()),
        f"{one.milliseconds:.1f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def markdown_times(took: Times) -> str:
    """Write the time of each network in each way as a table."""
    columns = list(dict.fromkeys(labelled(way) for ways in took.values() for way in ways))
    rows = [f"| network | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for name, ways in took.items():
        times = {labelled(way): f"{ms:.1f}" for way, ms in ways.items()}
        rows.append(f"| {TITLES[name]} | {' | '.join(times.get(column, '') for column in columns)} |")
    return "\n".join(rows)


def markdown(measured: Sequence[Measured], took: Times) -> str:
    """Write the tables, and the choices of `auto` and `fast`."""
    head = f"| {COLUMNS} |\n|{' --- |' * len(COLUMNS.split('|'))}"
    as_they_are = [markdown_row(one, one.as_they_are) for one in measured]
    all_pictures = [markdown_row(one, one.all_pictures) for one in measured]
    chosen = [
        f"`{one.lane.computed_by}`: "
        + ", ".join(f"{TITLES[name]} {labelled(way)}" for name, way in one.lane.ways.items())
        for one in measured
        if one.lane.computed_by in SETTINGS
    ]
    page = [
        "Shifts: median / 95th percentile / largest. OKS: mean / worst person.",
        "\n".join(["## Pictures as they are\n", head, *as_they_are]),
        "\n".join(["## With the same ones mirrored and at half their size\n", head, *all_pictures]),
        *chosen,
        f"## Milliseconds a picture\n\n{markdown_times(took)}",
    ]
    return "\n\n".join(page) + "\n"
