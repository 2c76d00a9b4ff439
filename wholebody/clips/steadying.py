"""Steadies the people of a clip in time, frame after frame, with a delay of a few seconds and bounded memory."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wholebody.clips.gaps import filled
from wholebody.clips.outliers import without_outliers
from wholebody.clips.smoothing import smoothed
from wholebody.clips.swaps import unswapped
from wholebody.clips.trajectories import Trajectories
from wholebody.person import Person
from wholebody.posed_clip import PosedFrame, PosedPerson
from wholebody.schema import KEYPOINT_COUNT

CONTEXT_S = 2.0
"""Time before and after a frame that its keypoints may depend on: more than all steps need together."""
BLOCK_S = 1.0
"""Frames are steadied together for this time, since their context is read again for each block."""
LEAST_LOOKS = 2
"""A person whom the detector saw less often is a false detection, unless it looked no oftener."""


@dataclass(frozen=True)
class FoundPerson:
    """A person in one frame, before anything is done in time.

    Attributes:
        person: As the networks found it.
        looks: How often the detector has seen this person so far.
    """

    person: Person
    looks: int


@dataclass(frozen=True)
class FoundFrame:
    """The people in one frame.

    Attributes:
        index: Number of the frame in the clip, from 0.
        time: In seconds from the clip's beginning, later than that of the frame before.
        people: By their numbers, which stay the same through the clip. Empty if the frame could not be decoded.
    """

    index: int
    time: float
    people: Mapping[int, FoundPerson]


class Steadying:
    """Takes the frames of a clip in order, and returns them steadied, in the same order.

    Args:
        raw: Return keypoints as found. People and their ids are the same.
    """

    def __init__(self, *, raw: bool = False) -> None:
        self._raw = raw
        self._frames: list[FoundFrame] = []
        self._done = 0
        self._looks: dict[int, int] = {}
        self._ids: dict[int, int] = {}

    def add(self, frame: FoundFrame) -> list[PosedFrame]:
        """Add a frame, and return those that are ready."""
        self._frames.append(frame)
        for number, found in frame.people.items():
            self._looks[number] = max(found.looks, self._looks.get(number, 0))
        if frame.time - self._frames[self._done].time < CONTEXT_S + BLOCK_S:
            return []
        ready = self._posed(sum(one.time <= frame.time - CONTEXT_S for one in self._frames), LEAST_LOOKS)
        oldest = self._frames[self._done].time - CONTEXT_S
        kept = next(i for i, one in enumerate(self._frames) if one.time >= oldest)
        self._frames = self._frames[kept:]
        self._done -= kept
        return ready

    def finish(self) -> list[PosedFrame]:
        """Return the remaining frames of the clip."""
        most = max(self._looks.values(), default=0)
        return self._posed(len(self._frames), LEAST_LOOKS if most > LEAST_LOOKS else 1)

    def _posed(self, end: int, least_looks: int) -> list[PosedFrame]:
        """Return the frames from the first that is not done up to `end`."""
        begin, self._done = self._done, end
        steadied = self._steadied(least_looks)
        return [self._posed_frame(i, steadied) for i in range(begin, end)]

    def _steadied(self, least_looks: int) -> dict[int, Trajectories]:
        times = np.array([frame.time for frame in self._frames])
        numbers = sorted({number for frame in self._frames for number in frame.people})
        found = {
            number: Trajectories.of(
                times,
                [
                    seen.person if (seen := frame.people.get(number)) is not None else None
                    for frame in self._frames
                ],
            )
            for number in numbers
            if self._looks[number] >= least_looks
        }
        return found if self._raw else {number: steadied(one) for number, one in found.items()}

    def _posed_frame(self, i: int, steadied: Mapping[int, Trajectories]) -> PosedFrame:
        frame = self._frames[i]
        shown = {number: person for number, one in steadied.items() if (person := one.person(i)) is not None}
        for number in sorted(shown, key=lambda number: float(shown[number].box[0])):
            self._ids.setdefault(number, len(self._ids))
        people = [
            PosedPerson(f"p{self._ids[number]}", person, steadied[number].states[i, :KEYPOINT_COUNT])
            for number, person in sorted(shown.items(), key=lambda one: self._ids[one[0]])
        ]
        return PosedFrame(frame.index, frame.time, tuple(people))


def steadied(raw: Trajectories) -> Trajectories:
    """Return the trajectories of one person with swaps repaired, outliers removed, smoothed, and short gaps filled."""
    return filled(smoothed(without_outliers(unswapped(raw))))
