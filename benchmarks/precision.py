"""What precisions below f32 cost the embedded networks, in keypoints, and what they save, in time.

    uv run --group cpu python -m benchmarks.precision --photos DIR [--video FILE] --out FILE.json [--search]

Each network in turn is replaced by itself in another engine or precision, and the people that the whole pipeline then
finds are compared with those that it finds in ONNX Runtime in f32: object keypoint similarity (OKS) over those
keypoints with a score of 0.3 or more that the network has a part in, and over all; and shifts, as shares of the
person's box diagonal. Pictures are looked at as they are, and, to have more people, mirrored and at half their size.
`--search` looks for a way to compute the body network in bf16 for the most part: f32 up to some tensor and bf16 behind
it, or bf16 between that tensor and the last one on which everything depends. What comes out belongs into
`runners/tolerance.py`.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.accuracy import pictures
from runners.assembly import LoadedNetwork, assemble, fetch_files, load_as
from runners.choice import NetworkEngine, NetworkName, files_of, model_store
from runners.config import RunnerConfig
from runners.cpus import usable_cpus
from runners.engines import PartPrecision, Place, is_installed, load_graph, precisions
from runners.graphs.cutting import cut
from runners.graphs.editing import UnexpectedGraphError
from runners.graphs.prepared import NetworkSource, network_files
from runners.simcc import SimccPose
from runners.tolerance import mixture
from wholebody.estimation import HALPE_BODY_AND_FEET, Network
from wholebody.geometry import Picture
from wholebody.person import Person
from wholebody.pipeline import find_people
from wholebody.schema import KEYPOINT_COUNT, PART_RANGES, SIGMAS, Part

SEEN = 0.3
"""Least score of a keypoint that is compared."""
BOX_FILLED = 0.53
"""Share of a person's box that the person covers, about: OKS is defined on the person's area."""
CROP_MARGIN = 1.25
SAME_PERSON = 0.5
ROUNDS = 15


def _keypoints(*parts: Part) -> NDArray[np.bool_]:
    indices = [index for part in parts for index in PART_RANGES[part]]
    return np.isin(np.arange(KEYPOINT_COUNT), indices)


FOUND_WITH: Mapping[NetworkName, NDArray[np.bool_]] = {
    "person": _keypoints(Part.BODY, Part.FEET),
    "body": _keypoints(Part.BODY, Part.FEET),
    "hand": _keypoints(Part.LEFT_HAND, Part.RIGHT_HAND),
    "face": _keypoints(Part.FACE),
    "face_mesh": _keypoints(Part.FACE),
}
"""The keypoints that a network finds, or in the detector's case, that are found in its boxes. Hands and faces are
looked for where the body's keypoints are, and move a little with them."""

Crops = NDArray[np.uint8]
Result = dict[str, Any]


def similarity(
    expected: NDArray[np.floating], found: NDArray[np.floating], seen: NDArray[np.bool_], area: float
) -> float:
    """Return the OKS of keypoints (n, 2) to those expected, over those seen; `area` is the person's, in pixels."""
    sigmas = SIGMAS[: len(seen)]
    squares = ((expected - found) ** 2).sum(axis=1)
    return float(np.exp(-squares[seen] / (2 * area * (2 * sigmas[seen]) ** 2)).mean())


def numbers(oks: Sequence[float], shifts: Sequence[float]) -> Result:
    """Return the mean and the worst of similarities, and of shifts the median, 95th percentile and largest."""
    return {
        "people": len(oks),
        "oks mean": round(float(np.mean(oks)), 5),
        "oks worst": round(float(min(oks)), 5),
        "oks below 0.98": int(sum(one < 0.98 for one in oks)),
        "shift median": round(float(np.median(shifts)), 5),
        "shift p95": round(float(np.percentile(shifts, 95)), 5),
        "shift max": round(float(max(shifts)), 5),
    }


def compare(name: NetworkName, expected: Sequence[list[Person]], found: Sequence[list[Person]]) -> Result:
    """Compare the people of each picture: the keypoints that depend on a network, and all of them."""
    oks: list[float] = []
    whole: list[float] = []
    shifts: list[float] = []
    lost = 0
    for ours, theirs in zip(expected, found, strict=True):
        for person in ours:
            all_seen = person.scores >= SEEN
            seen = all_seen & FOUND_WITH[name]
            if not seen.any():
                continue
            same = max(theirs, key=lambda other: overlap(person.box, other.box), default=None)
            if same is None or overlap(person.box, same.box) < SAME_PERSON:
                lost += 1
                continue
            size = person.box[2:] - person.box[:2]
            area = float(size.prod()) * BOX_FILLED
            oks.append(similarity(person.keypoints, same.keypoints, seen, area))
            whole.append(similarity(person.keypoints, same.keypoints, all_seen, area))
            apart = np.linalg.norm(person.keypoints - same.keypoints, axis=1)[seen] / np.linalg.norm(size)
            shifts += apart.tolist()
    return {
        **numbers(oks, shifts),
        "whole oks mean": round(float(np.mean(whole)), 5),
        "whole oks worst": round(min(whole), 5),
        "lost": lost,
        "new": sum(map(len, found)) - sum(map(len, expected)) + lost,
    }


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the intersection over union of two boxes."""
    shared = float(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod())
    return shared / (float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - shared)


def shown(photos: Path, video: Path | None) -> dict[str, list[Picture]]:
    """Return the pictures as they are, and the same ones mirrored and at half their size."""
    plain = [picture for _, picture in pictures(photos, video)]
    halves = [cv2.resize(one, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for one in plain]
    return {
        "as they are": plain,
        "mirrored": [np.ascontiguousarray(one[:, ::-1]) for one in plain],
        "half size": [np.asarray(half, np.uint8) for half in halves],
    }


class Run:
    """The pipeline over all pictures with certain networks; keeps what each network was given."""

    def __init__(self, networks: Mapping[NetworkName, LoadedNetwork]) -> None:
        self._networks = networks
        self.given: dict[NetworkName, list[Crops]] = {name: [] for name in networks}

    def people(self, looked_at: Sequence[Picture]) -> list[list[Person]]:
        """Return the people of each picture."""
        parts = assemble(files_of("embedded"), self._network)
        return [asyncio.run(find_people(picture, *parts)) for picture in looked_at]

    def _network(self, name: NetworkName) -> Network[Any]:
        async def run(crops: Crops) -> Sequence[Any]:
            self.given[name].append(crops)
            return self._networks[name](crops)

        return run


def milliseconds(networks: Mapping[str, LoadedNetwork], crops: Crops) -> dict[str, float]:
    """Return the time of the fastest run of each network per crop, run in turn."""
    fastest = dict.fromkeys(networks, float("inf"))
    for _ in range(ROUNDS):
        for name, network in networks.items():
            start = time.perf_counter()
            network(crops)
            fastest[name] = min(fastest[name], time.perf_counter() - start)
    return {name: round(seconds * 1e3 / len(crops), 2) for name, seconds in fastest.items()}


def ways(name: NetworkName, config: RunnerConfig) -> list[NetworkEngine]:
    """Return all ways in which a network can run on this machine, the reference first."""
    digest = model_store(config).digest(files_of("embedded")[name])
    found = [
        NetworkEngine(name, engine, precision)
        for engine in ("onnxruntime", "openvino", "opencv")
        if is_installed(engine)
        for precision in precisions(engine, config.device)
    ]
    return [way for way in found if way.precision != "mixed" or mixture(name, digest)]


def measure(
    config: RunnerConfig, looked_at: Mapping[str, list[Picture]], measured: Sequence[NetworkName]
) -> dict[str, Any]:
    """Measure each network in each engine and precision."""
    everything = [picture for group in looked_at.values() for picture in group]
    names = list(files_of("embedded"))
    loaded = {name: {way: load_as(name, config, way) for way in ways(name, config)} for name in names}
    references = {name: next(iter(loaded[name].values())) for name in names}
    reference = Run(references)
    expected = reference.people(everything)
    report: dict[str, Any] = {}
    for name in measured:
        labels = {f"{way.engine} {way.precision}": network for way, network in loaded[name].items()}
        took = milliseconds(labels, max(reference.given[name], key=len)[:4])
        for label, network in labels.items():
            people = Run({**references, name: network}).people(everything)
            row = {"ms": took[label], **compare(name, expected, people)}
            report[f"{name}, {label}"] = row
            print(
                f"{name:10} {label:18}", "  ".join(f"{key} {value}" for key, value in row.items()), flush=True
            )
    return report


def cuts(model: Any) -> list[str]:
    """Return the tensors of a known shape on which alone everything behind them depends."""
    described = onnx.shape_inference.infer_shapes(model).graph.value_info
    known = {value.name for value in described if len(value.type.tensor_type.shape.dim)}
    constants = {weight.name for weight in model.graph.initializer}
    last_use = {name: k for k, node in enumerate(model.graph.node) for name in node.input}
    alive: set[str] = {i.name for i in model.graph.input}
    found: list[str] = []
    for k, node in enumerate(model.graph.node):
        alive |= set(node.output) - constants
        alive = {name for name in alive if last_use.get(name, -1) > k}
        if len(alive) == 1 and alive <= known and node.op_type in ("Mul", "Concat", "Reshape", "Add"):
            found += alive
    return found


def search(config: RunnerConfig, looked_at: Mapping[str, list[Picture]]) -> dict[str, Any]:
    """Compute the body network in f32 up to each tensor in turn, in bf16 behind it."""
    store = model_store(config)
    file = files_of("embedded")["body"]
    reference = Run(
        {
            name: load_as(name, config, NetworkEngine(name, "onnxruntime", "f32"))
            for name in files_of("embedded")
        }
    )
    crops: dict[str, Crops] = {}
    for group, shown_pictures in looked_at.items():
        reference.given["body"].clear()
        reference.people(shown_pictures)
        crops[group] = np.concatenate(reference.given["body"])
    (prepared,) = network_files(NetworkSource("body", store.path(file), store.digest(file))).files
    model = onnx.load(str(prepared))
    place = Place("cpu", config.threads)

    def pose(files: Sequence[Path], *computed_in: PartPrecision) -> SimccPose:
        return SimccPose(load_graph(files, "openvino", computed_in, place), prepared=True)

    def in_parts(tensors: Sequence[str]) -> list[Path]:
        parts = [model]
        for tensor in tensors:
            parts[-1:] = cut(parts[-1], [tensor])
        files = [Path(folder) / f"{'-'.join(tensors)}-{i}.onnx".replace("/", "_") for i in range(len(parts))]
        for part, path in zip(parts, files, strict=True):
            onnx.save(part, str(path))
        return files

    plain = {"f32": pose([prepared], "f32"), "bf16": pose([prepared], "bf16")}
    report: dict[str, Any] = {}

    def try_out(label: str, candidate: SimccPose) -> None:
        took = milliseconds({**plain, label: candidate}, crops["as they are"][:4])
        row: dict[str, Any] = {"ms": took[label], "f32 ms": took["f32"], "bf16 ms": took["bf16"]}
        for group, some in crops.items():
            row[group] = compare_crops(plain["f32"](some), candidate(some))
        report[label] = row
        brief = {g: (row[g]["oks mean"], row[g]["oks worst"]) for g in crops}
        print(f"{label:24} ms {row['ms']} (f32 {row['f32 ms']}, bf16 {row['bf16 ms']})", brief, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        places = cuts(model)
        try_out("bf16", plain["bf16"])
        last = places[-1]
        for tensor in places:
            try:
                try_out(f"f32 up to {tensor}", pose(in_parts([tensor]), "f32", "bf16"))
                if tensor != last:
                    try_out(f"bf16 {tensor} to {last}", pose(in_parts([tensor, last]), "f32", "bf16", "f32"))
            except UnexpectedGraphError as error:
                print(f"{tensor}: {error}")
    return report


def compare_crops(expected: Sequence[NDArray[np.float32]], found: Sequence[NDArray[np.float32]]) -> Result:
    """Compare the body network's own keypoints, in pixels of the crop."""
    order = list(HALPE_BODY_AND_FEET)
    oks: list[float] = []
    shifts: list[float] = []
    for ours, theirs in zip(expected, found, strict=True):
        seen = ours[order, 2] >= SEEN
        if not seen.any():
            continue
        area = 192 * 256 / CROP_MARGIN**2 * BOX_FILLED
        oks.append(similarity(ours[order, :2], theirs[order, :2], seen, area))
        apart = np.linalg.norm(ours[order, :2] - theirs[order, :2], axis=1)[seen]
        shifts += (apart / (np.hypot(192, 256) / CROP_MARGIN)).tolist()
    return numbers(oks, shifts)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True, help="Folder of photographs.")
    parser.add_argument("--video", type=Path, help="Video whose frames are looked at as well.")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the numbers.")
    parser.add_argument("--network", choices=list(FOUND_WITH), help="Only this one.")
    parser.add_argument("--search", action="store_true", help="Look for a mixed body network instead.")
    arguments = parser.parse_args()
    config = RunnerConfig("embedded", "cpu", usable_cpus(), None)
    fetch_files(config)
    looked_at = shown(arguments.photos, arguments.video)
    if arguments.search:
        report = search(config, looked_at)
    else:
        report = measure(config, looked_at, [arguments.network] if arguments.network else list(FOUND_WITH))
    arguments.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
