"""Measures the memory of all processes of the service over many different pictures.

    make bench-memory PHOTOS=folder STAND_INS=folder

The service runs with the stand-ins (`stand_ins.py`). Shared memory counts once (proportional set size). Memory is
measured twice for each hundred pictures: under load, which shows the need, and idle after them, which shows leaks.
Writes `memory.json`; the exit status is 1 if a bound is exceeded.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from benchmarks import stand_ins
from benchmarks.loads import (
    ask_for_people,
    backend,
    end_orderly,
    picture_names,
    picture_server,
    spread,
    until_ready,
)
from runners.models.manifest import MODES

MOST_MIB = 1536.0
MOST_GROWTH_MB = 50.0
GROWTH_OVER = 1500
"""Number of last pictures over which growth counts; earlier ones fill caches and allocate buffers."""
REQUEST_LIMIT_S = 300


@dataclass(frozen=True)
class Sample:
    """Memory after a number of pictures.

    Attributes:
        pictures: Number of answered pictures.
        working_mib: Memory of all processes under load, about half a step before.
        idle_mib: Memory of all processes when idle.
    """

    pictures: int
    working_mib: float
    idle_mib: float


@dataclass(frozen=True)
class Verdict:
    """The verdict on the bounds.

    Attributes:
        most_mib: Peak memory.
        growth_mb: Growth of idle memory between two samples, 10^6 bytes.
        over: Pictures between these samples.
    """

    most_mib: float
    growth_mb: float
    over: int

    @property
    def kept(self) -> bool:
        """Whether both bounds are kept."""
        return self.most_mib < MOST_MIB and self.growth_mb <= MOST_GROWTH_MB

    def __str__(self) -> str:
        """Return the verdict in words."""
        stays = "stays below" if self.most_mib < MOST_MIB else "exceeds"
        grows = "at most" if self.growth_mb <= MOST_GROWTH_MB else "more than"
        return (
            f"At most {self.most_mib:.0f} MiB: {stays} {MOST_MIB:.0f} MiB.\n"
            f"Over the last {self.over} pictures it grows by {self.growth_mb:+.1f} MB: {grows} {MOST_GROWTH_MB:.0f} MB."
        )


def verdict(samples: Sequence[Sample]) -> Verdict:
    """Compare samples, two at least, with the bounds."""
    last = samples[-1]
    # Over all samples if there are fewer pictures.
    first = next((s for s in reversed(samples) if last.pictures - s.pictures >= GROWTH_OVER), samples[0])
    return Verdict(
        most_mib=max(max(sample.working_mib, sample.idle_mib) for sample in samples),
        growth_mb=round((last.idle_mib - first.idle_mib) * 2**20 / 1e6, 1),
        over=last.pictures - first.pictures,
    )


async def measure(arguments: argparse.Namespace, folder: Path) -> list[Sample]:
    """Serve the pictures; print and return the memory samples."""
    environment = {"MODE": arguments.mode, "DEVICE": "cpu"}
    if arguments.mode != "embedded":
        environment |= stand_ins.install(arguments.stand_ins, folder)
    samples: list[Sample] = []
    timeout = aiohttp.ClientTimeout(REQUEST_LIMIT_S)
    with picture_server(arguments.photos) as pictures, backend(environment) as server:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await until_ready(session, server)
            addresses = itertools.cycle(f"{pictures}/{name}" for name in picture_names(arguments.photos))
            print("| pictures | working, MiB | idle, MiB |\n| --- | --- | --- |", flush=True)
            for before in range(0, arguments.pictures, arguments.every):
                number = min(arguments.every, arguments.pictures - before)
                answered, working_mib = 0, 0.0

                async def one(address: str, half: int = number // 2) -> None:
                    nonlocal answered, working_mib
                    await ask_for_people(session, server.address, address)
                    answered += 1
                    if answered == half:
                        working_mib = await asyncio.to_thread(server.memory_mib)

                await spread(list(itertools.islice(addresses, number)), arguments.callers, one)
                idle_mib = await asyncio.to_thread(server.memory_mib)
                samples.append(Sample(before + number, round(working_mib, 1), round(idle_mib, 1)))
                print(f"| {samples[-1].pictures} | {working_mib:.0f} | {idle_mib:.0f} |", flush=True)
    return samples


def main() -> None:
    """Read the arguments, measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="Folder of .jpg and .png files.")
    parser.add_argument("--stand-ins", type=Path, help="Folder of the networks that `stand_ins.py` names.")
    parser.add_argument("--mode", choices=MODES, default="balanced")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--every", type=int, default=100, help="Pictures from sample to sample.")
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    arguments = parser.parse_args()
    if arguments.mode != "embedded" and arguments.stand_ins is None:
        parser.error("--stand-ins is needed for all modes but embedded")
    if arguments.pictures < 2 * arguments.every:
        parser.error("--pictures must be at least twice --every, or there is nothing to compare")
    if not picture_names(arguments.photos):
        parser.error(f"there is no .jpg or .png in {arguments.photos}")
    end_orderly()
    with tempfile.TemporaryDirectory() as folder:
        samples = asyncio.run(measure(arguments, Path(folder)))
    found = verdict(samples)
    arguments.out.mkdir(parents=True, exist_ok=True)
    written = {
        "mode": arguments.mode,
        "callers": arguments.callers,
        "samples": [asdict(sample) for sample in samples],
        **asdict(found),
        "kept": found.kept,
    }
    (arguments.out / "memory.json").write_text(json.dumps(written, indent=2) + "\n")
    print(f"\n{found}")
    sys.exit(not found.kept)


if __name__ == "__main__":
    main()
