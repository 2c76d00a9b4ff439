"""Hands without a body: where the networks run, and what they must be sure of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.hands import HAND
from wholebody.hands.search import HandSearch
from wholebody.networks import HandLandmarks, PalmDetections

PICTURE = np.zeros((300, 400, 3), np.uint8)
BOX = np.array([100, 50, 300, 250], np.float32)
TURNS = 4


def palms(*centers: float) -> PalmDetections:
    """Upright palms of a tenth of the crop, at these places from left to right."""
    at = np.array([(x, 0.5) for x in centers], np.float32).reshape(-1, 2)
    points = at[:, None] + np.array([(0, 0.05), *[(0, -0.05)] * 6], np.float32)
    scores = np.full(len(at), 0.9, np.float32)
    return PalmDetections(np.concatenate([at - 0.05, at + 0.05], axis=1), points, scores)


@dataclass
class Networks:
    """Palms in one turn only, and one score for every hand."""

    palms: PalmDetections = field(default_factory=palms)
    turn: int = 1
    score: float = 0.95
    right: float = 0.9
    asked: int = 0
    looks: int = 0

    async def detect(self, crops: NDArray[np.uint8]) -> Sequence[PalmDetections]:
        self.asked += 1
        return [self.palms if self.asked == self.turn else palms()] * len(crops)

    async def look(self, crops: NDArray[np.uint8]) -> Sequence[HandLandmarks]:
        self.looks += len(crops)
        return [HandLandmarks(HAND.astype(np.float32), self.score, self.right)] * len(crops)

    def search(self) -> HandSearch:
        return HandSearch(self.look, 224, self.detect, 192)


async def test_every_palm_is_a_hand_with_its_side() -> None:
    networks = Networks(palms(0.3, 0.7), right=0.1)
    left, right = sorted(await networks.search().alone(PICTURE, BOX), key=lambda hand: hand.points[0, 0])
    assert networks.asked == 1
    for hand, x in ((left, 160), (right, 240)):
        assert abs(hand.center[0] - x) < 15
        assert hand.right == 0.1


@pytest.mark.parametrize("turn", [2, 3, 4])
async def test_the_box_is_turned_until_a_hand_is_found(turn: int) -> None:
    networks = Networks(palms(0.5), turn=turn)
    (hand,) = await networks.search().alone(PICTURE, BOX)
    assert networks.asked == turn
    fingers = hand.points[9] - hand.points[0]
    angle = math.atan2(float(fingers[0]), -float(fingers[1]))  # clockwise from up
    assert math.cos(angle - math.radians(90 * (turn - 1))) > 0.99


async def test_two_palms_on_one_hand_are_one_hand() -> None:
    assert len(await Networks(palms(0.5, 0.505)).search().alone(PICTURE, BOX)) == 1


@pytest.mark.parametrize(("score", "found"), [(0.8, 1), (0.79, 0)])
async def test_without_a_palm_the_hand_network_must_be_sure(score: float, found: int) -> None:
    networks = Networks(score=score)
    assert len(await networks.search().alone(PICTURE, BOX)) == found
    assert networks.asked == TURNS


async def test_where_nothing_is_the_search_ends() -> None:
    networks = Networks(palms(0.5), score=0.01)
    assert await networks.search().alone(PICTURE, BOX) == []
    assert networks.looks <= 24
