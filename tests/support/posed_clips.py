"""Made clips of posed people, for tests of what writes and reads them."""

from collections.abc import Iterator

import numpy as np

from wholebody.person import Person
from wholebody.posed_clip import KeypointState, PosedClip, PosedFrame, PosedPerson
from wholebody.schema import KEYPOINT_COUNT

CLIP = PosedClip("folder/sign.mp4", 640, 480, 25.0, "rtmlib-embedded-12345678")
STATES = np.full(KEYPOINT_COUNT, KeypointState.SEEN, np.uint8)
STATES[[0, 3]] = KeypointState.MISSING, KeypointState.REMOVED
STATES[[1, 2]] = KeypointState.INTERPOLATED, KeypointState.CORRECTED


def posed(number: int = 0, frame: int = 0) -> PosedPerson:
    """Return a person whose keypoints tell person and frame; `STATES` says what they are."""
    random = np.random.default_rng([number, frame])
    keypoints = random.uniform(0, 480, (KEYPOINT_COUNT, 2)).astype(np.float32)
    scores = random.uniform(0.2, 1.0, KEYPOINT_COUNT).astype(np.float32)
    scores[STATES == KeypointState.MISSING] = 0
    box = np.array([-5, 10, 600, 470], np.float32)
    return PosedPerson(f"p{number}", Person(box, 0.9, keypoints, scores), STATES)


def frames(count: int, every: int = 1) -> Iterator[PosedFrame]:
    """Yield frames: `p0` is in all of them, `p1` in every third, and nobody in the second."""
    for position in range(count):
        index = position * every
        people = [posed(0, index)] + ([posed(1, index)] if position % 3 == 2 else [])
        yield PosedFrame(index, index / CLIP.fps, tuple(people) if position != 1 else ())
