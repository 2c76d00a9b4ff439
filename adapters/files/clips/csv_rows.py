"""CSV in long form: a row for each keypoint of each person in each frame."""

import csv
from pathlib import Path
from typing import IO

import numpy as np

from adapters.files.clips.visible import visible
from adapters.files.clips.writer import ClipWriter
from wholebody.posed_clip import KeypointState, PosedClip, PosedFrame
from wholebody.schema import KEYPOINTS

COLUMNS = ("clip", "frame", "time", "person", "keypoint", "x", "y", "score", "state")
_STATES = [state.name.lower() for state in KeypointState]
_NO_POSITION = ("", "")


class CsvWriter(ClipWriter):
    """Writes all 133 keypoints of a person, missing ones without x and y; a frame without people has no row."""

    def __init__(self, path: Path, clip: PosedClip) -> None:
        super().__init__(path)
        self._clip = clip
        self._file: IO[str] = self._unfinished.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file)
        self._rows.writerow(COLUMNS)

    def write(self, frame: PosedFrame) -> None:
        """Add a frame."""
        beginning = (self._clip.name, frame.index, round(frame.time, 6))
        for posed in frame.people:
            keypoints, scores = visible(posed)
            positions: list[list[float]] = keypoints.astype(np.float64).round(3).tolist()
            confidences: list[float] = scores.astype(np.float64).round(4).tolist()
            states: list[int] = posed.states.tolist()
            for keypoint, position, score, state in zip(
                KEYPOINTS, positions, confidences, states, strict=True
            ):
                shown = position if score > 0 else _NO_POSITION
                self._rows.writerow((*beginning, posed.id, keypoint.name, *shown, score, _STATES[state]))

    def _finish(self) -> None:
        self._release()

    def _release(self) -> None:
        self._file.close()
