"""The people of a clip, frame by frame: what the clip pipeline gives and what files and overlays are made from."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from wholebody.person import Person
from wholebody.schema import KEYPOINT_COUNT


class KeypointState(IntEnum):
    """Where a keypoint's position comes from."""

    MISSING = 0
    """Not found: its score is 0."""
    SEEN = 1
    """Found by a network in this frame."""
    INTERPOLATED = 2
    """Laid between the frames before and after, in which it was found."""
    CORRECTED = 3
    """Placed by an annotator, in this frame or carried here from corrected frames."""
    REMOVED = 4
    """Removed by an annotator."""


@dataclass(frozen=True)
class PosedPerson:
    """A person in one frame.

    Attributes:
        id: Stays the same through the clip: `p0`, `p1`, … by first appearance, from left to right in one frame.
        person: Box and keypoints in pixels of the upright frame in its full size.
        states: A `KeypointState` for each keypoint, shape (133,), uint8.
    """

    id: str
    person: Person
    states: NDArray[np.uint8]

    @property
    def number(self) -> int:
        """The number in the id."""
        return int(self.id[1:])

    def __post_init__(self) -> None:
        assert self.states.shape == (KEYPOINT_COUNT,)


@dataclass(frozen=True)
class PosedFrame:
    """A frame of a clip with its people.

    Attributes:
        index: Number of the frame in the clip, from 0, in order of presentation.
        time: When it is shown, in seconds from the clip's beginning as a player shows it.
        people: In the order of their ids.
    """

    index: int
    time: float
    people: tuple[PosedPerson, ...]


@dataclass(frozen=True)
class PosedClip:
    """What all frames of a clip have in common.

    Attributes:
        name: Name of the file or its address.
        width: Of the upright frames, in pixels.
        height: Of the upright frames, in pixels.
        fps: Frames per second; the mean if frames last differently long.
        model_version: Of the predictions.
    """

    name: str
    width: int
    height: int
    fps: float
    model_version: str
