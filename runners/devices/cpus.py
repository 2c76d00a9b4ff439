"""How many CPUs this process may really use, and what they compute in."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup_root: Path = _CGROUP, own_cgroup: Path = Path("/proc/self/cgroup")) -> int:
    """Return the CPUs that this process may use: by affinity and by the quota of its control group.

    `os.cpu_count` counts the machine, and a container with a limit of 2 CPUs on a machine of 64 would start 64
    threads that the kernel then stops for most of every period. A quota of 1.5 CPUs counts as 1.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota(cgroup_root, own_cgroup)
    return max(1, cpus if quota is None else min(cpus, int(quota)))


@cache
def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether the CPU has instructions for bf16: Intel's and AMD's, as Linux lists them."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        return False
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(flags)


def _cgroup_quota(root: Path, own_cgroup: Path) -> float | None:
    """The smallest CPU quota of the process's control group and all groups above it, in CPUs."""
    try:
        entries = [line.split(":", 2) for line in own_cgroup.read_text().splitlines()]
    except OSError:  # not Linux
        return None
    quotas: list[float] = []
    for _, controllers, path in (entry for entry in entries if len(entry) == 3):
        if controllers == "":  # version 2
            quotas += _quotas_upwards(root, path, _read_cpu_max)
        elif "cpu" in controllers.split(","):  # version 1
            quotas += _quotas_upwards(root / "cpu", path, _read_cfs_quota)
    return min(quotas, default=None)


def _quotas_upwards(mount: Path, path: str, read: Callable[[Path], float | None]) -> list[float]:
    # In a container the path may be the host's, while the mount shows the container's own group as its root.
    group = mount / path.lstrip("/")
    groups = [mount, *(parent for parent in (group, *group.parents) if mount in parent.parents)]
    return [quota for one in groups if (quota := read(one)) is not None]


def _read_cpu_max(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read_cfs_quota(group: Path) -> float | None:
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
        return None if quota < 0 else quota / period
    except (OSError, ValueError, ZeroDivisionError):
        return None
