"""All checks of a picture, and of the frames of a list."""

from collections.abc import Sequence

from wholebody.label_checks.faces import face_out_of_order
from wholebody.label_checks.finding import Finding, Kind, LabelledPerson
from wholebody.label_checks.frames import Frame, unlike_neighbours
from wholebody.label_checks.hands import hands_out_of_order
from wholebody.label_checks.left_behind import left_behind
from wholebody.label_checks.mixing import mixed
from wholebody.label_checks.people import doubled
from wholebody.label_checks.swaps import swapped


def check_picture(people: Sequence[LabelledPerson]) -> list[Finding]:
    """Return the probable mistakes in a picture, the most suspicious first."""
    found = [*mixed(people), *doubled(people)]
    for position, person in enumerate(people):
        found += swapped(person, position)
        found += face_out_of_order(person, position)
        found += hands_out_of_order(person, position)
        found += left_behind(person, position)
    return ranked(found)


def check_frames(frames: Sequence[Frame]) -> list[list[Finding]]:
    """Return the probable mistakes in each frame of a list, the most suspicious first."""
    alone = (check_picture(frame) for frame in frames)
    return [ranked([*one, *more]) for one, more in zip(alone, unlike_neighbours(frames), strict=True)]


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings in order of suspicion; of those that explain the same mistake, the most suspicious one."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda one: -one.score):
        if not any(_explains(better, finding) for better in kept):
            kept.append(finding)
    return kept


def _explains(better: Finding, other: Finding) -> bool:
    """Return whether a mistake leaves no evidence for a less suspicious one."""
    if not set(better.people) & set(other.people):
        return False
    if {better.kind, other.kind} == {Kind.SWAPPED, Kind.MIXED}:
        return True
    return better.kind is other.kind and bool(set(better.keypoints) & set(other.keypoints))
