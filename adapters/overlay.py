"""People drawn over their picture."""

from collections.abc import Sequence
from typing import Any, cast

import cv2
import numpy as np
import rtmlib
from numpy.typing import NDArray

from wholebody.person import Person

_LINES_PER_DIAGONAL = 300
_BOX_COLOUR = (190, 190, 190)


def draw_people(
    picture: NDArray[np.uint8], people: Sequence[Person], keypoint_threshold: float
) -> NDArray[np.uint8]:
    """Draw boxes and skeletons in rtmlib's colours.

    Args:
        picture: H×W×3 uint8, BGR; left as it is.
        people: Who was found in it.
        keypoint_threshold: Lowest score of a keypoint that is drawn.

    Returns:
        A new picture of the same size.
    """
    canvas: Any = picture.copy()
    draw_skeleton = cast(Any, rtmlib).draw_skeleton
    for person in people:
        x1, y1, x2, y2 = (round(float(edge)) for edge in person.box)
        width = max(1, round(float(np.hypot(x2 - x1, y2 - y1)) / _LINES_PER_DIAGONAL))
        cv2.rectangle(canvas, (x1, y1), (x2, y2), _BOX_COLOUR, width)
        canvas = draw_skeleton(
            canvas,
            person.keypoints[np.newaxis],
            person.scores[np.newaxis],
            kpt_thr=max(keypoint_threshold, np.finfo(np.float32).tiny),  # a score of 0: not found
            radius=width,
            line_width=width,
        )
    return np.asarray(canvas, np.uint8)
