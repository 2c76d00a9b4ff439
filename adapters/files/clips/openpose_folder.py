"""OpenPose's JSON of a clip: a folder with a file per frame, as `--write_json` makes it."""

import json
from pathlib import Path

from adapters.files.clips.visible import visible
from adapters.files.clips.writer import ClipWriter, remove_folder
from adapters.files.poses.openpose import ENDING, document, person_fields
from wholebody.posed_clip import PosedFrame


class OpenPoseFolderWriter(ClipWriter):
    """Writes `NAME_000000000012_keypoints.json` for frame 12; `person_id` has the number of the person's id."""

    def __init__(self, path: Path, stem: str) -> None:
        super().__init__(path)
        self._stem = stem
        remove_folder(self._unfinished, ENDING)
        self._unfinished.mkdir()

    def write(self, frame: PosedFrame) -> None:
        """Add a frame."""
        people = [person_fields(*visible(posed), number=posed.number) for posed in frame.people]
        file = self._unfinished / f"{self._stem}_{frame.index:012d}{ENDING}"
        file.write_text(json.dumps(document(people)), "utf-8")

    def discard(self) -> None:
        """Remove what was written."""
        remove_folder(self._unfinished, ENDING)

    def _finish(self) -> None:
        pass

    def _release(self) -> None:
        pass

    def _put_in_place(self) -> None:
        remove_folder(self.path, ENDING)
        super()._put_in_place()
