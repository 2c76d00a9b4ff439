"""How the memory benchmark judges its samples."""

import pytest

from benchmarks.memory import Sample, verdict

MB_IN_MIB = 1e6 / 2**20


def samples(idle_mib: list[float], working_mib: float = 1000) -> list[Sample]:
    return [Sample(100 * (i + 1), working_mib, idle) for i, idle in enumerate(idle_mib)]


def test_growth_counts_over_the_last_1500_pictures():
    # 200 MiB in the first 500 pictures, when buffers are set up, and 1 MiB after every hundred from then on.
    found = verdict(samples([500, 550, 600, 650, 700, *(700.0 + i for i in range(1, 16))]))

    assert found.over == 1500
    assert found.growth_mb == pytest.approx(15 / MB_IN_MIB, abs=0.06)
    assert found.kept


def test_fewer_pictures_are_judged_over_all_that_there_are():
    found = verdict(samples([500, 510, 520]))

    assert found.over == 200
    assert "Over the last 200 pictures" in str(found)


@pytest.mark.parametrize(("growth_mb", "kept"), [(49.9, True), (50.2, False), (-80.0, True)])
def test_more_than_50_mb_of_growth_are_too_much(growth_mb: float, kept: bool):
    found = verdict(samples([800, 800 + growth_mb * MB_IN_MIB]))

    assert found.kept is kept
    assert ("at most 50 MB" in str(found)) is kept


@pytest.mark.parametrize(
    ("working", "idle", "kept"), [(1535, 900, True), (1536, 900, False), (900, 1536, False)]
)
def test_memory_must_stay_below_one_and_a_half_gibibytes_all_the_time(
    working: float, idle: float, kept: bool
):
    found = verdict([Sample(100, working, 800), Sample(200, 900, idle), Sample(1700, 900, idle)])

    assert found.kept is kept
    assert found.most_mib == max(working, idle)
