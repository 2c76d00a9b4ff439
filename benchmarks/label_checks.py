"""Measures `rtmlib-backend check-labels`: mistakes put into made annotations, and what is found.

    python -m benchmarks.label_checks [--cases 500] [--seed 1]

Prints the tables of docs/label-checks.md.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator

from benchmarks.label_mistakes import (
    EXCHANGES,
    MISTAKES,
    SWAPS,
    Case,
    Frames,
    exchange,
    picture,
    sequence,
    swap,
)
from wholebody.label_checks.checks import check_frames, check_picture
from wholebody.label_checks.finding import Finding, Kind

PREVALENCE = 0.1
"""Share of people with a mistake of the kind for which precision is given."""

Make = Callable[[Generator], Case | None]


@dataclass(frozen=True)
class RightPeople:
    """What is reported about correct annotations.

    Attributes:
        people: How many there are.
        flagged: Those with a finding.
        by_kind: Those with a finding of each kind.
    """

    people: int
    flagged: int
    by_kind: Counter[Kind]

    @property
    def share(self) -> float:
        """Share of people with a finding."""
        return self.flagged / self.people

    def precision(self, kind: Kind, recall: float) -> float:
        """Return the precision of a kind if `PREVALENCE` of the people have a mistake of it."""
        right = PREVALENCE * recall
        wrong = (1 - PREVALENCE) * self.by_kind[kind] / self.people
        return right / (right + wrong) if right + wrong else 1.0


def right_people(random: Generator, pictures: int, sequences: int) -> RightPeople:
    """Check correct pictures and frame lists."""
    scenes: list[Frames] = [[picture(random)] for _ in range(pictures)]
    scenes += [sequence(random) for _ in range(sequences)]
    people, flagged, by_kind = 0, 0, Counter[Kind]()
    for scene in scenes:
        for frame, findings in zip(scene, checked(scene), strict=True):
            people += len(frame)
            flagged += len({position for finding in findings for position in finding.people})
            for kind in Kind:
                mine = [finding for finding in findings if finding.kind is kind]
                by_kind[kind] += max(
                    len({position for finding in mine for position in finding.people}), min(len(mine), 1)
                )
    return RightPeople(people, flagged, by_kind)


def checked(frames: Frames) -> list[list[Finding]]:
    """Check a picture or a frame list."""
    return [check_picture(frames[0])] if len(frames) == 1 else check_frames(frames)


def recall(random: Generator, make: Make, cases: int) -> float:
    """Return the share of mistakes that are found: their kind, and one of their people."""
    found = made = 0
    while made < cases:
        case = make(random)
        if case is None:
            continue
        made += 1
        found += any(
            finding.kind is case.kind and (not case.people or set(finding.people) & set(case.people))
            for finding in checked(case.frames)[case.frame]
        )
    return found / cases


def _kind_of(make: Make) -> Kind:
    random = np.random.default_rng(0)
    return next(case.kind for _ in iter(int, 1) if (case := make(random)) is not None)


def _row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def _tables(cases: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    right = right_people(random, 4 * cases, cases // 5)
    print(f"{right.people} people without a mistake: {right.flagged} flagged, {100 * right.share:.2f} %\n")
    _row("mistake", "recall", "precision", "right people flagged with this kind")
    _row(*["---"] * 4)
    for name, make in MISTAKES.items():
        kind = _kind_of(make)
        share = recall(random, make, cases)
        flagged = f"{100 * right.by_kind[kind] / right.people:.2f} %"
        _row(name, f"{share:.2f}", f"{right.precision(kind, share):.2f}", flagged)
    print()
    _parts(random, "swapped", SWAPS, swap, cases)
    _parts(random, "mixed with another person", EXCHANGES, exchange, cases)


def _parts(
    random: Generator,
    title: str,
    names: Sequence[str] | dict[str, list[int]],
    make: Callable[[Generator, str], Case | None],
    cases: int,
) -> None:
    _row(title, "recall")
    _row("---", "---")
    for name in names:
        _row(name, f"{recall(random, partial(make, name=name), cases // 2):.2f}")  # pyright: ignore[reportCallIssue]
    print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    _tables(given.cases, given.seed)
