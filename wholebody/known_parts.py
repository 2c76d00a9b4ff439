"""Hands and faces of a clip's frame, where to look for them in the next one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from wholebody.geometry import Points, SquareRegion
from wholebody.schema import Part


@dataclass(frozen=True)
class Anchor:
    """Where the body is at a hand or face.

    Attributes:
        point: x, y in pixels of the wrist, or of the middle of nose and eyes, shape (2,).
        length: Of the forearm in pixels; None if only the point is known.
        angle: Of the forearm, clockwise on the screen, in radians.
    """

    point: Points
    length: float | None = None
    angle: float = 0.0


@dataclass(frozen=True)
class KnownPart:
    """Where a hand or face was found in a clip's frame.

    Attributes:
        region: The region that its landmarks define.
        anchor: Where the body was then.
    """

    region: SquareRegion
    anchor: Anchor

    def at(self, now: Anchor) -> SquareRegion:
        """Return the region moved, turned and scaled as the body was.

        Small changes count: a network's error depends on how a part lies in its region.
        """
        then, region = self.anchor, self.region
        turn, scale = 0.0, 1.0
        if now.length is not None and then.length is not None:
            turn, scale = now.angle - then.angle, now.length / then.length
        x, y = region.x - float(then.point[0]), region.y - float(then.point[1])
        cos, sin = scale * math.cos(turn), scale * math.sin(turn)
        return SquareRegion(
            float(now.point[0]) + cos * x - sin * y,
            float(now.point[1]) + sin * x + cos * y,
            scale * region.side,
            region.angle + turn,
        )


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
