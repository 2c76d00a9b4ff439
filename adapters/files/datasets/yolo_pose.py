"""YOLO-pose: a folder that Ultralytics trains on.

Format: https://docs.ultralytics.com/datasets/pose/. `images/train/a.jpg` has its people in `labels/train/a.txt`, a line
each: class, box centre and size, and x, y, visibility of the 133 keypoints, in shares of the picture.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from adapters.label_studio.annotations.people import AnnotatedPerson, AnnotatedPicture
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS

TRAIN, VAL = "train", "val"
_DECIMALS = 7
"""Of a share: a hundredth of a pixel in a picture 100,000 pixels wide. Ultralytics reads them as float32."""


def validation_tasks(tasks: Iterable[int], share: float) -> frozenset[int]:
    """Return the tasks for validation: about a share of them, and the same whenever and wherever it is asked.

    A task stays on its side when others are added. With two tasks or more, both sides have one, since Ultralytics
    needs both.
    """
    ranked = sorted(set(tasks), key=_rank)
    chosen = [task for task in ranked if _rank(task) < share]
    if len(ranked) > 1:
        chosen = chosen[: len(ranked) - 1] or ranked[:1]
    return frozenset(chosen)


def _rank(task: int) -> float:
    digest = hashlib.sha256(f"task {task}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def label_text(drawn: AnnotatedPicture) -> tuple[str, int]:
    """Return the text of a picture's label file, and how many keypoints lie outside of the picture.

    Ultralytics refuses a picture with positions outside; they are written as not annotated.
    """
    rows = [_row(person, drawn.size) for person in drawn.people]
    return "".join(line + "\n" for line, _ in rows), sum(outside for _, outside in rows)


def _row(person: AnnotatedPerson, size: tuple[int, int]) -> tuple[str, int]:
    low, high = (person.box.reshape(2, 2) / size).clip(0, 1)
    points, flags = person.keypoints / size, person.visibility.copy()
    outside = (flags > 0) & ((points < 0) | (points > 1)).any(axis=1)
    flags[outside] = 0
    points[flags == 0] = 0
    numbers = [f"{share:.{_DECIMALS}f}" for share in (*((low + high) / 2), *(high - low))]
    for (x, y), flag in zip(points, flags, strict=True):
        numbers += [f"{x:.{_DECIMALS}f}", f"{y:.{_DECIMALS}f}", str(int(flag))]
    return " ".join(["0", *numbers]), int(np.count_nonzero(outside))


def write_description(folder: Path) -> None:
    """Write `data.yaml`, which `yolo pose train data=…` takes.

    It has no `path`: Ultralytics then takes the folder that the file is in, wherever it is moved to.
    """
    flipped = [keypoint.twin for keypoint in KEYPOINTS]
    names = json.dumps([keypoint.name for keypoint in KEYPOINTS])
    (folder / "data.yaml").write_text(
        "# COCO-WholeBody keypoints for Ultralytics: yolo pose train data=data.yaml model=yolo11n-pose.yaml\n"
        f"train: images/{TRAIN}\n"
        f"val: images/{VAL}\n"
        f"kpt_shape: [{KEYPOINT_COUNT}, 3]\n"
        f"flip_idx: {flipped}\n"
        "names:\n  0: person\n"
        f"kpt_names:\n  0: {names}\n",
        "utf-8",
    )
