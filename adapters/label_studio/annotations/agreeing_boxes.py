"""Takes two people whose boxes agree as one, where what is drawn under them fits together.

A smart tool answers with a box of its own, so that a hand which was missing comes under a second box with the same
coordinates.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from adapters.label_studio.annotations.box_geometry import upright
from adapters.label_studio.annotations.gathering import MOST_BOXES, Gathered, PictureRegions
from adapters.label_studio.annotations.regions import person_of_box
from adapters.label_studio.label_config.label_names import one_line
from wholebody.geometry import overlaps

SAME_BOX = 0.9
"""Lowest intersection over union of boxes that agree. A shift by a nineteenth of the box's width is less; people who
hug, or stand behind one another, differ by more in at least one edge."""

_MOST_TWINS = 10  # boxes that agree with one: nobody draws more, and each pair takes time


def united(people: Sequence[Gathered], picture: PictureRegions) -> list[Gathered]:
    """Unite people whose boxes agree, if one was added to the picture's prediction.

    Their keypoints must not overlap, or those of one be all among those of the other. Whom a prediction has twice stays
    so.
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
                    "keypoints are there twice: they are taken as two people. If it is one person, delete one of them"
                )
            )
            continue
        one.points += added.points
        if person_of_box(added.name) is None:
            one.box = added.box  # drawn by hand
        gone.add(added.name)
        picture.warn(
            one_line(
                f"the boxes of {one.title} and {added.title} are almost the same: they are taken as one person"
            )
        )
    return [one for one in people if one.name not in gone]


def _agreeing(boxed: Sequence[Gathered], picture: PictureRegions) -> Iterator[tuple[Gathered, Gathered]]:
    """Find pairs whose boxes agree: one that was there before, and one that was added."""
    placed = [
        (one, edges) for one in boxed if one.box and (edges := upright(one.box, picture.size)) is not None
    ]
    if not placed:
        return
    table = np.stack([edges for _, edges in placed])
    for position, (added, edges) in enumerate(placed):
        if picture.was_predicted(added):
            continue
        shared = overlaps(edges[np.newaxis], table)[0]
        agreeing: list[int] = np.flatnonzero(shared >= SAME_BOX)[:_MOST_TWINS].tolist()
        for other in agreeing:
            one = placed[other][0]
            if other < position or (other > position and picture.was_predicted(one)):
                yield one, added
