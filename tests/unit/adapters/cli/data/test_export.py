"""`rtmlib-backend export`: the same points in the form of every program, and its pictures beside them."""

import base64
import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO
from typer.testing import CliRunner, Result

from adapters.cli.app import app
from adapters.files.poses.openpose import read_people
from tests.support.drawn_regions import HEIGHT, WIDTH, box, occluded, point
from wholebody.schema import KEYPOINT_COUNT, KEYPOINTS

RANDOM = np.random.default_rng(4)
PERCENT = RANDOM.uniform(12, 38, (KEYPOINT_COUNT, 2))
PIXELS = PERCENT * (WIDTH, HEIGHT) / 100
SCORES = RANDOM.uniform(0.3, 1, KEYPOINT_COUNT)
OCCLUDED, LEFT_OUT = 7, 9


def picture_address(suffix: str = ".png") -> str:
    _, data = cv2.imencode(suffix, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()


PICTURE = picture_address()


def regions(*, scored: bool = False) -> list[Any]:
    """A person with all keypoints but one, one of them occluded."""
    made = [box(x=10, y=10, width=30, height=30, **({"score": 0.5} if scored else {}))]
    for keypoint, (x, y), score in zip(KEYPOINTS, PERCENT.tolist(), SCORES.tolist(), strict=True):
        if keypoint.index != LEFT_OUT:
            more = {"score": score} if scored else {}
            made.append(point(f"p0-{keypoint.name}", x, y, keypoint.name, parentID="p0-box", **more))
    made.append(occluded(f"p0-{KEYPOINTS[OCCLUDED].name}"))
    return made


def task(number: int, address: str = PICTURE) -> dict[str, Any]:
    annotation = {"id": number, "result": regions(), "updated_at": "2026-01-01"}
    prediction = {
        "id": number,
        "result": regions(scored=True),
        "model_version": "v1",
        "created_at": "2026-01-01",
    }
    return {
        "id": number,
        "data": {"image": address},
        "annotations": [annotation],
        "predictions": [prediction],
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(folder: Path, tasks: list[dict[str, Any]], *options: str) -> Result:
    (folder / "export.json").write_text(json.dumps(tasks), "utf-8")
    return CliRunner().invoke(app, ["export", "--export", "export.json", *options])


def exported(folder: Path, format: str, *options: str) -> Path:
    result = run(folder, [task(1)], "--format", format, "--out", "out", *options)
    assert result.exit_code == 0, result.output
    return folder / "out"


def expected_flags(count: int = KEYPOINT_COUNT) -> Any:
    flags = np.full(KEYPOINT_COUNT, 2)
    flags[[OCCLUDED, LEFT_OUT]] = 1, 0
    return flags[:count]


def check_points(numbers: list[float], count: int = KEYPOINT_COUNT) -> None:
    """Compare x, y, v of the first keypoints with what was annotated, to a hundredth of a pixel."""
    rows = np.array(numbers).reshape(-1, 3)
    there = np.arange(count) != LEFT_OUT
    assert len(rows) == count
    np.testing.assert_allclose(rows[there, :2], PIXELS[:count][there], atol=0.01)
    np.testing.assert_array_equal(rows[:, 2], expected_flags(count))


GROUPS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


class TestCoco:
    def test_is_what_export_coco_writes(self, folder: Path) -> None:
        out = exported(folder, "coco")

        again = CliRunner().invoke(app, ["export-coco", "same.json", "--export", "export.json"])

        assert again.exit_code == 0
        assert out.read_text() == (folder / "same.json").read_text()

    def test_of_mmpose_has_all_keypoints_in_one_list(self, folder: Path) -> None:
        document = json.loads(exported(folder, "mmpose").read_text())

        (person,), (category,) = document["annotations"], document["categories"]
        check_points(person["keypoints"])
        assert person["num_keypoints"] == KEYPOINT_COUNT - 1
        assert category["keypoints"] == [keypoint.name for keypoint in KEYPOINTS]
        assert "foot_kpts" not in person

    def test_with_17_keypoints_has_no_others(self, folder: Path) -> None:
        out = exported(folder, "coco17")
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(out))

        (person,) = coco.loadAnns(coco.getAnnIds())
        check_points(person["keypoints"], 17)
        assert person["num_keypoints"] == 16
        assert not {*GROUPS[1:], "face_box", "lefthand_valid"} & {*person, *coco.cats[1]}

    def test_results_are_read_by_pycocotools(self, folder: Path) -> None:
        truth = exported(folder, "coco17").rename(folder / "truth.json")
        out = exported(folder, "coco-results", "--predictions")

        with contextlib.redirect_stdout(io.StringIO()):
            results = COCO(str(truth)).loadRes(str(out))

        (person,) = results.loadAnns(results.getAnnIds())
        rows = np.array([number for group in GROUPS for number in person[group]]).reshape(-1, 3)
        there = np.arange(KEYPOINT_COUNT) != LEFT_OUT
        np.testing.assert_allclose(rows[there], np.column_stack([PIXELS, SCORES])[there], atol=0.01)
        np.testing.assert_allclose(rows[there, 2], SCORES[there], atol=0.0001)
        assert person["score"] == pytest.approx(0.5 * SCORES[there].mean(), abs=0.0001)

    def test_results_have_the_numbers_of_the_annotated_pictures(self, folder: Path) -> None:
        only_predicted = task(1) | {"annotations": []}

        result = run(
            folder, [only_predicted, task(2)], "--format", "coco-results", "--predictions", "--out", "out"
        )

        assert [person["image_id"] for person in json.loads((folder / "out").read_text())] == [1]
        assert "1 predicted pictures are not annotated" in result.stderr


class TestOpenPose:
    def test_has_a_file_per_picture(self, folder: Path) -> None:
        out = exported(folder, "openpose", "--predictions")

        (person,) = read_people(json.loads((out / "task-1_keypoints.json").read_text()))
        there = np.arange(KEYPOINT_COUNT) != LEFT_OUT
        np.testing.assert_allclose(person[there, :2], PIXELS[there], atol=0.01)
        np.testing.assert_allclose(person[there, 2], SCORES[there], atol=0.0001)
        assert not person[LEFT_OUT].any()


class TestCsv:
    def test_has_a_row_per_keypoint(self, folder: Path) -> None:
        with exported(folder, "csv").open(newline="") as file:
            rows = list(csv.DictReader(file))

        assert [row["keypoint"] for row in rows] == [keypoint.name for keypoint in KEYPOINTS]
        assert {(row["picture"], row["task"], row["person"], row["region"]) for row in rows} == {
            ("task-1", "1", "p0", "p0-box")
        }
        numbers = [float(row[name] or 0) for row in rows for name in ("x", "y", "visibility")]
        check_points(numbers)
        assert rows[LEFT_OUT]["x"] == ""


class TestYoloPose:
    @pytest.fixture
    def data(self, folder: Path) -> Path:
        tasks = [task(number, PICTURE if number % 2 else picture_address(".jpg")) for number in range(1, 11)]
        result = run(folder, tasks, "--format", "yolo-pose", "--out", "data")
        assert result.exit_code == 0, result.output
        return folder / "data"

    def test_describes_its_keypoints(self, data: Path) -> None:
        description = yaml.safe_load((data / "data.yaml").read_text())

        assert description["kpt_shape"] == [KEYPOINT_COUNT, 3]
        assert description["names"] == {0: "person"}
        names = description["kpt_names"][0]
        assert names == [keypoint.name for keypoint in KEYPOINTS]
        assert "path" not in description, "the folder can be moved"
        mirrored = [names[index] for index in description["flip_idx"]]
        assert dict(zip(names, mirrored, strict=True)) | {"nose": "nose"} == dict(
            zip(names, mirrored, strict=True)
        )
        pairs = {name: other for name, other in zip(names, mirrored, strict=True) if "left" in name}
        assert pairs == {name: name.replace("left", "right") for name in pairs}
        assert dict(zip(names, mirrored, strict=True))["face_36"] == "face_45"

    def test_has_the_people_of_each_picture(self, data: Path) -> None:
        labels = sorted(data.glob("labels/*/*.txt"))

        assert len(labels) == 10
        for file in labels:
            (line,) = file.read_text().splitlines()
            numbers = [float(number) for number in line.split()]
            assert len(numbers) == 5 + 3 * KEYPOINT_COUNT
            assert numbers[:5] == [0, 0.25, 0.25, 0.3, 0.3]
            rows = np.array(numbers[5:]).reshape(-1, 3)
            assert rows.min() >= 0
            assert rows[:, :2].max() <= 1
            check_points((rows * (WIDTH, HEIGHT, 1)).ravel().tolist())

    def test_has_each_picture_beside_its_label(self, data: Path) -> None:
        pictures = sorted(data.glob("images/*/*"))

        assert [one.suffix for one in pictures].count(".png") == 5
        assert [one.suffix for one in pictures].count(".jpg") == 5
        for picture in pictures:
            assert cv2.imread(str(picture)).shape == (HEIGHT, WIDTH, 3)
            label = data / "labels" / picture.parent.name / f"{picture.stem}.txt"
            assert label.exists()

    def test_has_tasks_for_training_and_for_validation(self, data: Path) -> None:
        sizes = [len(list((data / "images" / side).iterdir())) for side in ("train", "val")]

        assert sum(sizes) == 10
        assert min(sizes) >= 1

    def test_leaves_out_a_picture_that_cannot_be_fetched(self, folder: Path) -> None:
        page = "data:text/html;base64," + base64.b64encode(b"<html>log in</html>").decode()

        result = run(folder, [task(1), task(2, page)], "--format", "yolo-pose", "--out", "data")

        assert result.exit_code == 3
        assert "Task 2: The address does not lead to a JPEG" in result.stderr
        assert "1 pictures could not be fetched" in result.stderr
        assert [file.stem for file in folder.glob("data/labels/*/*")] == ["task-1"]


class TestPictures:
    def test_are_fetched_under_the_names_of_the_file(self, folder: Path) -> None:
        out = exported(folder, "coco", "--images", "pictures")

        (image,) = json.loads(out.read_text())["images"]
        assert image["file_name"] == "task-1.png"
        assert cv2.imread(str(folder / "pictures" / "task-1.png")).shape == (HEIGHT, WIDTH, 3)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (("--format", "coco-results", "--out", "out"), "coco-results are predictions: add --predictions"),
            (("--format", "coco", "--out", "no/out"), "there is no folder no"),
            (("--format", "yolo-pose", "--out", "out", "--images", "x"), "has its pictures in --out"),
            (("--format", "openpose", "--out", "out", "--all-annotations"), "one file per picture"),
            (("--format", "coco", "--out", "o", "--all-annotations", "--predictions"), "do not use it with"),
            (("--format", "coco", "--out", "out", "--model-version", "v1"), "with --predictions only"),
            (("--format", "openpose", "--out", "."), ". has files"),
        ],
    )
    def test_that_do_not_fit_are_refused(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], sentence: str
    ) -> None:
        monkeypatch.setenv("COLUMNS", "200")

        result = run(folder, [task(1)], *options)

        assert result.exit_code == 2
        assert sentence in result.stderr
