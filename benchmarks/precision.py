"""Measures accuracy and speed of each engine and precision on photographs.

    make precision PHOTOS=folder [CLIP=file]

The pipeline of the embedded networks runs on the pictures: with all networks in one engine and precision, with the
choices of PRECISION=auto and PRECISION=fast on this machine, and with one network at a time in another engine or
precision. The results are compared with ONNX Runtime in f32 (`deviation.py`): on the original pictures, and also with
mirrored and half-size copies, for more people. For a single network, shifts and OKS cover the keypoints that it
affects. Times cover all networks of a picture, on the crops of the original pictures, in turns, the fastest round.

Writes `precision.md`, `precision.json`, and the worst person under `auto` and `fast`: reference (left) and result
(right). Enter the measured fidelity of a network in `runners/choice.py`.
"""

import argparse
import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapters.concurrency.container_limits import usable_cpus
from benchmarks.accuracy import cut_out, draw, pictures
from benchmarks.deviation import EVERYTHING, People, deviation
from benchmarks.precision_table import (
    SETTINGS,
    TITLES,
    Lane,
    Measured,
    Times,
    Ways,
    labelled,
    markdown,
    markdown_row,
)
from runners.config import NetworkName, RunnerConfig
from runners.engines import engines_for, is_installed, precisions
from runners.models.manifest import EMBEDDED
from runners.pipeline import LoadedNetwork, assemble, load
from runners.plan import NetworkPlan, PlannedNetwork, fetch, resolve
from wholebody.estimation import Network
from wholebody.geometry import Picture
from wholebody.pipeline import find_people
from wholebody.schema import KEYPOINT_COUNT, PART_RANGES, Part

ROUNDS = 5


def _keypoints(*parts: Part) -> NDArray[np.bool_]:
    indices = [index for part in parts for index in PART_RANGES[part]]
    return np.isin(np.arange(KEYPOINT_COUNT), indices)


FOUND_WITH: Mapping[NetworkName, NDArray[np.bool_]] = {
    "person": _keypoints(Part.BODY, Part.FEET),
    "body": _keypoints(Part.BODY, Part.FEET),
    "hand": _keypoints(Part.LEFT_HAND, Part.RIGHT_HAND),
    "palm": _keypoints(Part.LEFT_HAND, Part.RIGHT_HAND),
    "face": _keypoints(Part.FACE),
    "face_mesh": _keypoints(Part.FACE),
}
"""The keypoints that a network affects; the detector affects all in its boxes. Hand and face crops depend on the
body's keypoints, and move a little with them."""

Crops = NDArray[np.uint8]


class Pipeline:
    """The embedded networks, each in any engine and precision, with a cache of results."""

    def __init__(self, config: RunnerConfig) -> None:
        self._config = config
        self._loaded: dict[PlannedNetwork, LoadedNetwork] = {}
        self._known: dict[tuple[PlannedNetwork, bytes], Sequence[Any]] = {}

    def network(self, way: PlannedNetwork) -> LoadedNetwork:
        """Return a network in an engine and precision."""
        if way not in self._loaded:
            self._loaded[way] = load(way, self._config)
        return self._loaded[way]

    def people(
        self, ways: Ways, looked_at: Sequence[Picture], given: dict[NetworkName, list[Crops]] | None = None
    ) -> People:
        """Return the people of each picture; add the networks' inputs to `given`."""

        def asked(name: NetworkName) -> Network[Any]:
            async def run(crops: Crops) -> Sequence[Any]:
                if given is not None:
                    given.setdefault(name, []).append(crops)
                seen = hashlib.sha256(crops.tobytes()).digest()
                if (ways[name], seen) not in self._known:
                    self._known[ways[name], seen] = self.network(ways[name])(crops)
                return self._known[ways[name], seen]

            return run

        parts = assemble(EMBEDDED, asked)
        return [asyncio.run(find_people(picture, *parts)) for picture in looked_at]


def shown(photos: Path, video: Path | None) -> dict[str, list[Picture]]:
    """Return the original pictures, and mirrored and half-size copies."""
    plain = [picture for _, picture in pictures(photos, video)]
    if not plain:
        raise SystemExit(
            f"{photos} has no .jpg, .jpeg or .png files: name a folder with photographs of people."
        )
    halves = [cv2.resize(one, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for one in plain]
    return {
        "as they are": plain,
        "mirrored": [np.ascontiguousarray(one[:, ::-1]) for one in plain],
        "half size": [np.asarray(half, np.uint8) for half in halves],
    }


def ways_of(network: PlannedNetwork, device: str) -> list[PlannedNetwork]:
    """Return a network's engines and precisions on this machine, the reference first."""
    return [
        replace(network, engine=engine, precision=precision)
        for engine in engines_for(device)
        if is_installed(engine)
        for precision in precisions(engine, device)
        if precision != "mixed" or network.name == "person"
    ]


def lanes(plan: NetworkPlan) -> list[Lane]:
    """Return the rows of the table, the reference first."""
    ways = {name: ways_of(one, plan.config.device) for name, one in plan.networks.items()}
    reference = {name: of_one[0] for name, of_one in ways.items()}
    rows = [
        Lane(
            "all",
            labelled(way),
            {
                name: replace(one, engine=way.engine, precision=way.precision)
                for name, one in plan.networks.items()
            },
        )
        for way in ways["hand"]  # is never mixed
    ]
    for setting in SETTINGS:
        chosen = resolve(replace(plan.config, engine="auto", precision=setting))
        rows.append(Lane("all", setting, chosen.networks))
    for name, of_one in ways.items():
        rows += [
            Lane(TITLES[name], labelled(way), {**reference, name: way}, name)
            for way in of_one
            if way.precision != "f32"
        ]
    return rows


def milliseconds(
    networks: Sequence[tuple[PlannedNetwork, LoadedNetwork]], batches: Sequence[Crops]
) -> dict[PlannedNetwork, float]:
    """Return the fastest time of each network over all batches; networks take turns."""
    seconds = {way: float("inf") for way, _ in networks}
    for _ in range(ROUNDS):
        for way, network in networks:
            start = time.perf_counter()
            for crops in batches:
                network(crops)
            seconds[way] = min(seconds[way], time.perf_counter() - start)
    return {way: 1e3 * fastest for way, fastest in seconds.items()}


def measure(
    plan: NetworkPlan, looked_at: Mapping[str, list[Picture]], out: Path
) -> tuple[list[Measured], Times]:
    """Measure all lanes, and the time of each network."""
    pipeline = Pipeline(plan.config)
    rows = lanes(plan)
    plain = looked_at["as they are"]
    everything = [picture for group in looked_at.values() for picture in group]
    reference = rows[0].ways
    given: dict[NetworkName, list[Crops]] = {}
    pipeline.people(reference, plain, given)
    took: Times = {}
    for name, batches in given.items():
        networks = [(way, pipeline.network(way)) for way in ways_of(plan.networks[name], plan.config.device)]
        took[name] = {way: ms / len(plain) for way, ms in milliseconds(networks, batches).items()}
    expected = pipeline.people(reference, everything)
    measured: list[Measured] = []
    for row in rows:
        found = pipeline.people(row.ways, everything)
        counted = EVERYTHING if row.only is None else FOUND_WITH[row.only]
        one = Measured(
            row,
            sum(took[name][row.ways[name]] for name in took if row.only in (None, name)),
            deviation(expected[: len(plain)], found[: len(plain)], counted),
            deviation(expected, found, counted),
        )
        print(markdown_row(one, one.all_pictures), flush=True)
        measured.append(one)
        if row.computed_by in SETTINGS and one.as_they_are.worst:
            file = out / f"worst-{row.computed_by}.png"
            draw_worst(plain, expected, found, one.as_they_are.worst, file)
    return measured, took


def draw_worst(
    looked_at: Sequence[Picture], expected: People, found: People, worst: tuple[int, int, int], file: Path
) -> None:
    """Draw a person of the reference beside the result."""
    picture, one, other = worst
    person = expected[picture][one]
    cut = cut_out("", looked_at[picture], person)
    (x, y), (width, height) = cut.corner.tolist(), cut.size.tolist()
    plain = looked_at[picture][y : y + height, x : x + width]
    scale = 900 / max(width, height)
    sides = [draw(plain, [who], scale, cut.corner) for who in (person, found[picture][other])]
    cv2.imwrite(str(file), np.hstack(sides))


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True, help="Folder of photographs.")
    parser.add_argument("--video", type=Path, help="Video whose frames are looked at as well.")
    parser.add_argument("--out", type=Path, default=Path("build/precision"))
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    plan = fetch(RunnerConfig("embedded", "cpu", usable_cpus(), None))
    measured, took = measure(plan, shown(arguments.photos, arguments.video), out)
    page = markdown(measured, took)
    report = {
        "lanes": [asdict(one) for one in measured],
        "ms a picture": {
            name: {labelled(way): ms for way, ms in ways.items()} for name, ways in took.items()
        },
    }
    (out / "precision.json").write_text(json.dumps(report, indent=1, default=str) + "\n")
    (out / "precision.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
