"""Where a part is looked for in the next frame."""

import math
from dataclasses import astuple

import numpy as np
import pytest

from wholebody.geometry import SquareRegion
from wholebody.known_parts import Anchor, KnownPart

REGION = SquareRegion(100, 200, 80, 0.3)
POINT = np.array([90.0, 200.0])


@pytest.mark.parametrize("moved", [(0.5, -0.25), (30.0, 40.0)])
def test_its_region_follows_the_body_by_any_shift(moved: tuple[float, float]) -> None:
    region = KnownPart(REGION, Anchor(POINT)).at(Anchor(POINT + moved))
    assert astuple(region) == pytest.approx((100 + moved[0], 200 + moved[1], 80, 0.3))


def test_it_turns_and_grows_with_the_forearm_around_the_wrist() -> None:
    known = KnownPart(REGION, Anchor(POINT, 50, 0.1))
    region = known.at(Anchor(POINT, 100, 0.1 + math.pi / 2))
    assert astuple(region) == pytest.approx((90, 220, 160, 0.3 + math.pi / 2))


def test_without_a_forearm_in_both_frames_it_is_shifted_only() -> None:
    for then, now in ((Anchor(POINT, 50, 1.0), Anchor(POINT)), (Anchor(POINT), Anchor(POINT, 50, 1.0))):
        assert astuple(KnownPart(REGION, then).at(now)) == pytest.approx(astuple(REGION))
