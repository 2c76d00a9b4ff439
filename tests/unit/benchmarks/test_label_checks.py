"""What `check-labels` finds: bounds on a smaller sample of what docs/label-checks.md says."""

import numpy as np
import pytest

from benchmarks.label_checks import RightPeople, recall, right_people
from benchmarks.label_mistakes import MISTAKES
from wholebody.label_checks.finding import Kind

CASES = 40


@pytest.fixture(scope="module")
def right() -> RightPeople:
    return right_people(np.random.default_rng(7), pictures=220, sequences=3)


def test_few_right_people_are_flagged(right: RightPeople) -> None:
    assert right.people > 400
    assert right.share <= 0.02


@pytest.mark.parametrize(
    ("mistake", "kind"),
    [
        ("left and right swapped", Kind.SWAPPED),
        ("left and right swapped, in one of five frames", Kind.SWAPPED),
        ("points of two people mixed", Kind.MIXED),
        ("finger shifted by one joint", Kind.SHIFTED_ORDER),
        ("jaw shifted or in reverse order", Kind.SHIFTED_ORDER),
    ],
)
def test_most_mistakes_are_found_and_most_findings_are_mistakes(
    right: RightPeople, mistake: str, kind: Kind
) -> None:
    found = recall(np.random.default_rng(8), MISTAKES[mistake], CASES)

    assert found >= 0.8
    assert right.precision(kind, found) >= 0.9


@pytest.mark.parametrize(
    ("mistake", "least"),
    [
        ("mirrored hand", 0.45),
        ("finger in reverse order", 0.65),
        ("point left at its prediction", 0.9),
        ("point jumps in one frame", 0.7),
        ("person annotated twice", 0.7),
        ("person missing in one frame", 0.9),
    ],
)
def test_other_mistakes_are_found(mistake: str, least: float) -> None:
    assert recall(np.random.default_rng(9), MISTAKES[mistake], CASES // 2) >= least
