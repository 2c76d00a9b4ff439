"""Where a part is looked for in the next frame."""

import numpy as np
import pytest

from wholebody.geometry import SquareRegion
from wholebody.known_parts import KnownPart


@pytest.mark.parametrize("moved", [(0.5, -0.25), (30.0, 40.0)])
def test_its_region_follows_the_body_by_any_shift(moved: tuple[float, float]) -> None:
    known = KnownPart(SquareRegion(100, 200, 80, 0.3), np.array([90.0, 230.0]))
    anchor = known.anchor + moved
    assert known.at(anchor) == KnownPart(SquareRegion(100 + moved[0], 200 + moved[1], 80, 0.3), anchor)
