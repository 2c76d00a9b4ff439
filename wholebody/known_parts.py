"""Hands and faces of a clip's frame, where to look for them in the next one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wholebody.geometry import Points, SquareRegion
from wholebody.schema import Part


@dataclass(frozen=True)
class KnownPart:
    """Where a hand or face was found in a clip's frame.

    Attributes:
        region: The region that its landmarks define.
        anchor: x, y in pixels of the body's wrist, or of the middle of its nose and eyes, shape (2,).
    """

    region: SquareRegion
    anchor: Points

    def at(self, anchor: Points) -> "KnownPart":
        """Return the region moved as the body has moved.

        Small shifts count: a network's error depends on where a part lies in its region, so the region follows the
        part.
        """
        x, y = (float(value) for value in anchor - self.anchor)
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
