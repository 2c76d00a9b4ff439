"""Finds the people in the frames of a clip: each frame's boxes and parts start from the frame before.

The detector runs a few times a second, and at once when somebody is lost, new or close to somebody else. Between, a box
follows its person's keypoints, as in MediaPipe and in RTMPose's own demo.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wholebody.appearance import clothes_colours
from wholebody.clips.steadying import FoundPerson
from wholebody.detection import PersonDetector
from wholebody.estimation import Estimate, PoseEstimator
from wholebody.geometry import Picture, overlaps
from wholebody.known_parts import KnownPart, KnownParts, Search
from wholebody.person import Person
from wholebody.schema import FACE_START, FEET_START, Part
from wholebody.tracking import BRIEFLY_S, Identities

DETECT_EVERY_S = 0.2
SEARCH_AGAIN_S = 1.0
"""Hands and faces are searched anew after this time: a network may hold on to what is none."""
ABSENT_S = 0.15
"""A part that was not found for longer is searched for now and then, not in every frame."""
SEARCH_ABSENT_EVERY_S = 0.15
HANDS_APART = 0.6
"""Distance of two hands' regions, in sides, below which both are searched anew."""
CLOSE = 0.3
"""Intersection over union of two boxes above which the detector runs in every frame."""
SAME_PERSON = 0.6
"""Intersection over union with a detected person above which one who was not detected is the same."""
PRESENT_SCORE = 0.3
"""Least mean score of the surer half of the body keypoints; below it, the person is lost."""

_KEYPOINT_SCORE = 0.5  # of keypoints that move the box
_STEADY = 0.01  # of the box's longer side: a smaller shift is the networks' jitter
_SAME_BOX = 0.8  # intersection over union of the detected and the expected box
_NEW_BOX_SHARE = 0.3  # of the detected box, if it is nearly the expected one

_PARTS = (Part.FACE, Part.LEFT_HAND, Part.RIGHT_HAND)

Box = NDArray[np.float32]


@dataclass
class _Followed:
    """A person who was found in the frame before."""

    box: Box
    box_score: float
    detected_at: float
    looks: int = 0
    person: Person | None = None
    anchor: Person | None = None  # as found in the box that the detector set
    parts: KnownParts = field(default_factory=dict[Part, KnownPart])
    searched_at: float = -np.inf  # for all parts
    found_at: dict[Part, float] = field(default_factory=dict[Part, float])
    absent_searched_at: float = -np.inf

    def expected(self) -> Box:
        """Return the box moved as the keypoints have moved since the detector ran, and around all of them."""
        if self.person is None or self.anchor is None:
            return self.box
        body = slice(FACE_START)
        sure = (self.person.scores[body] >= _KEYPOINT_SCORE) & (self.anchor.scores[body] >= _KEYPOINT_SCORE)
        if not sure.any():
            return self.box
        now, then = self.person.keypoints[body][sure], self.anchor.keypoints[body][sure]
        shift = np.median(now - then, axis=0)
        if np.abs(shift).max() < _STEADY * float((self.box[2:] - self.box[:2]).max()):
            shift = np.zeros(2)
        box = self.box + np.tile(shift, 2)
        return np.concatenate([np.minimum(box[:2], now.min(axis=0)), np.maximum(box[2:], now.max(axis=0))])


class PeopleInFrames:
    """Finds the people in each frame of a clip, given in order of time.

    Args:
        detector: Finds people's boxes.
        estimator: Finds their keypoints.
    """

    def __init__(self, detector: PersonDetector, estimator: PoseEstimator) -> None:
        self._detector = detector
        self._estimator = estimator
        self._identities = Identities()
        self._followed: dict[int, _Followed] = {}
        self._detected_at = -np.inf
        self._uncertain = False

    async def look(self, time: float, picture: Picture) -> dict[int, FoundPerson]:
        """Return the people in a frame by their numbers, which stay the same through the clip.

        Args:
            time: Of the frame in seconds, later than that of the frame before.
            picture: H×W×3 uint8, BGR, upright; all frames of a clip have one size.

        Raises:
            InferenceError: A network failed.
        """
        due = time - self._detected_at >= DETECT_EVERY_S - 1e-6
        if detected := due or self._uncertain or not self._followed or self._are_close():
            await self._detect(time, picture)
        lost = await self._find_keypoints(time, picture)
        if lost and not detected:
            await self._detect(time, picture)
            lost = await self._find_keypoints(time, picture)
        self._uncertain = bool(lost) or any(one.looks == 1 for one in self._followed.values())
        for number in lost:
            del self._followed[number]
        return {
            number: FoundPerson(one.person, one.looks)
            for number, one in self._followed.items()
            if one.person is not None
        }

    def _are_close(self) -> bool:
        boxes = np.array([one.box for one in self._followed.values()])
        return bool((overlaps(boxes, boxes) - np.eye(len(boxes)) > CLOSE).any())

    async def _detect(self, time: float, picture: Picture) -> None:
        """Run the detector, and set the boxes of the people whom it sees, or saw just before."""
        found = await self._detector.detect(picture)
        usable = np.isfinite(found.boxes).all(axis=1) & (found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1)
        boxes, scores = found.boxes[usable], found.scores[usable]
        numbers = self._identities.look(time, boxes, scores, clothes_colours(picture, boxes))
        for number, box, score in zip(numbers, boxes, scores, strict=True):
            if number is not None:
                self._set_box(number, box, float(score), time)
        seen = np.array([one.box for one in self._followed.values() if one.detected_at == time])
        self._followed = {
            number: one
            for number, one in self._followed.items()
            if one.detected_at == time or self._is_only_missed(one, time, seen.reshape(-1, 4))
        }
        self._detected_at = time

    def _set_box(self, number: int, box: Box, score: float, time: float) -> None:
        one = self._followed.get(number)
        if one is None:
            one = self._followed[number] = _Followed(box, score, time)
        expected = one.expected()
        same = overlaps(expected[np.newaxis], box[np.newaxis])[0, 0] >= _SAME_BOX
        one.box = (expected + _NEW_BOX_SHARE * (box - expected)).astype(np.float32) if same else box
        one.box_score, one.detected_at, one.anchor = score, time, None
        one.looks += 1

    def _is_only_missed(self, one: _Followed, time: float, seen: Box) -> bool:
        """Tell whether somebody whom the detector does not see is still expected in the picture."""
        alone = not (overlaps(one.expected()[np.newaxis], seen) > SAME_PERSON).any()
        return alone and time - one.detected_at <= BRIEFLY_S

    async def _find_keypoints(self, time: float, picture: Picture) -> list[int]:
        """Find the keypoints of all people, and return the numbers of those who are not there."""
        numbers = list(self._followed)
        if not numbers:
            return []
        people = [self._followed[number] for number in numbers]
        boxes = [one.expected().astype(np.float32) for one in people]
        searches = [_search(one, time) for one in people]
        estimate, parts = await self._estimator.estimate_next(picture, np.stack(boxes), searches)
        lost: list[int] = []
        for i, (number, one) in enumerate(zip(numbers, people, strict=True)):
            if not _is_present(estimate, i):
                lost.append(number)
                continue
            person = Person(boxes[i], one.box_score, estimate.keypoints[i], estimate.scores[i])
            one.person, one.parts = person, parts[i]
            one.found_at.update(dict.fromkeys(parts[i], time))
            if one.anchor is None:
                one.anchor = person
        return lost


def _search(one: _Followed, time: float) -> Search:
    """Return where a person's parts are looked for in a frame, and note when they were searched for."""
    if time - one.searched_at >= SEARCH_AGAIN_S - 1e-6:
        one.searched_at = one.absent_searched_at = time
        return Search()
    absent = {part for part in _PARTS if time - one.found_at.get(part, -np.inf) > ABSENT_S}
    if time - one.absent_searched_at >= SEARCH_ABSENT_EVERY_S - 1e-6:
        one.absent_searched_at = time
        absent = set[Part]()
    return Search(_apart(one.parts), frozenset(absent))


def _apart(parts: KnownParts) -> KnownParts:
    """Return the known parts without two hands that are close to each other."""
    left, right = parts.get(Part.LEFT_HAND), parts.get(Part.RIGHT_HAND)
    if left is None or right is None:
        return parts
    distance = np.hypot(left.region.x - right.region.x, left.region.y - right.region.y)
    if distance >= HANDS_APART * max(left.region.side, right.region.side):
        return parts
    return {part: known for part, known in parts.items() if part is Part.FACE}


def _is_present(estimate: Estimate, person: int) -> bool:
    surer = np.sort(estimate.scores[person, :FEET_START])[FEET_START // 2 :]
    return float(surer.mean()) >= PRESENT_SCORE
