"""How busy the GPUs were while something ran."""

import subprocess
from pathlib import Path

from benchmarks.gpu_use import gpu_use, parsed


def test_use_of_gpus_is_read_from_every_whole_line():
    assert parsed("37, 1024\n[N/A], 12\n100, 2048\n4") == [(37.0, 1024.0), (100.0, 2048.0)]


def test_use_of_gpus_is_the_mean_of_what_was_sampled(tmp_path: Path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '40, 1000'\necho '60, 3000'\nexec sleep 60\n")
    program.chmod(0o755)

    with gpu_use(str(program)) as use:
        subprocess.run(["sleep", "0.5"], check=True)

    assert (use.percent, use.memory_mib) == (50.0, 3000.0)


def test_without_a_gpu_nothing_is_said_of_its_use():
    with gpu_use("no-such-program") as use:
        pass

    assert use.percent is None
