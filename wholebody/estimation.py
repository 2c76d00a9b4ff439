"""Estimates the 133 keypoints in people's boxes, with one network for all of them or one for each part.

Cropping takes time, so it runs in threads.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wholebody import clicks, faces
from wholebody.clicks import Click
from wholebody.faces import DetectedFace, Head
from wholebody.geometry import BoxCrop, Picture, SquareRegion, size_of
from wholebody.hands.search import HandSearch
from wholebody.known_parts import Anchor, KnownPart, KnownParts, Search
from wholebody.networks import FaceDetections, FaceMesh, Floats, Network, PoseNetwork, at_once, cut_squares
from wholebody.person import Person
from wholebody.schema import FEET_START, KEYPOINT_COUNT, PART_RANGES, Part
from wholebody.stages import stage


class InferenceError(Exception):
    """Inference failed: a network does not answer, or rejects its input."""

    reason = "inference"


@dataclass(frozen=True)
class Estimate:
    """Keypoints of all people in pixels of the picture, shape (n, 133, 2), and scores, shape (n, 133)."""

    keypoints: Floats
    scores: Floats


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

    async def hands_alone(self, picture: Picture, box: Floats) -> list[tuple[Part, PartFound]]:
        """Return the hands in a box in which no body was found, each with its likelier side.

        Args:
            picture: H×W×3 uint8, BGR, upright.
            box: x1, y1, x2, y2 in pixels, shape (4,), with a positive area.
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
        click = Click.on(point, person, reach, size_of(picture))
        boxes = clicks.boxes_at(click)
        keypoints, scores = await _estimate_in_boxes(self.network, self.size, picture, boxes)
        where = list(PART_RANGES[part])
        return clicks.part_at(click, list(zip(keypoints[:, where], scores[:, where], strict=True)))

    async def hands_alone(self, picture: Picture, box: Floats) -> list[tuple[Part, PartFound]]:
        """See `PoseEstimator`: a network for whole people finds none, since it sees no hand without a body."""
        return []


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
        hands: Finds hands.
        face_detector: The face detector; all faces in a crop.
        face_detector_size: Width and height of its square input.
        face_mesh: The face mesh network.
        face_mesh_size: Width and height of its square input.
    """

    body: PoseNetwork
    body_size: tuple[int, int]
    hands: HandSearch
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
            found_hands, found_faces = await at_once(
                self.hands.of_people(
                    picture, bodies[:, :FEET_START], body_scores[:, :FEET_START], boxes, searches
                ),
                self._faces(picture, bodies, body_scores, searches),
            )
        known_next: list[dict[Part, KnownPart]] = [{} for _ in boxes]
        for one in found_hands:
            where = list(PART_RANGES[one.part])
            keypoints[one.person, where], scores[one.person, where] = one.hand.points, one.hand.score
            known_next[one.person][one.part] = one.known
        for head, mesh, score in found_faces:
            where = list(PART_RANGES[Part.FACE])
            keypoints[head.person, where], scores[head.person, where] = faces.face_keypoints(mesh), score
            known_next[head.person][Part.FACE] = KnownPart(faces.region_of_mesh(mesh), Anchor(head.middle))
        return Estimate(keypoints, scores), [*known_next]

    async def _faces(
        self, picture: Picture, bodies: Floats, scores: Floats, searches: Sequence[Search]
    ) -> list[tuple[Head, NDArray[np.floating], float]]:
        heads = [
            head
            for head in faces.heads_to_search(bodies, scores)
            if Part.FACE not in searches[head.person].skipped
        ]
        moved = [
            (head, part.at(Anchor(head.middle)))
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
            await cut_squares(picture, regions, self.face_detector_size, repeat_edge=False)
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
        meshes = await self.face_mesh(
            await cut_squares(picture, regions, self.face_mesh_size, repeat_edge=True)
        )
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
        click = Click.on(point, person, reach, size_of(picture))
        with stage("hands_and_face"):
            if part is Part.FACE:
                found = await self._face_at(picture, click)
            else:
                hand = await self.hands.at_click(picture, click, part)
                found = None if hand is None else (hand.points, hand.score)
        if found is None:
            return None
        points, score = found
        return points.astype(np.float32), np.full(len(points), score, np.float32)

    async def hands_alone(self, picture: Picture, box: Floats) -> list[tuple[Part, PartFound]]:
        """See `PoseEstimator`."""
        with stage("hands_and_face"):
            found = await self.hands.alone(picture, box)
        return [
            (hand.side, (hand.points.astype(np.float32), np.full(len(hand.points), hand.score, np.float32)))
            for hand in found
        ]

    async def _face_at(self, picture: Picture, click: Click) -> tuple[NDArray[np.floating], float] | None:
        detected = await self._detect_faces(picture, faces.regions_at(click))
        regions = faces.mesh_regions_at(click, [face for found in detected for face in found])
        found = faces.mesh_at(click, await self._lay_meshes(picture, regions))
        return None if found is None else (faces.face_keypoints(found[0]), found[1])
