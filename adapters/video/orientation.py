"""How the pictures of a clip are turned and mirrored when they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """How pictures are shown: transposed if so, then mirrored left to right and upside down."""

    transposed: bool
    leftward: bool
    upward: bool

    @classmethod
    def of(cls, frame: VideoFrame) -> "Orientation":
        """Read the display matrix (ISO/IEC 14496-12, 6.2.2); an angle between is rounded, as players do.

        PyAV's `rotation` takes a mirrored frame for a turned one.
        """
        side_data = cast("Mapping[SideDataType, bytes]", frame.side_data)
        if SideDataType.DISPLAYMATRIX not in side_data:
            return cls(False, False, False)
        # x' = a x + c y, y' = b x + d y; 16.16 fixed point.
        matrix = np.frombuffer(bytes(side_data[SideDataType.DISPLAYMATRIX]), np.int32)
        a, b, _, c, d, *_ = matrix.astype(int).tolist()
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        return cls(transposed, (c if transposed else a) < 0, (b if transposed else d) < 0)

    def applied(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the picture as it is shown."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        return np.ascontiguousarray(picture[:: -1 if self.upward else 1, :: -1 if self.leftward else 1])
