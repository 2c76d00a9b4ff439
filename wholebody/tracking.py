"""Tracks people from frame to frame of a clip.

People are matched by position, motion and colours of clothes, without another network. The ideas are those of published
trackers. Boxes of low confidence continue a track but start none (ByteTrack, arXiv 2110.06864). Motion is observed, not
filtered (OC-SORT, arXiv 2203.14360). Boxes are enlarged before they are compared (C-BIoU, arXiv 2211.14317), since
processed frames may be far apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from wholebody.assignment import best_pairs
from wholebody.geometry import overlaps

Box = NDArray[np.float32]

SURE_SCORE = 0.5
"""Least confidence of a box that starts a track."""
LOST_AFTER_S = 2.0
"""A person who was not seen for longer gets a new track."""
BRIEFLY_S = 0.5
"""Longest gap in a track that low-confidence boxes may continue, as in ByteTrack."""

_MOTION_OVER_S = 0.5  # span for the velocity; over less, the detector's jitter dominates
_COASTING_S = 1.0  # longest extrapolation: people hidden for longer may have stopped or turned
_MARGIN = 0.15  # of the box's size on each side
_MARGIN_PER_S = 0.5  # added per second since the last sighting
_WIDEST_MARGIN = 0.75
_LEAST_OVERLAP = 0.1  # of the enlarged boxes
_COLOURS_COUNT = 0.5  # different colours halve the similarity, but exclude no match, since light changes
_NEWEST_COLOURS = 0.2  # weight of the newest frame in a track's colours
_CROWDED = 0.1  # boxes that overlap more show each other's clothes


@dataclass(frozen=True)
class Sighting:
    """A person in one frame.

    Attributes:
        time: Of the frame, in seconds from the beginning of the clip.
        box: x1, y1, x2, y2 in pixels of the upright frame, shape (4,).
        score: Confidence of the detector, 0 to 1.
    """

    time: float
    box: Box
    score: float


@dataclass(frozen=True)
class Track:
    """One person through a clip: at least one sighting, in order of time."""

    sightings: tuple[Sighting, ...]


@dataclass(eq=False)
class _Followed:
    number: int
    sightings: list[Sighting]
    colours: NDArray[np.float32]

    def expected(self, time: float) -> Box:
        """Return the extrapolated box at a time."""
        last = self.sightings[-1]
        first = self._first_of_motion()
        if first is last:
            return last.box
        velocity = (_centre(last.box) - _centre(first.box)) / (last.time - first.time)
        moved = velocity * min(time - last.time, _COASTING_S)
        return last.box + np.tile(moved, 2).astype(np.float32)

    def add(self, sighting: Sighting) -> None:
        """Add the newest sighting, and forget those that its motion does not need."""
        self.sightings.append(sighting)
        first = self._first_of_motion()
        self.sightings = [one for one in self.sightings if one.time >= first.time]

    def _first_of_motion(self) -> Sighting:
        last = self.sightings[-1]
        first = next(one for one in self.sightings if one.time >= last.time - _MOTION_OVER_S - 1e-6)
        return self.sightings[-2] if first is last and len(self.sightings) > 1 else first


class Identities:
    """Numbers the people in the frames of a clip, given in order of time; its memory does not grow with the clip."""

    def __init__(self) -> None:
        self._numbers = count()
        self._followed: list[_Followed] = []

    def look(
        self,
        time: float,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        colours: NDArray[np.float32],
    ) -> list[int | None]:
        """Return the number of the person in each box; None for a box of low confidence that is nobody's.

        Args:
            time: Of the frame in seconds, later than that of the frame before.
            boxes: x1, y1, x2, y2 in pixels, shape (n, 4), each with a positive area.
            scores: Confidences, shape (n,).
            colours: From `clothes_colours`, shape (n, bins).
        """
        self._followed = [one for one in self._followed if time - one.sightings[-1].time <= LOST_AFTER_S]
        crowded = (overlaps(boxes, boxes) > _CROWDED).sum(axis=1) > 1
        sure = scores >= SURE_SCORE
        numbers: list[int | None] = [None] * len(boxes)
        waiting = self._followed
        for candidates in (np.flatnonzero(sure), np.flatnonzero(~sure)):
            matched: list[_Followed] = []
            for who, which in _matches(waiting, time, boxes[candidates], colours[candidates]):
                seen, found = int(candidates[which]), waiting[who]
                found.add(Sighting(time, boxes[seen], float(scores[seen])))
                if not crowded[seen]:
                    found.colours += _NEWEST_COLOURS * (colours[seen] - found.colours)
                matched.append(found)
                numbers[seen] = found.number
            # A box of low confidence counts only where a person was seen recently.
            waiting = [
                one for one in waiting if one not in matched and time - one.sightings[-1].time <= BRIEFLY_S
            ]
        for seen in np.flatnonzero(sure):
            if numbers[seen] is None:
                numbers[seen] = number = next(self._numbers)
                sighting = Sighting(time, boxes[seen], float(scores[seen]))
                self._followed.append(_Followed(number, [sighting], colours[seen].copy()))
        return numbers


class Tracker:
    """Tracks people through the frames of a clip, given in order of time."""

    def __init__(self) -> None:
        self._looks = 0
        self._identities = Identities()
        self._sightings: dict[int, list[Sighting]] = {}

    def look(
        self,
        time: float,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        colours: NDArray[np.float32],
    ) -> None:
        """Add the people in a frame: see `Identities.look`."""
        self._looks += 1
        numbers = self._identities.look(time, boxes, scores, colours)
        for number, box, score in zip(numbers, boxes, scores, strict=True):
            if number is not None:
                self._sightings.setdefault(number, []).append(Sighting(time, box, float(score)))

    def tracks(self) -> tuple[Track, ...]:
        """Return the tracks so far by start time, those of the same time from left to right.

        People seen in one frame only count as false detections, unless there are at most two frames.
        """
        least = 2 if self._looks > 2 else 1
        kept = [sightings for sightings in self._sightings.values() if len(sightings) >= least]
        kept.sort(key=lambda sightings: (sightings[0].time, float(sightings[0].box[0])))
        return tuple(Track(tuple(sightings)) for sightings in kept)


def _matches(
    followed: Sequence[_Followed], time: float, boxes: NDArray[np.float32], colours: NDArray[np.float32]
) -> list[tuple[int, int]]:
    if not followed or not len(boxes):
        return []
    likeness = np.zeros((len(followed), len(boxes)))
    for i, one in enumerate(followed):
        margin = min(_MARGIN + _MARGIN_PER_S * (time - one.sightings[-1].time), _WIDEST_MARGIN)
        expected = _enlarged(one.expected(time)[np.newaxis], margin)
        overlap = overlaps(expected, _enlarged(boxes, margin))[0]
        alike = 1 - _COLOURS_COUNT * (1 - colours @ one.colours)
        likeness[i] = np.where(overlap >= _LEAST_OVERLAP, overlap * alike, 0)
    return [(i, j) for i, j in best_pairs(likeness) if likeness[i, j] > 0]


def _centre(box: Box) -> NDArray[np.float64]:
    return (box[:2] + box[2:]).astype(np.float64) / 2


def _enlarged(boxes: NDArray[np.float32], margin: float) -> NDArray[np.float32]:
    more = margin * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([boxes[:, :2] - more, boxes[:, 2:] + more], axis=1).astype(np.float32)
