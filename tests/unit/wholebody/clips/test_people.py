"""Who is looked for where, from frame to frame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wholebody.clips.people import PeopleInFrames
from wholebody.clips.pipeline import ClipFrame, pose_frames
from wholebody.detection import Detections
from wholebody.estimation import Estimate
from wholebody.geometry import SquareRegion
from wholebody.known_parts import Anchor, KnownPart, KnownParts, Search
from wholebody.posed_clip import KeypointState, PosedFrame
from wholebody.schema import KEYPOINT_COUNT, PART_RANGES, Part

FPS = 25
PICTURE = np.zeros((400, 1200, 3), np.uint8)
SIZE = np.array([100, 200])
Where = Callable[[float], float | None]
"""Left edge of a person at a time; None while away."""
HANDS = (Part.LEFT_HAND, Part.RIGHT_HAND)


@dataclass
class Scene:
    """Networks that see people who walk: the time is written into the frame's first pixel.

    Attributes:
        people: In the scene.
        detections: Times at which the detector was called.
        boxes: Given to the estimator, for each frame.
        searches: Given to the estimator, for each frame.
        hands_at: Where both hands of everybody are found, from the person's left edge; None for not found.
    """

    people: Sequence[Where]
    hands_at: Callable[[Part, float], float | None] = lambda part, _: {Part.LEFT_HAND: 90.0}.get(part, 10.0)
    detections: list[float] = field(default_factory=list)
    boxes: list[NDArray[np.float32]] = field(default_factory=list)
    searches: list[Sequence[Search]] = field(default_factory=list)
    time: float = 0.0

    def lefts(self) -> list[float]:
        return [left for one in self.people if (left := one(self.time)) is not None]

    async def detect(self, picture: NDArray[np.uint8]) -> Detections:
        self.detections.append(self.time)
        boxes = [[left, 100, left + SIZE[0], 100 + SIZE[1]] for left in self.lefts()]
        return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))

    async def estimate_next(
        self, picture: NDArray[np.uint8], boxes: NDArray[np.float32], searches: Sequence[Search]
    ) -> tuple[Estimate, list[KnownParts]]:
        self.boxes.append(boxes)
        self.searches.append(searches)
        keypoints = np.zeros((len(boxes), KEYPOINT_COUNT, 2), np.float32)
        scores = np.zeros((len(boxes), KEYPOINT_COUNT), np.float32)
        known: list[dict[Part, KnownPart]] = [{} for _ in boxes]
        for i, box in enumerate(boxes):
            near = [left for left in self.lefts() if abs(left - box[0]) < SIZE[0] / 2]
            if not near:
                continue  # nobody in this box
            keypoints[i] = (
                near[0] + SIZE[0] * np.linspace(0.1, 0.9, KEYPOINT_COUNT)[:, None] * (1, 0) + (0, 200)
            )
            scores[i, :23] = 0.9
            for part in HANDS:
                at = self.hands_at(part, self.time)
                if at is not None and part not in searches[i].skipped:
                    scores[i, list(PART_RANGES[part])] = 0.9
                    known[i][part] = KnownPart(SquareRegion(near[0] + at, 200, 30, 0), Anchor(np.zeros(2)))
        return Estimate(keypoints, scores), [*known]

    async def estimate(self, picture: NDArray[np.uint8], boxes: NDArray[np.float32]) -> Estimate:
        raise AssertionError("a clip is not predicted as single pictures")

    async def part_at(self, *_: object) -> None:
        raise AssertionError("nobody clicks")

    async def posed(
        self, seconds: float, *, damaged: Sequence[int] = (), raw: bool = False
    ) -> list[PosedFrame]:
        async def frames():
            for i in range(round(seconds * FPS)):
                self.time = i / FPS
                yield ClipFrame(i, i / FPS, None if i in damaged else PICTURE)

        return [frame async for frame in pose_frames(frames(), self, self, raw=raw)]


def ids(frames: Sequence[PosedFrame]) -> set[tuple[str, ...]]:
    return {tuple(posed.id for posed in frame.people) for frame in frames}


def walking(speed: float, start: float = 100.0) -> Where:
    return lambda time: start + speed * time


async def test_the_detector_runs_five_times_a_second_and_everybody_is_in_every_frame() -> None:
    scene = Scene([walking(80), walking(-80, 900)])
    frames = await scene.posed(4)

    assert [frame.index for frame in frames] == list(range(100))
    assert ids(frames) == {("p0", "p1")}
    assert len(scene.detections) <= 5 * 4 + 2
    for frame in frames:
        left, right = (posed.person for posed in frame.people)
        assert abs(float(left.box[0]) - (100 + 80 * frame.time)) < 10
        assert abs(float(right.box[0]) - (900 - 80 * frame.time)) < 10


async def test_between_detections_the_box_follows_the_keypoints() -> None:
    scene = Scene([walking(400)])  # 16 pixels a frame
    await scene.posed(1)

    for time, boxes in zip(np.arange(25) / FPS, scene.boxes, strict=True):
        assert abs(float(boxes[0, 0]) - (100 + 400 * time)) <= 33, "at most two frames behind"


async def test_somebody_who_is_away_for_a_moment_is_the_same() -> None:
    frames = await Scene([lambda time: None if 2 <= time < 2.28 else 100 + 50 * time]).posed(4)

    assert ids(frames) == {("p0",)}, "in the gap, too"
    gap = [frame.people[0] for frame in frames if 2 <= frame.time < 2.27]
    for posed in gap:
        assert set(posed.states[:23].tolist()) == {KeypointState.INTERPOLATED}


async def test_somebody_who_left_is_gone_and_a_newcomer_has_another_id() -> None:
    away = Scene([lambda time: 100 if time < 2 else None, lambda time: 700 if time >= 3 else None])
    frames = await away.posed(5)

    assert ids(frames[:50]) == {("p0",)}
    assert ids(frames[50:75]) == {()}
    assert ids(frames[76:]) == {("p1",)}


async def test_a_lost_person_is_detected_in_the_same_frame() -> None:
    # A cut: the same person is elsewhere from one frame to the next.
    scene = Scene([lambda time: 100 if time < 1.04 else 260])
    frames = await scene.posed(3)

    assert any(abs(time - 1.04) < 1e-6 for time in scene.detections)
    assert all(len(frame.people) == 1 for frame in frames)


async def test_people_close_to_each_other_are_detected_in_every_frame() -> None:
    scene = Scene([lambda _: 100.0, lambda _: 140.0])
    await scene.posed(2)

    assert len(scene.detections) == 50


async def test_hands_are_looked_for_where_they_were_and_anew_every_second() -> None:
    scene = Scene([walking(0)])
    await scene.posed(3)
    known = [set(search.known) for (search,) in scene.searches]

    assert known[0] == set()
    assert known[1] == set(HANDS)
    anew = [i for i, parts in enumerate(known) if not parts]
    assert anew == [0, 25, 50]


async def test_hands_that_meet_are_searched_anew() -> None:
    apart = {Part.LEFT_HAND: 50.0, Part.RIGHT_HAND: 40.0}
    scene = Scene(
        [walking(0)], hands_at=lambda part, time: apart[part] if time >= 1 else 90 - 40 * (part == HANDS[0])
    )
    await scene.posed(2)
    known = [set(search.known) for (search,) in scene.searches]

    assert known[20] == set(HANDS)
    assert all(parts == set() for parts in known[27:])


async def test_an_absent_hand_is_searched_for_now_and_then_and_found_when_it_appears() -> None:
    scene = Scene([walking(0)], hands_at=lambda part, time: 10.0 if part == HANDS[0] or time >= 2 else None)
    frames = await scene.posed(4)
    skipped = [HANDS[1] in search.skipped for (search,) in scene.searches]

    assert 0.6 < np.mean(skipped[5:50]) < 0.85
    assert not any(HANDS[0] in search.skipped for (search,) in scene.searches)
    first = next(frame.time for frame in frames if frame.people[0].states[112] == KeypointState.SEEN)
    assert 2 <= first <= 2.2
    assert not any(skipped[round(2.2 * FPS) :])


async def test_damaged_frames_are_answered_too() -> None:
    frames = await Scene([walking(50)]).posed(2, damaged=[0, 1, 20, 21])

    assert [frame.index for frame in frames] == list(range(50))
    assert frames[0].people == ()
    assert set(frames[20].people[0].states[:23].tolist()) == {KeypointState.INTERPOLATED}


async def test_memory_does_not_grow_with_the_clip() -> None:
    scene = Scene([walking(0)])
    people = PeopleInFrames(scene, scene)

    async def size_after(seconds: int) -> int:
        for i in range(round(scene.time * FPS) + 1, seconds * FPS):
            scene.time = i / FPS
            await people.look(scene.time, PICTURE)
        scene.detections.clear(), scene.boxes.clear(), scene.searches.clear()
        return deep_size(people, {id(scene)})

    assert await size_after(60) <= 1.05 * await size_after(5)


def deep_size(value: object, seen: set[int]) -> int:
    """The number of objects that an object holds."""
    if id(value) in seen or isinstance(value, type | str | bytes):
        return 0
    seen.add(id(value))
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner = list(value)
    else:
        inner = list(vars(value).values()) if hasattr(value, "__dict__") else []
    return 1 + sum(deep_size(one, seen) for one in inner)
