"""Runs MediaPipe's Holistic on pictures of one person each, in a separate environment.

    PYTHON benchmarks/holistic.py ANSWERS.json PICTURE...

Writes for each picture, by its name without extension, the points of `pose`, `left_hand`, `right_hand` and `face`: x
and y as shares of the picture's width and height, or null for a missing part.
"""

import json
import sys
from pathlib import Path

import cv2
import mediapipe

FULL = 1  # the pose network that is inside the wheel; 2 would be fetched from the web


def main(answers: Path, pictures: list[Path]) -> None:
    """Run Holistic on each picture independently."""
    found = {}
    # A new instance for each picture: even in static mode it keeps state between pictures.
    for file in pictures:
        with mediapipe.solutions.holistic.Holistic(static_image_mode=True, model_complexity=FULL) as holistic:
            seen = holistic.process(cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB))
        found[file.stem] = {
            part: landmarks and [[point.x, point.y] for point in landmarks.landmark]
            for part, landmarks in (
                ("pose", seen.pose_landmarks),
                ("left_hand", seen.left_hand_landmarks),
                ("right_hand", seen.right_hand_landmarks),
                ("face", seen.face_landmarks),
            )
        }
    answers.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
