"""Merges two people whose boxes agree, if their keypoints are compatible.

A smart tool returns a new box, so an added hand is nested under a second box with the same coordinates.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from adapters.label_studio.annotations.box_geometry import upright
from adapters.label_studio.annotations.gathering import MOST_BOXES, Gathered, PictureRegions
from adapters.label_studio.annotations.regions import person_of_box
from adapters.sentences import one_line
from wholebody.geometry import overlaps

SAME_BOX = 0.9
"""Lowest intersection over union of boxes that agree. A shift by a nineteenth of the width is below it. People who hug
or stand behind one another differ by more in at least one edge."""

_MOST_TWINS = 10  # boxes that agree with one: more are not realistic, and each pair takes time


def merged(people: Sequence[Gathered], picture: PictureRegions) -> list[Gathered]:
    """Merge people whose boxes agree, if one was added to the picture's prediction.

    Their keypoints must be disjoint, or those of one a subset of the other's. Two predicted people are never merged.
    """
    boxed = [one for one in people if one.box is not None]
    if len(boxed) > MOST_BOXES or all(picture.was_predicted(one) for one in boxed):
        return list(people)
    gone: set[str] = set()
    for one, added in _agreeing(boxed, picture):
        if {one.name, added.name} & gone:
            continue
        mine, theirs = one.keypoints, added.keypoints
        if not mine | theirs:
            continue
        if mine & theirs and not (mine <= theirs or theirs <= mine):
            picture.warn(
                one_line(
                    f"the boxes of {one.title} and {added.title} are almost the same, but {len(mine & theirs)} "
                    "keypoints occur in both: they count as two people. If it is one person, delete one of them"
                )
            )
            continue
        one.points += added.points
        if person_of_box(added.name) is None:
            one.box = added.box  # drawn by hand
        gone.add(added.name)
        picture.warn(
            one_line(
                f"the boxes of {one.title} and {added.title} are almost the same: they count as one person"
            )
        )
    return [one for one in people if one.name not in gone]


def _agreeing(boxed: Sequence[Gathered], picture: PictureRegions) -> Iterator[tuple[Gathered, Gathered]]:
    """Yield pairs whose boxes agree: an earlier one, and an added one."""
    with_edges = [
        (one, edges) for one in boxed if one.box and (edges := upright(one.box, picture.size)) is not None
    ]
    if not with_edges:
        return
    table = np.stack([edges for _, edges in with_edges])
    for position, (added, edges) in enumerate(with_edges):
        if picture.was_predicted(added):
            continue
        shared = overlaps(edges[np.newaxis], table)[0]
        agreeing: list[int] = np.flatnonzero(shared >= SAME_BOX)[:_MOST_TWINS].tolist()
        for other in agreeing:
            one = with_edges[other][0]
            if other < position or (other > position and picture.was_predicted(one)):
                yield one, added
