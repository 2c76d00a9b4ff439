"""How many CPUs a process may use: by its affinity, and by the quota of its control group."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.concurrency.container_limits import usable_cpus

ALLOWED = 8


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may run on eight CPUs, whatever machine the tests run on."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(ALLOWED)), raising=False)


@pytest.fixture
def cgroups(tmp_path: Path) -> Path:
    root = tmp_path / "cgroup"
    root.mkdir()
    return root


def cpus(root: Path, own: str) -> int:
    """The usable CPUs of a process whose /proc/self/cgroup has these lines."""
    file = root.parent / "own_cgroup"
    file.write_text(own)
    return usable_cpus(root, file)


def version_2(root: Path, group: str, cpu_max: str) -> None:
    (root / group).mkdir(parents=True, exist_ok=True)
    (root / group / "cpu.max").write_text(cpu_max + "\n")


def version_1(root: Path, group: str, quota: str, period: str = "100000") -> None:
    folder = root / "cpu" / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.cfs_quota_us").write_text(quota + "\n")
    (folder / "cpu.cfs_period_us").write_text(period + "\n")


class TestVersion2:
    def test_the_quota_of_the_own_group_counts(self, cgroups: Path) -> None:
        version_2(cgroups, "kubepods/pod", "200000 100000")
        assert cpus(cgroups, "0::/kubepods/pod\n") == 2

    def test_a_tighter_quota_above_counts(self, cgroups: Path) -> None:
        version_2(cgroups, "kubepods", "300000 100000")
        version_2(cgroups, "kubepods/pod", "600000 100000")
        version_2(cgroups, "kubepods/pod/container", "max 100000")
        assert cpus(cgroups, "0::/kubepods/pod/container\n") == 3

    def test_a_neighbour_s_quota_does_not(self, cgroups: Path) -> None:
        version_2(cgroups, "neighbour", "100000 100000")
        version_2(cgroups, "own", "max 100000")
        assert cpus(cgroups, "0::/own\n") == ALLOWED

    def test_in_a_container_the_mount_s_root_is_the_own_group(self, cgroups: Path) -> None:
        version_2(cgroups, "", "200000 100000")
        assert cpus(cgroups, "0::/\n") == 2
        assert cpus(cgroups, "0::/path/on/the/host\n") == 2
        assert cpus(cgroups, "0::/../../elsewhere\n") == 2

    @pytest.mark.parametrize(
        ("quota", "expected"),
        [("150000 100000", 1), ("50000 100000", 1), ("199999 100000", 1), ("250000 50000", 5)],
    )
    def test_a_broken_quota_counts_whole_cpus_but_at_least_one(
        self, cgroups: Path, quota: str, expected: int
    ) -> None:
        version_2(cgroups, "own", quota)
        assert cpus(cgroups, "0::/own\n") == expected

    def test_a_quota_beyond_the_affinity_adds_no_cpus(self, cgroups: Path) -> None:
        version_2(cgroups, "own", "6400000 100000")
        assert cpus(cgroups, "0::/own\n") == ALLOWED


class TestVersion1:
    OWN = "5:cpuset:/elsewhere\n4:cpu,cpuacct:/docker/abc\n0::/docker/abc\n"

    def test_the_quota_of_the_own_group_counts(self, cgroups: Path) -> None:
        version_1(cgroups, "docker/abc", "200000")
        assert cpus(cgroups, self.OWN) == 2

    def test_the_tightest_of_all_groups_above_counts(self, cgroups: Path) -> None:
        version_1(cgroups, "", "-1")
        version_1(cgroups, "docker", "150000", "50000")
        version_1(cgroups, "docker/abc", "-1")
        assert cpus(cgroups, self.OWN) == 3

    def test_without_a_quota_all_cpus_count(self, cgroups: Path) -> None:
        version_1(cgroups, "docker/abc", "-1")
        assert cpus(cgroups, self.OWN) == ALLOWED

    def test_other_controllers_groups_do_not(self, cgroups: Path) -> None:
        version_1(cgroups, "elsewhere", "100000")
        assert cpus(cgroups, self.OWN) == ALLOWED


class TestWithoutControlGroups:
    def test_the_affinity_counts(self, cgroups: Path) -> None:
        assert usable_cpus(cgroups, cgroups / "missing") == ALLOWED

    @pytest.mark.parametrize("line", ["", "nonsense\n", "0::\n", "::::\n"])
    def test_a_file_of_another_form_is_passed_over(self, cgroups: Path, line: str) -> None:
        assert cpus(cgroups, line) == ALLOWED

    @pytest.mark.parametrize("content", ["", "max", "a b", "100000 0", "100000 100000 100000"])
    def test_a_quota_of_another_form_is_none(self, cgroups: Path, content: str) -> None:
        version_2(cgroups, "own", content)
        assert cpus(cgroups, "0::/own\n") == ALLOWED

    def test_a_system_without_affinity_counts_its_cpus(
        self, cgroups: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "sched_getaffinity")
        monkeypatch.setattr(os, "cpu_count", lambda: 6)
        assert usable_cpus(cgroups, cgroups / "missing") == 6
        monkeypatch.setattr(os, "cpu_count", lambda: None)
        assert usable_cpus(cgroups, cgroups / "missing") == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_a_process_that_is_kept_on_one_cpu_uses_one() -> None:
    code = (
        "import os; from adapters.concurrency.container_limits import usable_cpus; "
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(usable_cpus())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "1"
