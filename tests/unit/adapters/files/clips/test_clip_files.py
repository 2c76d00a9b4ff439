"""Files of clips: what the programs read that they are made for, and what is there after an interruption."""

import csv
import json
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pose_format import Pose
from pose_format.utils.cocowholebody133_header import cocowholebody_components

from adapters.coco.reading import read_coco_file
from adapters.files.clips.opening import open_writer, path_of
from adapters.files.clips.visible import visible
from adapters.files.clips.writer import ClipFileError, ClipFormat
from tests.support.posed_clips import CLIP, STATES, frames, posed
from wholebody.posed_clip import KeypointState, PosedClip, PosedFrame
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # an invalid escape sequence of pose-format 0.15
    from pose_format.utils.openpose import load_openpose_directory

THERE = np.isin(STATES, (KeypointState.SEEN, KeypointState.INTERPOLATED, KeypointState.CORRECTED))


def written(folder: Path, format: ClipFormat, made: Iterable[PosedFrame], clip: PosedClip = CLIP) -> Path:
    with open_writer(format, folder, clip) as writer:
        for frame in made:
            writer.write(frame)
    return writer.path


class TestDotPose:
    def read(self, path: Path) -> Any:
        return Pose.read(path.read_bytes())

    def test_opens_with_the_header_of_pose_format(self, tmp_path: Path) -> None:
        pose = self.read(written(tmp_path, ClipFormat.POSE, frames(4)))

        assert [(one.name, one.points, one.limbs, one.format) for one in pose.header.components] == [
            (one.name, one.points, one.limbs, one.format) for one in cocowholebody_components()
        ]
        assert (pose.header.dimensions.width, pose.header.dimensions.height) == (640, 480)
        assert pose.body.fps == 25
        assert round(pose.header.version, 3) == 0.2

    def test_has_positions_and_confidences_of_every_person(self, tmp_path: Path) -> None:
        pose = self.read(written(tmp_path, ClipFormat.POSE, frames(6)))

        assert pose.body.data.shape == (6, 2, KEYPOINT_COUNT, 2)
        for frame, person in ((0, 0), (2, 0), (2, 1), (5, 1)):
            expected = posed(person, frame).person
            np.testing.assert_array_equal(
                pose.body.data.data[frame, person, THERE], expected.keypoints[THERE]
            )
            np.testing.assert_array_equal(pose.body.confidence[frame, person, THERE], expected.scores[THERE])

    def test_masks_what_is_missing_or_removed(self, tmp_path: Path) -> None:
        pose = self.read(written(tmp_path, ClipFormat.POSE, frames(3)))

        np.testing.assert_array_equal(pose.body.data.mask[0, 0, :, 0], ~THERE)
        assert pose.body.data.mask[1].all(), "nobody is in the second frame"
        assert pose.body.data.mask[0, 1].all(), "the second person comes in the third"
        assert (pose.body.data.data[pose.body.data.mask] == 0).all()

    def test_equals_what_the_library_writes(self, tmp_path: Path) -> None:
        path = written(tmp_path, ClipFormat.POSE, frames(5))
        with (tmp_path / "again.pose").open("wb") as file:
            self.read(path).write(file)

        assert (tmp_path / "again.pose").read_bytes() == path.read_bytes()

    @pytest.mark.parametrize(("every", "rate"), [(1, 25), (5, 5)])
    def test_has_the_rate_of_the_written_frames(self, tmp_path: Path, every: int, rate: float) -> None:
        assert self.read(written(tmp_path, ClipFormat.POSE, frames(4, every))).body.fps == rate

    def test_of_nobody_has_one_masked_person(self, tmp_path: Path) -> None:
        nobody = [PosedFrame(index, index / 25, ()) for index in range(2)]

        body = self.read(written(tmp_path, ClipFormat.POSE, nobody)).body

        assert body.data.shape == (2, 1, KEYPOINT_COUNT, 2)
        assert body.data.mask.all()

    def test_refuses_a_picture_larger_than_the_format(self, tmp_path: Path) -> None:
        with pytest.raises(ClipFileError, match="at most 65535 pixels a side"):
            open_writer(ClipFormat.POSE, tmp_path, replace(CLIP, width=70_000))

        assert list(tmp_path.iterdir()) == []


class TestOpenPose:
    def test_is_read_by_pose_format(self, tmp_path: Path) -> None:
        pose = load_openpose_directory(str(written(tmp_path, ClipFormat.OPENPOSE, frames(3))), fps=25)

        assert pose.body.data.shape == (3, 2, 25 + 70 + 21 + 21, 2)
        points = dict(
            zip(
                [f"{one.name} {point}" for one in pose.header.components for point in one.points],
                pose.body.data.data[2, 1],
                strict=True,
            )
        )
        person = posed(1, 2).person.keypoints
        index = {keypoint.name: keypoint.index for keypoint in KEYPOINTS}
        for theirs, ours in {
            "pose_keypoints_2d LWrist": "left_wrist",
            "pose_keypoints_2d RKnee": "right_knee",
            "pose_keypoints_2d RBigToe": "right_big_toe",
            "face_keypoints_2d FN_30": "face_30",
            "hand_left_keypoints_2d T_IP": "left_thumb_4",
            "hand_right_keypoints_2d P_DIP": "right_little_20",
        }.items():
            np.testing.assert_allclose(points[theirs], person[index[ours]], atol=0.001)
        shoulders = person[[index["left_shoulder"], index["right_shoulder"]]].mean(axis=0)
        np.testing.assert_allclose(points["pose_keypoints_2d Neck"], shoulders, atol=0.001)

    def test_masks_pupils_and_missing_points(self, tmp_path: Path) -> None:
        pose = load_openpose_directory(str(written(tmp_path, ClipFormat.OPENPOSE, frames(1))), fps=25)
        names = [point for one in pose.header.components for point in one.points]

        masked = {name for name, hidden in zip(names, pose.body.data.mask[0, 0, :, 0], strict=True) if hidden}

        assert masked == {"Nose", "LEar", "FP_68", "FP_69"}  # the ear is removed, the nose is missing

    def test_has_a_file_per_frame(self, tmp_path: Path) -> None:
        folder = written(tmp_path, ClipFormat.OPENPOSE, frames(2, every=7))

        assert sorted(file.name for file in folder.iterdir()) == [
            "sign_000000000000_keypoints.json",
            "sign_000000000007_keypoints.json",
        ]

    def test_replaces_an_earlier_run_but_no_other_folder(self, tmp_path: Path) -> None:
        written(tmp_path, ClipFormat.OPENPOSE, frames(5))
        folder = written(tmp_path, ClipFormat.OPENPOSE, frames(2))
        assert len(list(folder.iterdir())) == 2

        (folder / "notes.txt").write_text("mine")
        with pytest.raises(ClipFileError, match=r"not a folder of _keypoints\.json files only"):
            written(tmp_path, ClipFormat.OPENPOSE, frames(1))
        assert len(list(folder.iterdir())) == 3


class TestCoco:
    def test_has_images_of_a_video_and_tracks(self, tmp_path: Path) -> None:
        document = json.loads(written(tmp_path, ClipFormat.COCO, frames(3)).read_text())

        (video,) = document["videos"]
        assert (video["name"], video["width"], video["fps"]) == ("folder/sign.mp4", 640, 25.0)
        assert [(one["video_id"], one["frame_id"], one["time"]) for one in document["images"]] == [
            (1, 0, 0.0),
            (1, 1, 0.04),
            (1, 2, 0.08),
        ]
        assert [(one["image_id"], one["track_id"]) for one in document["annotations"]] == [
            (1, 0),
            (3, 0),
            (3, 1),
        ]
        assert [one["id"] for one in document["annotations"]] == [1, 2, 3]

    def test_is_read_as_coco_wholebody(self, tmp_path: Path) -> None:
        pictures = read_coco_file(written(tmp_path, ClipFormat.COCO, frames(3)))

        assert [(one.file_name, len(one.people)) for one in pictures.values()] == [
            ("sign/000000.jpg", 1),
            ("sign/000001.jpg", 0),
            ("sign/000002.jpg", 2),
        ]
        person = pictures["sign/000002.jpg",].people[1]
        np.testing.assert_allclose(person.keypoints[THERE], posed(1, 2).person.keypoints[THERE], atol=0.0051)
        np.testing.assert_allclose(person.visibility, visible(posed(1, 2))[1], atol=0.0001)
        assert person.box.tolist() == [0, 10, 600, 460], "clipped to the picture"

    def test_says_what_each_keypoint_is(self, tmp_path: Path) -> None:
        document = json.loads(written(tmp_path, ClipFormat.COCO, frames(1)).read_text())
        (person,) = document["annotations"]

        names = document["info"]["keypoint_states"]
        assert [names[str(state)] for state in person["keypoint_states"][:5]] == [
            "missing",
            "interpolated",
            "corrected",
            "removed",
            "seen",
        ]
        assert person["keypoint_scores"][3] == 0
        assert person["keypoints"][2:15:3] == [0, 1, 2, 0, 2]


class TestCsv:
    def test_has_a_row_per_keypoint(self, tmp_path: Path) -> None:
        with written(tmp_path, ClipFormat.CSV, frames(3)).open(newline="") as file:
            rows = list(csv.DictReader(file))

        assert len(rows) == 3 * KEYPOINT_COUNT
        last = rows[-1]
        assert (last["clip"], last["frame"], last["time"], last["person"]) == (
            "folder/sign.mp4",
            "2",
            "0.08",
            "p1",
        )
        assert (last["keypoint"], last["state"]) == ("right_little_20", "seen")
        expected = posed(1, 2).person
        assert float(last["x"]) == pytest.approx(expected.keypoints[-1, 0], abs=0.001)
        assert float(last["score"]) == pytest.approx(expected.scores[-1], abs=0.0001)

    def test_has_no_position_of_a_missing_keypoint(self, tmp_path: Path) -> None:
        with written(tmp_path, ClipFormat.CSV, frames(1)).open(newline="") as file:
            nose, eye, *_ = csv.DictReader(file)

        assert (nose["x"], nose["y"], nose["score"], nose["state"]) == ("", "", "0.0", "missing")
        assert eye["state"] == "interpolated"


@pytest.mark.parametrize("format", list(ClipFormat))
class TestEveryFormat:
    def test_is_in_place_when_it_is_complete(self, tmp_path: Path, format: ClipFormat) -> None:
        path = path_of(format, tmp_path, "sign")
        with open_writer(format, tmp_path, CLIP) as writer:
            for frame in frames(3):
                writer.write(frame)
            assert not path.exists()

        assert list(tmp_path.iterdir()) == [path]

    def test_leaves_nothing_when_it_is_interrupted(self, tmp_path: Path, format: ClipFormat) -> None:
        def interrupted() -> None:
            with open_writer(format, tmp_path, CLIP) as writer:
                writer.write(next(frames(1)))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()

        assert list(tmp_path.iterdir()) == []

    def test_keeps_an_earlier_file_when_it_is_interrupted(self, tmp_path: Path, format: ClipFormat) -> None:
        path = written(tmp_path, format, frames(3))

        with pytest.raises(RuntimeError), open_writer(format, tmp_path, CLIP):
            raise RuntimeError

        assert list(tmp_path.iterdir()) == [path]

    def test_starts_anew_where_a_run_was_killed(self, tmp_path: Path, format: ClipFormat) -> None:
        killed = open_writer(format, tmp_path, CLIP)
        for frame in frames(5):
            killed.write(frame)

        path = written(tmp_path, format, frames(1))

        assert list(tmp_path.iterdir()) == [path]
        assert not path.is_dir() or len(list(path.iterdir())) == 1
        killed.discard()  # closes its files

    def test_holds_a_clip_without_frames(self, tmp_path: Path, format: ClipFormat) -> None:
        assert written(tmp_path, format, []).exists()


@pytest.mark.parametrize(
    ("format", "count"), [(ClipFormat.POSE, 3000), (ClipFormat.COCO, 1000), (ClipFormat.CSV, 600)]
)
def test_memory_does_not_grow_with_the_clip(tmp_path: Path, format: ClipFormat, count: int) -> None:
    process, person = psutil.Process(), posed()
    with open_writer(format, tmp_path, CLIP) as writer:
        for index in range(100):
            writer.write(PosedFrame(index, index / 25, (person,)))
        before = process.memory_info().rss
        for index in range(100, count):
            writer.write(PosedFrame(index, index / 25, (person,)))
    grown = process.memory_info().rss - before

    size = writer.path.stat().st_size
    assert size > 4_000_000
    assert grown < size / 2, f"{grown} bytes for a file of {size}"


def test_a_score_of_zero_does_not_hide_a_corrected_point() -> None:
    one = posed()
    one.person.scores[2] = 0  # corrected

    _, scores = visible(one)

    assert scores[2] > 0
    assert (scores > 0).tolist() == THERE.tolist()
