"""COCO-WholeBody JSON of a clip: every frame is an image of one video, every person has a track.

`videos`, `video_id` and `frame_id` (from 0) as in MMTracking's CocoVID, `track_id` as in PoseTrack18.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from adapters.coco.document import person_annotation, person_category
from adapters.files.clips.visible import visible
from adapters.files.clips.writer import ClipWriter
from adapters.label_studio.annotations.people import OCCLUDED, UNSEEN, VISIBLE, AnnotatedPerson
from wholebody.posed_clip import KeypointState, PosedClip, PosedFrame, PosedPerson

_VIDEO = 1
_DECIMALS = 4
_FLAGS = np.zeros(len(KeypointState), np.uint8)
_FLAGS[KeypointState.MISSING] = _FLAGS[KeypointState.REMOVED] = UNSEEN
_FLAGS[KeypointState.SEEN] = _FLAGS[KeypointState.CORRECTED] = VISIBLE
_FLAGS[KeypointState.INTERPOLATED] = OCCLUDED


class CocoVideoWriter(ClipWriter):
    """Writes one JSON document; annotations first, then the images, which wait in a temporary file.

    In addition to the fields of a picture's export, an annotation has `track_id` (the number of the person's id),
    `score`, `keypoint_scores` and `keypoint_states` (133 each; the numbers are explained in `info`). An interpolated
    keypoint has visibility 1.
    """

    def __init__(self, path: Path, clip: PosedClip, stem: str) -> None:
        super().__init__(path)
        self._clip, self._stem = clip, stem
        self._images: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent)  # noqa: SIM115
        self._document: IO[str] = self._unfinished.open("w", encoding="utf-8")
        self._document.write(json.dumps(self._head())[:-1] + ', "annotations": [')
        self._frames = self._people = 0

    def write(self, frame: PosedFrame) -> None:
        """Add a frame."""
        self._images.write(_separator(self._frames) + json.dumps(self._image(frame)))
        self._frames += 1
        for posed in frame.people:
            self._document.write(_separator(self._people) + json.dumps(self._annotation(posed)))
            self._people += 1

    def _head(self) -> dict[str, Any]:
        clip = self._clip
        return {
            "info": {
                "description": f"Predictions ({clip.model_version}) for {clip.name}",
                "keypoint_states": {str(int(state)): state.name.lower() for state in KeypointState},
            },
            "licenses": [],
            "videos": [
                {
                    "id": _VIDEO,
                    "name": clip.name,
                    "width": clip.width,
                    "height": clip.height,
                    "fps": clip.fps,
                }
            ],
            "categories": [person_category()],
        }

    def _image(self, frame: PosedFrame) -> dict[str, Any]:
        return {
            "id": self._frames + 1,
            "file_name": f"{self._stem}/{frame.index:06d}.jpg",
            "width": self._clip.width,
            "height": self._clip.height,
            "video_id": _VIDEO,
            "frame_id": frame.index,
            "frame": frame.index,
            "time": round(frame.time, 6),
        }

    def _annotation(self, posed: PosedPerson) -> dict[str, Any]:
        keypoints, scores = visible(posed)
        flags = np.where(scores > 0, _FLAGS[posed.states], UNSEEN).astype(np.uint8)
        there = scores[scores > 0]
        score = posed.person.box_score * (float(there.mean()) if len(there) else 1.0)
        size = np.array([self._clip.width, self._clip.height] * 2)
        box = posed.person.box.astype(np.float64).clip(0, size)
        person = AnnotatedPerson(posed.id, box, keypoints.astype(np.float64), flags, score)
        annotation = person_annotation(person, image=self._frames, number=self._people + 1)
        return annotation | {
            "video_id": _VIDEO,
            "track_id": posed.number,
            "score": round(score, _DECIMALS),
            "keypoint_scores": scores.astype(np.float64).round(_DECIMALS).tolist(),
            "keypoint_states": posed.states.tolist(),
        }

    def _finish(self) -> None:
        self._document.write('], "images": [')
        self._images.seek(0)
        shutil.copyfileobj(self._images, self._document)
        self._document.write("]}\n")
        self._release()

    def _release(self) -> None:
        self._images.close()
        self._document.close()


def _separator(before: int) -> str:
    return ",\n" if before else "\n"
