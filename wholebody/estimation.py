"""Estimates the 133 keypoints in people's boxes, with one network for all of them or one for each part.

A network is an async function on a batch of crops (n×h×w×3 uint8, BGR): a call into a runner process in the service, a
thread in the command line. Cropping takes time, so it runs in threads as well.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wholebody import clicks, faces, hands
from wholebody.clicks import Click
from wholebody.faces import DetectedFace, Head
from wholebody.geometry import BoxCrop, Picture, Points, SquareRegion
from wholebody.hands import Arm, Hand, Look
from wholebody.person import Person
from wholebody.schema import FEET_START, KEYPOINT_COUNT, PART_RANGES, Part
from wholebody.stages import stage

Crops = NDArray[np.uint8]
Floats = NDArray[np.float32]


class InferenceError(Exception):
    """Inference failed: a network does not answer, or rejects its input."""

    reason = "inference"


Result = TypeVar("Result")
Network = Callable[[Crops], Awaitable[Sequence[Result]]]
"""One result for each crop."""

PoseNetwork = Network[Floats]
"""Results are x, y in pixels of the crop and a score for each keypoint, shape (keypoints, 3)."""


@dataclass(frozen=True)
class HandLandmarks:
    """The hand network's output for one crop.

    Attributes:
        points: x, y in units of the crop (0..1), shape (21, 2).
        score: Likelihood that the crop shows a hand.
        right: Likelihood that it is a right hand.
    """

    points: Floats
    score: float
    right: float


@dataclass(frozen=True)
class FaceDetections:
    """Faces in one crop: points in units of the crop (0..1), shape (n, 6, 2), and scores, shape (n,)."""

    points: Floats
    scores: Floats


@dataclass(frozen=True)
class FaceMesh:
    """A mesh over the face in one crop: points in units of the crop (0..1), shape (468, 2), and its score."""

    points: Floats
    score: float


@dataclass(frozen=True)
class Estimate:
    """Keypoints of all people in pixels of the picture, shape (n, 133, 2), and scores, shape (n, 133)."""

    keypoints: Floats
    scores: Floats


STEADY_WRIST, STEADY_HEAD = 0.1, 0.0
"""Least shift that moves the region of a hand or face, in its sides: a single wrist jitters."""


@dataclass(frozen=True)
class KnownPart:
    """Where a hand or face was found in a clip's frame.

    Attributes:
        region: The region that its landmarks define.
        anchor: x, y in pixels of the body's wrist, or of the middle of its nose and eyes, shape (2,).
    """

    region: SquareRegion
    anchor: Points

    def at(self, anchor: Points, least: float) -> "KnownPart":
        """Return the region moved as the body has moved, if by at least so many of its sides."""
        x, y = (float(value) for value in anchor - self.anchor)
        if max(abs(x), abs(y)) < least * self.region.side:
            return self
        return KnownPart(replace(self.region, x=self.region.x + x, y=self.region.y + y), anchor)


KnownParts = Mapping[Part, KnownPart]
"""The known parts of one person: at most the face and both hands."""


@dataclass(frozen=True)
class Search:
    """What is known of a person's parts from the frame before.

    Attributes:
        known: Parts that are looked for where they were first.
        skipped: Parts that are not searched for in this frame.
    """

    known: KnownParts = field(default_factory=dict[Part, KnownPart])
    skipped: frozenset[Part] = frozenset()


PartFound = tuple[Floats, Floats]
"""Keypoints of one hand or face in pixels of the picture, shape (21, 2) or (68, 2), and scores, (21,) or (68,)."""


class PoseEstimator(Protocol):
    """Finds the keypoints of people whose boxes are known, and single parts of them."""

    async def estimate(self, picture: Picture, boxes: Floats) -> Estimate:
        """Return the keypoints of all people.

        Args:
            picture: H×W×3 uint8, BGR, upright.
            boxes: x1, y1, x2, y2 in pixels, shape (n, 4), each with a positive area.
        """
        ...

    async def estimate_next(
        self, picture: Picture, boxes: Floats, searches: Sequence[Search]
    ) -> tuple[Estimate, list[KnownParts]]:
        """Return the keypoints of all people in the next frame of a clip.

        A part is looked for where it was; if it is not there, it is searched for as in a picture.

        Args:
            picture: H×W×3 uint8, BGR, upright.
            boxes: x1, y1, x2, y2 in pixels, shape (n, 4), each with a positive area.
            searches: What is known of each person.

        Returns:
            The keypoints, and the parts known for the next frame.
        """
        ...

    async def part_at(
        self,
        picture: Picture,
        person: Person | None,
        part: Part,
        point: tuple[float, float],
        reach: float | None,
    ) -> PartFound | None:
        """Return the keypoints of the hand or face that an annotator points at, or None if there is none.

        Args:
            picture: H×W×3 uint8, BGR, upright.
            person: Its person, as `estimate` found them; None if none was found.
            part: A hand or the face. The annotator chooses the side of a hand.
            point: x, y in pixels, within the picture: about the middle of the part.
            reach: Half the side in pixels of a square drawn around the part; None to use the person's size.
        """
        ...


async def _estimate_in_boxes(
    network: PoseNetwork, size: tuple[int, int], picture: Picture, boxes: Floats
) -> tuple[Floats, Floats]:
    with stage("crop"):
        crops = [BoxCrop.around(box, size) for box in boxes]
        batch = await asyncio.to_thread(lambda: np.stack([crop.cut(picture) for crop in crops]))
    with stage("pose"):
        found = await network(batch)
    points = [crop.to_picture(one[:, :2]) for crop, one in zip(crops, found, strict=True)]
    scores = [one[:, 2] for one in found]
    return np.stack(points).astype(np.float32), np.stack(scores)


@dataclass(frozen=True)
class WholeBodyEstimator:
    """One network for all 133 keypoints (RTMW, DWPose).

    Attributes:
        network: The network on upright crops.
        size: Width and height of its input.
    """

    network: PoseNetwork
    size: tuple[int, int]

    async def estimate(self, picture: Picture, boxes: Floats) -> Estimate:
        """See `PoseEstimator`."""
        return Estimate(*await _estimate_in_boxes(self.network, self.size, picture, boxes))

    async def estimate_next(
        self, picture: Picture, boxes: Floats, searches: Sequence[Search]
    ) -> tuple[Estimate, list[KnownParts]]:
        """See `PoseEstimator`: one network finds all parts at once, so none is known."""
        return await self.estimate(picture, boxes), [{} for _ in boxes]

    async def part_at(
        self,
        picture: Picture,
        person: Person | None,
        part: Part,
        point: tuple[float, float],
        reach: float | None,
    ) -> PartFound | None:
        """See `PoseEstimator`: the network runs again on crops that contain the part."""
        click = Click.on(point, person, reach, _size_of(picture))
        boxes = clicks.boxes_at(click)
        keypoints, scores = await _estimate_in_boxes(self.network, self.size, picture, boxes)
        where = list(PART_RANGES[part])
        return clicks.part_at(click, list(zip(keypoints[:, where], scores[:, where], strict=True)))


# Indices of COCO-WholeBody's body and feet in Halpe-26 (github.com/Fang-Haoshu/Halpe-FullBody).
HALPE_BODY_AND_FEET = (*range(17), 20, 22, 24, 21, 23, 25)
# COCO's own 17 are the first of COCO-WholeBody.
BODY_AND_FEET = {26: HALPE_BODY_AND_FEET, 17: tuple(range(17))}


@dataclass(frozen=True)
class PartsEstimator:
    """A body network of 26 Halpe or 17 COCO keypoints, with networks for the hands and faces that it locates.

    A part that is not found, not supported (feet with COCO), or implausible has score 0. All people of a picture go
    through each network together; hands and faces run concurrently.

    Attributes:
        body: The body network on upright crops.
        body_size: Width and height of its input.
        hand: The hand network.
        hand_size: Width and height of its square input.
        face_detector: The face detector; all faces in a crop.
        face_detector_size: Width and height of its square input.
        face_mesh: The face mesh network.
        face_mesh_size: Width and height of its square input.
    """

    body: PoseNetwork
    body_size: tuple[int, int]
    hand: Network[HandLandmarks]
    hand_size: int
    face_detector: Network[FaceDetections]
    face_detector_size: int
    face_mesh: Network[FaceMesh]
    face_mesh_size: int

    async def estimate(self, picture: Picture, boxes: Floats) -> Estimate:
        """See `PoseEstimator`."""
        estimate, _ = await self.estimate_next(picture, boxes, [Search()] * len(boxes))
        return estimate

    async def estimate_next(
        self, picture: Picture, boxes: Floats, searches: Sequence[Search]
    ) -> tuple[Estimate, list[KnownParts]]:
        """See `PoseEstimator`."""
        bodies, body_scores = await _estimate_in_boxes(self.body, self.body_size, picture, boxes)
        keypoints = np.zeros((len(boxes), KEYPOINT_COUNT, 2), np.float32)
        scores = np.zeros((len(boxes), KEYPOINT_COUNT), np.float32)
        indices = list(BODY_AND_FEET[bodies.shape[1]])
        keypoints[:, : len(indices)] = bodies[:, indices]
        scores[:, : len(indices)] = body_scores[:, indices]

        with stage("hands_and_face"):
            hand_search = asyncio.create_task(
                self._hands(picture, bodies[:, :FEET_START], body_scores[:, :FEET_START], searches)
            )
            face_search = asyncio.create_task(self._faces(picture, bodies, body_scores, searches))
            try:
                found_hands, found_faces = await asyncio.gather(hand_search, face_search)
            finally:  # if one fails, the other's result is not needed
                hand_search.cancel()
                face_search.cancel()
        known_next: list[dict[Part, KnownPart]] = [{} for _ in boxes]
        for arm, hand, part in found_hands:
            where = list(PART_RANGES[arm.part])
            keypoints[arm.person, where], scores[arm.person, where] = hand.points, hand.score
            known_next[arm.person][arm.part] = part
        for head, mesh, score in found_faces:
            where = list(PART_RANGES[Part.FACE])
            keypoints[head.person, where], scores[head.person, where] = faces.face_keypoints(mesh), score
            known_next[head.person][Part.FACE] = KnownPart(faces.region_of_mesh(mesh), head.middle)
        return Estimate(keypoints, scores), [*known_next]

    async def _hands(
        self, picture: Picture, bodies: Floats, scores: Floats, searches: Sequence[Search]
    ) -> list[tuple[Arm, Hand, KnownPart]]:
        arms = [
            arm
            for arm in hands.arms_to_search(bodies, scores, (picture.shape[1], picture.shape[0]))
            if arm.part not in searches[arm.person].skipped
        ]
        found = await self._hands_where_they_were(picture, arms, searches)
        kept = {(arm.person, arm.part) for arm, _, _ in found}
        arms = [arm for arm in arms if (arm.person, arm.part) not in kept]
        regions = [arm.region for arm in arms]
        finds = await self._refined(picture, await self._look_at_hands(picture, regions), regions)
        found += [
            (arm, hand, KnownPart(region, arm.wrist)) for arm, (hand, region) in zip(arms, finds, strict=True)
        ]
        parts = {(arm.person, arm.part): part for arm, _, part in found}
        return [
            (arm, hand, _next_look(hand, parts[arm.person, arm.part], arm))
            for arm, hand in hands.believed([(arm, hand) for arm, hand, _ in found])
        ]

    async def _hands_where_they_were(
        self, picture: Picture, arms: list[Arm], searches: Sequence[Search]
    ) -> list[tuple[Arm, Hand, KnownPart]]:
        """Run the hand network once for each known hand; return those that are still there."""
        moved = [
            (arm, part.at(arm.wrist, STEADY_WRIST))
            for arm in arms
            if (part := searches[arm.person].known.get(arm.part))
        ]
        seen = await self._look_at_hands(picture, [part.region for _, part in moved])
        return [
            (arm, hand, part)
            for (arm, part), hand in zip(moved, seen, strict=True)
            if hands.is_of_arm(arm, hand)
        ]

    async def _refined(
        self, picture: Picture, finds: list[Hand], regions: list[SquareRegion]
    ) -> list[tuple[Hand, SquareRegion]]:
        """Run the hand network again in regions from its own keypoints; return the hands and the last regions."""
        settled = list(zip(finds, regions, strict=True))
        for _ in range(hands.MAX_REFINEMENTS):
            again = {i: refined for i, find in enumerate(settled) if (refined := hands.refined_region(*find))}
            if not again:
                break
            for i, find in zip(again, await self._look_at_hands(picture, list(again.values())), strict=True):
                settled[i] = (find, again[i])
        return settled

    async def _look_at_hands(self, picture: Picture, regions: list[SquareRegion]) -> list[Hand]:
        if not regions:
            return []
        found = await self.hand(await _cut(picture, regions, self.hand_size, repeat_edge=True))
        return [
            Hand(region.to_picture(one.points), one.score, one.right)
            for region, one in zip(regions, found, strict=True)
        ]

    async def _faces(
        self, picture: Picture, bodies: Floats, scores: Floats, searches: Sequence[Search]
    ) -> list[tuple[Head, NDArray[np.floating], float]]:
        heads = [
            head
            for head in faces.heads_to_search(bodies, scores)
            if Part.FACE not in searches[head.person].skipped
        ]
        moved = [
            (head, part.at(head.middle, STEADY_HEAD).region)
            for head in heads
            if (part := searches[head.person].known.get(Part.FACE))
        ]
        found = await self._believed_meshes(picture, moved)
        kept = [head.person for head, _, _ in found]
        return found + await self._searched_faces(
            picture, [head for head in heads if head.person not in kept]
        )

    async def _searched_faces(
        self, picture: Picture, heads: list[Head]
    ) -> list[tuple[Head, NDArray[np.floating], float]]:
        if not heads:
            return []
        detected = await self._detect_faces(picture, [head.region for head in heads])
        regions = [
            (head, region)
            for head, found in zip(heads, detected, strict=True)
            if (region := faces.mesh_region(head, found))
        ]
        return await self._believed_meshes(picture, regions)

    async def _believed_meshes(
        self, picture: Picture, regions: list[tuple[Head, SquareRegion]]
    ) -> list[tuple[Head, NDArray[np.floating], float]]:
        meshes = await self._lay_meshes(picture, [region for _, region in regions])
        in_picture = [(head, *mesh) for (head, _), mesh in zip(regions, meshes, strict=True)]
        return [found for found in in_picture if faces.mesh_is_believed(*found)]

    async def _detect_faces(self, picture: Picture, regions: list[SquareRegion]) -> list[list[DetectedFace]]:
        detected = await self.face_detector(
            await _cut(picture, regions, self.face_detector_size, repeat_edge=False)
        )
        return [
            [
                DetectedFace(region.to_picture(points), float(score))
                for points, score in zip(found.points, found.scores, strict=True)
            ]
            for region, found in zip(regions, detected, strict=True)
        ]

    async def _lay_meshes(
        self, picture: Picture, regions: list[SquareRegion]
    ) -> list[tuple[NDArray[np.floating], float]]:
        if not regions:
            return []
        meshes = await self.face_mesh(await _cut(picture, regions, self.face_mesh_size, repeat_edge=True))
        return [
            (region.to_picture(mesh.points), mesh.score) for region, mesh in zip(regions, meshes, strict=True)
        ]

    async def part_at(
        self,
        picture: Picture,
        person: Person | None,
        part: Part,
        point: tuple[float, float],
        reach: float | None,
    ) -> PartFound | None:
        """See `PoseEstimator`: the networks for hands and faces search around the point, without the body network."""
        click = Click.on(point, person, reach, _size_of(picture))
        with stage("hands_and_face"):
            if part is Part.FACE:
                found = await self._face_at(picture, click)
            else:
                found = await self._hand_at(picture, click, part)
        if found is None:
            return None
        points, score = found
        return points.astype(np.float32), np.full(len(points), score, np.float32)

    async def _hand_at(
        self, picture: Picture, click: Click, part: Part
    ) -> tuple[NDArray[np.floating], float] | None:
        looks: list[Look] = []
        found: Hand | None = None
        batches = hands.regions_at(click, part)
        for batch, regions in enumerate(batches):
            seen = await self._look_at_hands(picture, regions)
            best = hands.most_promising(seen)
            refined = await self._refined(picture, [seen[i] for i in best], [regions[i] for i in best])
            looks += [Look(*find) for find in refined]
            found = hands.hand_at(click, part, looks)
            if hands.is_enough(found, batch, len(batches)):
                break
        return None if found is None else (found.points, found.score)

    async def _face_at(self, picture: Picture, click: Click) -> tuple[NDArray[np.floating], float] | None:
        detected = await self._detect_faces(picture, faces.regions_at(click))
        regions = faces.mesh_regions_at(click, [face for found in detected for face in found])
        found = faces.mesh_at(click, await self._lay_meshes(picture, regions))
        return None if found is None else (faces.face_keypoints(found[0]), found[1])


def _next_look(hand: Hand, part: KnownPart, arm: Arm) -> KnownPart:
    """Return where to look for a hand next: in the same region, unless its landmarks ask for another one."""
    region = hands.refined_region(hand, part.region)
    return part if region is None else KnownPart(region, arm.wrist)


def _size_of(picture: Picture) -> tuple[int, int]:
    return picture.shape[1], picture.shape[0]


async def _cut(picture: Picture, regions: list[SquareRegion], size: int, *, repeat_edge: bool) -> Crops:
    return await asyncio.to_thread(
        lambda: np.stack([region.cut(picture, size, repeat_edge=repeat_edge) for region in regions])
    )
