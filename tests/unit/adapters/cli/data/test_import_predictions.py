"""`rtmlib-backend import-predictions`: people of every form of file in the tasks with the same pictures."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from adapters.cli.app import app
from adapters.files.clips.opening import open_writer
from adapters.files.clips.visible import visible
from adapters.files.clips.writer import ClipFormat
from adapters.label_studio.annotations.people import AnnotatedPicture, read_people
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.template import Selection, label_config_template
from tests.support.label_studio_stub import TOKEN, LabelStudioStub, label_studio_in_thread
from tests.support.posed_clips import CLIP, frames, posed
from wholebody.schema import KEYPOINT_COUNT

WIDTH, HEIGHT = 1000, 500
POINTS = np.random.default_rng(2).uniform(100, 400, (KEYPOINT_COUNT, 2)).round(2)


@pytest.fixture
def label_studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[LabelStudioStub]:
    """Label Studio with two uploads."""
    with label_studio_in_thread(label_config=label_config_template([Selection.WHOLE])) as stub:
        stub.tasks = {
            1: {"image": "/data/upload/1/0a1b2c3d-first.jpg"},
            2: {"image": "/data/upload/1/1a2b3c4d-second.jpg"},
        }
        monkeypatch.setenv("LABEL_STUDIO_URL", stub.url)
        monkeypatch.setenv("LABEL_STUDIO_API_TOKEN", TOKEN)
        monkeypatch.setenv("COLUMNS", "200")
        yield stub


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["import-predictions", str(path), "--project", "1", *options])


def coco(*names: str) -> dict[str, Any]:
    """One person with all keypoints in each picture."""
    points = np.column_stack([POINTS, np.full(KEYPOINT_COUNT, 2)]).ravel().tolist()
    return {
        "images": [
            {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
            for number, name in enumerate(names, start=1)
        ],
        "annotations": [
            {"image_id": number, "bbox": [90, 90, 320, 320], "keypoints": points, "score": 0.75}
            for number, _ in enumerate(names, start=1)
        ],
    }


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), "utf-8")
    return path


def stored(stub: LabelStudioStub, task: int) -> list[AnnotatedPicture]:
    (prediction,) = [one for one in stub.predictions.values() if one["task"] == task]
    meanings = LabelMeanings.of(parse_label_config(stub.label_config))
    return read_people(prediction["result"], meanings, lambda _: None)


class TestFiles:
    def test_become_predictions_of_the_tasks_with_the_same_pictures(
        self, label_studio: LabelStudioStub, tmp_path: Path
    ) -> None:
        result = run(written(tmp_path / "their.json", coco("second.jpg")))

        assert result.exit_code == 0, result.output
        assert "1 predictions created" in result.output
        assert label_studio.versions()[1] == []
        (picture,) = stored(label_studio, 2)
        (person,) = picture.people
        np.testing.assert_allclose(person.keypoints, POINTS, atol=0.01)
        np.testing.assert_allclose(person.box, [90, 90, 410, 410], atol=0.01)
        assert picture.size == (WIDTH, HEIGHT)

    def test_imported_twice_double_nothing(self, label_studio: LabelStudioStub, tmp_path: Path) -> None:
        file = written(tmp_path / "their.json", coco("first.jpg", "second.jpg"))
        assert "2 predictions created" in run(file).output

        result = run(file)

        assert result.exit_code == 0
        assert "0 predictions created; 2 tasks had one" in result.output
        assert {task: len(found) for task, found in label_studio.versions().items()} == {1: 1, 2: 1}

    def test_give_the_model_version_their_name_and_content(
        self, label_studio: LabelStudioStub, tmp_path: Path
    ) -> None:
        run(written(tmp_path / "their, 2.json", coco("first.jpg")))
        run(written(tmp_path / "their, 2.json", coco("first.jpg", "gone.jpg")))

        first, second = label_studio.versions()[1]
        assert first.startswith("their_2-")
        assert second.startswith("their_2-")
        assert first != second

    def test_bones_get_their_points_too(self, label_studio: LabelStudioStub, tmp_path: Path) -> None:
        label_studio.label_config = label_config_template([Selection.WHOLE], skeleton=True)

        assert run(written(tmp_path / "their.json", coco("first.jpg"))).exit_code == 0

        ((person,),) = (picture.people for picture in stored(label_studio, 1))
        np.testing.assert_allclose(person.keypoints, POINTS, atol=0.01)

    def test_of_results_need_the_file_of_their_pictures(
        self, label_studio: LabelStudioStub, tmp_path: Path
    ) -> None:
        document = coco("first.jpg", "second.jpg")
        pictures = written(tmp_path / "pictures.json", document | {"annotations": []})
        results = written(tmp_path / "results.json", document["annotations"])

        refused, done = run(results), run(results, "--pictures", str(pictures))

        assert refused.exit_code == 1
        assert "Result 0 refers to image 1" in refused.output
        assert "2 predictions created" in done.output

    def test_of_a_changed_folder_are_another_version(
        self, label_studio: LabelStudioStub, tmp_path: Path
    ) -> None:
        folder = tmp_path / "poses"
        folder.mkdir()
        for description in ("one", "another"):
            written(folder / "first.JSON", coco("first.jpg") | {"info": {"description": description}})
            run(folder)
        versions = label_studio.versions()[1]
        assert len(set(versions)) == len(versions) == 2

    def test_without_a_size_take_that_of_the_picture(
        self, label_studio: LabelStudioStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cv2.imwrite(str(tmp_path / "third.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        monkeypatch.setenv("LOCAL_FILES_DOCUMENT_ROOT", str(tmp_path))
        label_studio.tasks[3] = {"image": "/data/local-files/?d=third.png"}
        instance = {"keypoints": POINTS.tolist(), "keypoint_scores": [0.5] * KEYPOINT_COUNT}

        result = run(written(tmp_path / "third.json", [instance]))

        assert result.exit_code == 0, result.output
        ((person,),) = (picture.people for picture in stored(label_studio, 3))
        np.testing.assert_allclose(person.keypoints, POINTS, atol=0.01)
        np.testing.assert_allclose(person.scores, 0.5)

    def test_whose_picture_is_gone_fail(self, label_studio: LabelStudioStub, tmp_path: Path) -> None:
        instance = {"keypoints": POINTS.tolist(), "keypoint_scores": [0.5] * KEYPOINT_COUNT}

        result = run(written(tmp_path / "first.json", [instance]))

        assert result.exit_code == 3
        assert "1 failed" in result.output
        assert "Task 1: " in result.output

    def test_of_which_nothing_is_in_the_project_end_with_a_sentence(
        self, label_studio: LabelStudioStub, tmp_path: Path
    ) -> None:
        result = run(written(tmp_path / "their.json", coco("other.jpg")))

        assert result.exit_code == 1
        assert "None of the 1 pictures of the file is in the project" in result.output
        assert label_studio.predictions == {}

    def test_name_what_is_in_no_task(self, label_studio: LabelStudioStub, tmp_path: Path) -> None:
        result = run(written(tmp_path / "their.json", coco("first.jpg", "third.jpg")))

        assert (
            "1 of the file's pictures are in no task, or in several, and are left out: third.jpg."
            in result.output
        )


class TestClips:
    @pytest.fixture
    def frame_list(self, label_studio: LabelStudioStub) -> LabelStudioStub:
        label_studio.label_config = label_config_template([Selection.WHOLE], frames=True)
        label_studio.tasks = {
            number: {"frames": [f"s3://bucket/{name}/{frame:04d}.jpg" for frame in range(3)]}
            for number, name in ((1, "sign"), (2, "other"))
        }
        return label_studio

    @pytest.mark.parametrize("format", [ClipFormat.POSE, ClipFormat.COCO])
    def test_fill_the_list_of_frames_with_their_name(
        self, frame_list: LabelStudioStub, tmp_path: Path, format: ClipFormat
    ) -> None:
        with open_writer(format, tmp_path, CLIP) as writer:
            for frame in frames(3):
                writer.write(frame)

        result = run(writer.path)

        assert result.exit_code == 0, result.output
        assert frame_list.versions()[2] == []
        pictures = {picture.frame: picture for picture in stored(frame_list, 1)}
        assert {frame: len(one.people) for frame, one in pictures.items()} == {0: 1, 2: 2}
        expected, scores = visible(posed(1, 2))
        person = pictures[2].people[1]
        shown = person.visibility > 0
        assert shown.sum() > 100
        assert shown.tolist() == (scores >= 0.3).tolist()
        np.testing.assert_allclose(person.keypoints[shown], expected[shown], atol=0.01)

    def test_of_another_length_are_refused(self, frame_list: LabelStudioStub, tmp_path: Path) -> None:
        with open_writer(ClipFormat.POSE, tmp_path, CLIP) as writer:
            for frame in frames(4):
                writer.write(frame)

        result = run(writer.path)

        assert result.exit_code == 1
        assert (
            "sign has 4 frames; lists of frames have 3 in task 1. Choose the task with --task."
            in result.output
        )
        assert frame_list.predictions == {}

    def test_go_to_the_chosen_task_whatever_its_name(
        self, frame_list: LabelStudioStub, tmp_path: Path
    ) -> None:
        with open_writer(ClipFormat.POSE, tmp_path, CLIP) as writer:
            for frame in frames(3):
                writer.write(frame)

        result = run(writer.path, "--task", "2")

        assert result.exit_code == 0, result.output
        assert {task: len(found) for task, found in frame_list.versions().items()} == {1: 0, 2: 1}
