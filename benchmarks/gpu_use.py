"""Use of NVIDIA GPUs while a lane runs."""

import shutil
import statistics
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

EVERY_MS = 200


@dataclass
class GpuUse:
    """Use of all GPUs together.

    Attributes:
        percent: Share of the time in which a kernel ran, a mean over samples and GPUs; None if unknown.
        memory_mib: Peak memory of all processes; None if unknown.
    """

    percent: float | None = None
    memory_mib: float | None = None


@contextmanager
def gpu_use(program: str = "nvidia-smi") -> Generator[GpuUse]:
    """Sample the GPUs; the result is complete on exit, and empty without `nvidia-smi`."""
    found = GpuUse()
    if shutil.which(program) is None:
        yield found
        return
    query = [
        "--query-gpu=utilization.gpu,memory.used",
        "--format=csv,noheader,nounits",
        f"--loop-ms={EVERY_MS}",
    ]
    with subprocess.Popen([program, *query], stdout=subprocess.PIPE, text=True) as sampling:
        try:
            yield found
        finally:
            sampling.terminate()
            said, _ = sampling.communicate(timeout=10)
            samples = parsed(said)
            if samples:
                found.percent = round(statistics.fmean(percent for percent, _ in samples), 1)
                found.memory_mib = max(memory for _, memory in samples)


def parsed(said: str) -> list[tuple[float, float]]:
    """Parse percent and MiB of each line; some GPUs print `[N/A]`, and the last line may be incomplete."""
    samples: list[tuple[float, float]] = []
    for line in said.splitlines():
        percent, _, memory = line.partition(",")
        try:
            samples.append((float(percent), float(memory)))
        except ValueError:
            continue
    return samples
