"""The CPUs and the memory that this process may use, by its control group and all groups above it."""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cpus(cgroup_root: Path = _CGROUP, own_cgroup: Path = _OWN_CGROUP) -> int:
    """Return the CPUs that this process may use: by affinity and by the quota of its control group.

    `os.cpu_count` counts the machine, and a container with a limit of 2 CPUs on a machine of 64 would start 64
    threads that the kernel then stops for most of every period. A quota of 1.5 CPUs counts as 1.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([cpus, *_limits(cgroup_root, own_cgroup, "cpu", _cpu_max, _cfs_quota)])))


def memory_limit_bytes(cgroup_root: Path = _CGROUP, own_cgroup: Path = _OWN_CGROUP) -> int:
    """Return how much memory the server may take: the limit of its control group, or what the machine has."""
    machine = psutil.virtual_memory().total
    return int(min([machine, *_limits(cgroup_root, own_cgroup, "memory", _memory_max, _memory_limit)]))


def _limits(
    root: Path,
    own_cgroup: Path,
    controller: str,
    version_2: Callable[[Path], float],
    version_1: Callable[[Path], float],
) -> Iterator[float]:
    """Find the limits of a controller, by the reader for each version of control groups."""
    try:
        entries = [line.split(":", 2) for line in own_cgroup.read_text().splitlines()]
    except OSError:  # not Linux
        return
    for _, controllers, path in (entry for entry in entries if len(entry) == 3):
        if controllers == "":
            yield from _limits_upwards(root, path, version_2)
        elif controller in controllers.split(","):
            yield from _limits_upwards(root / controller, path, version_1)


def _limits_upwards(mount: Path, path: str, read: Callable[[Path], float]) -> Iterator[float]:
    # In a container the path may be the host's, while the mount shows the container's own group as its root.
    group = mount / path.lstrip("/")
    for one in (mount, *(parent for parent in (group, *group.parents) if mount in parent.parents)):
        try:
            yield read(one)
        except (OSError, ValueError, ZeroDivisionError):  # no such group, or 'max'
            continue


def _cpu_max(group: Path) -> float:
    quota, period = (group / "cpu.max").read_text().split()
    return int(quota) / int(period)


def _cfs_quota(group: Path) -> float:
    quota = int((group / "cpu.cfs_quota_us").read_text())
    return math.inf if quota < 0 else quota / int((group / "cpu.cfs_period_us").read_text())


def _memory_max(group: Path) -> float:
    return int((group / "memory.max").read_text())


def _memory_limit(group: Path) -> float:
    return int((group / "memory.limit_in_bytes").read_text())  # without a limit more than any machine has
