"""Looks for a way to compute the body network in bf16 for the most part, and keep its keypoints.

    uv run --group cpu python -m benchmarks.mixture_search --photos DIR [--video FILE] --out FILE.json

F32 up to some tensor and bf16 behind it, or bf16 between that tensor and the last one on which everything depends: for
each tensor there is to cut at, with the times of f32 and bf16 in the same turns. Compared are the network's own
keypoints, in pixels of the crop. What is found belongs into `runners/startup/tolerance.py`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from adapters.coco.document import OUTLINE_SHARE
from adapters.concurrency.cgroups import usable_cpus
from benchmarks.deviation import SEEN
from benchmarks.precision import NETWORKS, Crops, Pipeline, shown, ways_of
from runners.config import RunnerConfig
from runners.engines import PartPrecision, Place, load_graph
from runners.graphs.cutting import cut
from runners.graphs.editing import UnexpectedGraphError
from runners.graphs.prepared import NetworkSource, network_files
from runners.networks.simcc import SimccPose
from runners.pipeline import LoadedNetwork, fetch_files
from runners.startup.choice import NetworkName, model_store
from runners.startup.tolerance import LEAST_OKS
from wholebody.estimation import HALPE_BODY_AND_FEET
from wholebody.geometry import Picture
from wholebody.schema import SIGMAS

CROP_MARGIN = 1.25
ROUNDS = 15

Result = dict[str, Any]


def similarity(
    expected: NDArray[np.floating], found: NDArray[np.floating], seen: NDArray[np.bool_], area: float
) -> float:
    """Return the OKS of keypoints (n, 2) to those expected, over those seen; `area` is the person's, in pixels."""
    sigmas = SIGMAS[: len(seen)]
    squares = ((expected - found) ** 2).sum(axis=1)
    return float(np.exp(-squares[seen] / (2 * area * (2 * sigmas[seen]) ** 2)).mean())


def milliseconds(networks: Mapping[str, LoadedNetwork], crops: Crops) -> dict[str, float]:
    """Return the time of the fastest run of each network per crop, run in turn."""
    fastest = dict.fromkeys(networks, float("inf"))
    for _ in range(ROUNDS):
        for name, network in networks.items():
            start = time.perf_counter()
            network(crops)
            fastest[name] = min(fastest[name], time.perf_counter() - start)
    return {name: round(seconds * 1e3 / len(crops), 2) for name, seconds in fastest.items()}


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
    file = NETWORKS["body"]
    pipeline = Pipeline(config)
    reference = {name: ways_of(name, config)[0] for name in NETWORKS}
    crops: dict[str, Crops] = {}
    for group, shown_pictures in looked_at.items():
        given: dict[NetworkName, list[Crops]] = {}
        pipeline.people(reference, shown_pictures, given)
        crops[group] = np.concatenate(given["body"])
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
        area = 192 * 256 / CROP_MARGIN**2 * OUTLINE_SHARE
        oks.append(similarity(ours[order, :2], theirs[order, :2], seen, area))
        apart = np.linalg.norm(ours[order, :2] - theirs[order, :2], axis=1)[seen]
        shifts += (apart / (np.hypot(192, 256) / CROP_MARGIN)).tolist()
    return {
        "people": len(oks),
        "oks mean": round(float(np.mean(oks)), 5),
        "oks worst": round(float(min(oks)), 5),
        f"oks below {LEAST_OKS}": sum(one < LEAST_OKS for one in oks),
        "shift median": round(float(np.median(shifts)), 5),
        "shift p95": round(float(np.percentile(shifts, 95)), 5),
        "shift max": round(float(max(shifts)), 5),
    }


def main() -> None:
    """Run the search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True, help="Folder of photographs.")
    parser.add_argument("--video", type=Path, help="Video whose frames are looked at as well.")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the numbers.")
    arguments = parser.parse_args()
    config = RunnerConfig("embedded", "cpu", usable_cpus(), None)
    fetch_files(config)
    report = search(config, shown(arguments.photos, arguments.video))
    arguments.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
