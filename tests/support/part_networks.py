"""Networks of a few lines for the parts of a person: they find what a test says, and count the crops of each call."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wholebody.estimation import PartsEstimator
from wholebody.faces import MESH_NOSE_AND_EYES, MESH_TO_FACE68
from wholebody.geometry import SquareRegion
from wholebody.hands.landmarks import Hand, refined_region
from wholebody.hands.search import HandSearch
from wholebody.networks import FaceDetections, FaceMesh, HandLandmarks, Network, PalmDetections

Crops = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIZE = (192, 256)
"""Width and height of the body network's input."""

# A person in Halpe-26 order, in pixels of the body's crop: upright, the right arm bent, both hands up.
# fmt: off
HALPE = [
    (96, 40), (100, 36), (92, 36), (106, 38), (86, 38),                       # nose, eyes, ears
    (120, 80), (72, 80), (140, 120), (52, 120), (150, 80), (42, 80),          # shoulders, elbows, wrists
    (110, 150), (82, 150), (110, 190), (82, 190), (110, 230), (82, 230),      # hips, knees, ankles
    (96, 20), (96, 60), (96, 150),                                            # crown, neck, hip
    (120, 240), (72, 240), (118, 242), (74, 242), (108, 238), (84, 238),      # toes and heels
]
# fmt: on
_MESH_PLACES = ((0.5, 0.55), (0.57, 0.48), (0.43, 0.48))  # nose, left eye, right eye

# An upright open hand in units of its region; the middle of the region lies 0.35 arm lengths beyond the wrist, and
# the region is 1.1 arm lengths wide.
UPRIGHT_HAND = np.array(
    [[0.5, 0.5 + 0.35 / 1.1]]
    + [[0.35 + 0.075 * finger, 0.7 - 0.1 * joint] for finger in range(5) for joint in range(1, 5)],
    np.float32,
)


def settled_hand() -> Floats:
    """A hand in units of exactly that region which its own landmarks ask for: it is not looked at again."""
    region = refined_region(Hand(UPRIGHT_HAND, 0.9, 0.9), SquareRegion(0, 0, 1, 0))
    assert region is not None
    cos, sin = math.cos(region.angle), math.sin(region.angle)
    to_region = np.array([[cos, sin], [-sin, cos]])
    return ((UPRIGHT_HAND - (region.x, region.y)) @ to_region.T / region.side + 0.5).astype(np.float32)


def palms_at(*centers: tuple[float, float]) -> PalmDetections:
    """Upright palms, a tenth of the crop wide, in units of the crop."""
    at = np.array(centers, np.float32).reshape(-1, 1, 2)
    boxes = np.concatenate([at - 0.05, at + 0.05], axis=2)[:, 0]
    points = at + np.array([(0, 0.05), (0.02, -0.05), (0, -0.05), *[(0, 0)] * 4], np.float32)
    return PalmDetections(boxes, points, np.full(len(at), 0.9, np.float32))


@dataclass
class Networks:
    """Networks that find a person, their face, and hands wherever they are asked, unless told otherwise.

    Attributes:
        calls: The number of crops in each call, by the name of the network.
    """

    body_scores: dict[int, float] = field(default_factory=dict)
    hand_score: Callable[[int], float] = field(default=lambda look: 0.8)
    hand_points: Callable[[int], Floats] = field(default=lambda look: UPRIGHT_HAND)
    right: float | None = None  # of every hand, in place of that of each arm
    palms: PalmDetections = field(default_factory=palms_at)
    mesh_score: float = 0.7
    face_found: bool = True
    calls: dict[str, list[int]] = field(default_factory=dict)

    def note(self, name: str, crops: Crops, size: tuple[int, int]) -> None:
        assert crops.shape[1:] == (size[1], size[0], 3)
        assert crops.dtype == np.uint8
        self.calls.setdefault(name, []).append(len(crops))

    async def body(self, crops: Crops) -> Sequence[Floats]:
        self.note("body", crops, SIZE)
        one = np.array([(*point, self.body_scores.get(i, 0.9)) for i, point in enumerate(HALPE)], np.float32)
        return [one] * len(crops)

    async def hand(self, crops: Crops) -> Sequence[HandLandmarks]:
        self.note("hand", crops, (224, 224))
        look = len(self.calls["hand"])
        points, score = self.hand_points(look), self.hand_score(look)
        # In the order in which arms are searched: left, right, left, right.
        sides = (float(i % 2) if self.right is None else self.right for i in range(len(crops)))
        return [HandLandmarks(points, score, right) for right in sides]

    async def palm(self, crops: Crops) -> Sequence[PalmDetections]:
        self.note("palm", crops, (192, 192))
        return [self.palms] * len(crops)

    async def face(self, crops: Crops) -> Sequence[FaceDetections]:
        self.note("face", crops, (128, 128))
        # Right eye, left eye, nose, mouth, right ear, left ear: about where this body has them.
        points = np.array([[0.43, 0.47], [0.57, 0.47], [0.5, 0.54], [0.5, 0.6], [0.33, 0.5], [0.67, 0.5]])
        count = int(self.face_found)
        one = FaceDetections(np.stack([points.astype(np.float32)])[:count], np.full(count, 0.9, np.float32))
        return [one] * len(crops)

    async def mesh(self, crops: Crops) -> Sequence[FaceMesh]:
        self.note("mesh", crops, (192, 192))
        points = np.full((468, 2), 0.5, np.float32)
        points[list(MESH_TO_FACE68)] = np.linspace(0.4, 0.6, 68)[:, np.newaxis]
        for place, where in zip(_MESH_PLACES, MESH_NOSE_AND_EYES, strict=True):
            points[list(where)] = place
        return [FaceMesh(points, self.mesh_score)] * len(crops)

    def estimator(self) -> PartsEstimator:
        return self.with_parts(self.hand, self.face)

    def with_parts(
        self, hand: Network[HandLandmarks], face: Network[FaceDetections] | None = None
    ) -> PartsEstimator:
        """An estimator with another hand network or face detector."""
        hands = HandSearch(hand, 224, self.palm, 192)
        return PartsEstimator(self.body, SIZE, hands, face or self.face, 128, self.mesh, 192)
