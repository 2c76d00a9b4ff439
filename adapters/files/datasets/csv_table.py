"""CSV of pictures in long form: a row for each keypoint of each person."""

import csv
from collections.abc import Sequence
from typing import IO

import numpy as np

from adapters.coco.document import PictureOfTask
from wholebody.schema import KEYPOINTS

COLUMNS = (
    "picture", "task", "annotation", "frame", "person", "region", "keypoint", "x", "y", "score", "visibility",
)  # fmt: skip


def write_table(file: IO[str], pictures: Sequence[PictureOfTask], names: Sequence[str]) -> None:
    """Write the people of pictures.

    A person is `p0`, `p1`, … in the order of the picture; `region` is the id of their box. x and y are pixels of the
    upright picture, empty where a keypoint is not annotated; visibility is COCO's.

    Args:
        file: Opened with `newline=""`.
        pictures: The pictures.
        names: File name of each.
    """
    rows = csv.writer(file)
    rows.writerow(COLUMNS)
    for one, name in zip(pictures, names, strict=True):
        beginning = (name, one.task, one.annotation, one.drawn.frame)
        for number, person in enumerate(one.drawn.people):
            points: list[list[float]] = person.keypoints.round(3).tolist()
            scores: list[float] = np.where(person.visibility > 0, person.scores, 0).round(4).tolist()
            flags: list[int] = person.visibility.tolist()
            for keypoint, point, score, flag in zip(KEYPOINTS, points, scores, flags, strict=True):
                x, y = point if flag else ("", "")
                rows.writerow((*beginning, f"p{number}", person.name, keypoint.name, x, y, score, flag))
