"""Predictions of other programs are read from each of their forms, and found by the names of pictures."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from adapters.cli.app import app
from adapters.coco.document import PART_FIELDS
from adapters.coco.reading import CocoError, CocoPicture, read_coco
from adapters.files.datasets.coco_variants import body_only, one_list
from adapters.files.poses.openpose import document, person_fields
from adapters.files.poses.reading import PictureNames, matching, read_poses
from wholebody.schema import KEYPOINT_COUNT

REFERENCE = json.loads((Path(__file__).parents[4] / "data" / "coco_reference.json").read_text("utf-8"))
ANNOTATED: dict[str, Any] = REFERENCE["annotated"]
LISTED = read_coco(ANNOTATED)
GROUPS = [fields.keypoints for fields in PART_FIELDS.values()]


def all_points(person: dict[str, Any]) -> Any:
    return np.array([number for group in GROUPS for number in person[group]]).reshape(-1, 3)


def people_of(image: int) -> list[dict[str, Any]]:
    return [person for person in ANNOTATED["annotations"] if person["image_id"] == image]


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), "utf-8")
    return path


def as_results(folder: Path) -> Path:
    people = copy.deepcopy(ANNOTATED["annotations"])
    for person in people:
        del person["id"], person["area"], person["bbox"]
        person["score"] = 0.9
    return written(folder / "results.json", people)


def as_results_of_one_list(folder: Path) -> Path:
    people = [
        {
            "image_id": person["image_id"],
            "category_id": 1,
            "keypoints": all_points(person).ravel().tolist(),
            "score": 1,
        }
        for person in ANNOTATED["annotations"]
    ]
    return written(folder / "results.json", people)


def as_mmpose_data_set(folder: Path) -> Path:
    annotated = ANNOTATED | {"categories": [{"id": 1, "name": "person"}]}
    return written(folder / "mmpose.json", one_list(annotated))


def as_mmpose_predictions(folder: Path) -> Path:
    (folder / "mmpose").mkdir()
    for image in ANNOTATED["images"]:
        people = [
            {
                "keypoints": all_points(person)[:, :2].tolist(),
                "keypoint_scores": (all_points(person)[:, 2] > 0).astype(float).tolist(),
                "bbox": [[0, 0, 10, 10]],
                "bbox_score": 0.8,
            }
            for person in people_of(image["id"])
        ]
        written(folder / "mmpose" / f"{Path(image['file_name']).stem}.json", people)
    return folder / "mmpose"


def as_openpose(folder: Path) -> Path:
    (folder / "openpose").mkdir()
    for image in ANNOTATED["images"]:
        people = [
            person_fields(all_points(person)[:, :2], all_points(person)[:, 2] > 0, number=-1)
            for person in people_of(image["id"])
        ]
        stem = Path(image["file_name"]).stem
        written(folder / "openpose" / f"{stem}_keypoints.json", document(people))
    return folder / "openpose"


FORMS = [as_results, as_results_of_one_list, as_mmpose_data_set, as_mmpose_predictions, as_openpose]


def evaluate(tmp_path: Path, predicted: Path, annotated: dict[str, Any] = ANNOTATED) -> Result:
    truth = written(tmp_path / "truth.json", annotated)
    figures = str(tmp_path / "figures.json")
    return CliRunner().invoke(
        app, ["evaluate", "--annotated", str(truth), "--predicted", str(predicted), "--json", figures]
    )


@pytest.mark.parametrize("form", FORMS)
def test_every_form_evaluates_to_full_agreement_with_itself(tmp_path: Path, form: Any) -> None:
    result = evaluate(tmp_path, form(tmp_path))

    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["not_predicted"] == figures["not_annotated"] == 0
    for group in figures["groups"].values():
        assert (group["ap"], group["pck"]) == (pytest.approx(1), 1)
        assert group["median_distance"] == pytest.approx(0, abs=1e-5)


def test_17_keypoints_are_compared_with_the_body(tmp_path: Path) -> None:
    truth = body_only(ANNOTATED | {"categories": []})

    result = evaluate(tmp_path, as_results(tmp_path), truth)

    assert result.exit_code == 0, result.output
    groups = json.loads((tmp_path / "figures.json").read_text())["groups"]
    assert groups["body"]["ap"] == pytest.approx(1)
    assert groups["left_hand"]["ap"] is None


def test_a_picture_without_results_has_nobody(tmp_path: Path) -> None:
    results = json.loads(as_results(tmp_path).read_text())
    first = results[0]["image_id"]
    left = written(tmp_path / "left.json", [one for one in results if one["image_id"] != first])

    result = evaluate(tmp_path, left)

    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["not_predicted"] == 0
    assert figures["pictures"][0]["missed"] == len(people_of(first))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([{"image_id": 999, "keypoints": [0] * 51}], "Result 0 refers to image 999"),
        ([{"image_id": 1, "keypoints": [0] * 50}], "50 numbers in 'keypoints'; 17 keypoints need 51, or 399"),
        ([{"image_id": "x", "keypoints": []}], "no list of COCO results: 0.image_id"),
        ([{"keypoints": [[1, 2]], "keypoint_scores": [1]}], "A person has 1 keypoints and 1 scores"),
        ({"people": [{"pose_keypoints_2d": [1]}]}, "75 or 54 are needed"),
        ({"instance_info": 3}, "no prediction of MMPose"),
        ({"a": 1}, "no COCO JSON: images: Field required"),
        (3, "It is none of COCO JSON"),
    ],
)
def test_what_is_none_of_them_ends_with_a_sentence(tmp_path: Path, content: object, sentence: str) -> None:
    result = evaluate(tmp_path, written(tmp_path / "predicted.json", content))

    assert result.exit_code == 1
    assert sentence in result.stderr
    assert "predicted.json" in result.stderr
    assert "Traceback" not in result.output


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()

    with pytest.raises(CocoError, match=r"none has no \.json files"):
        read_poses(tmp_path / "none", LISTED)


def test_frames_of_a_clip_are_counted(tmp_path: Path) -> None:
    person = {"keypoints": [[1, 2]] * KEYPOINT_COUNT, "keypoint_scores": [0.5] * KEYPOINT_COUNT}
    clip = [{"frame_id": 0, "instances": [person]}, {"frame_id": 1, "instances": []}]

    for content in (clip, {"meta_info": {}, "instance_info": clip}):
        pictures = read_poses(written(tmp_path / "clip.json", content), {})

        assert [(one.frame, len(one.people)) for one in pictures.values()] == [(0, 1), (1, 0)]


class TestNames:
    @pytest.mark.parametrize("name", ["b/1.jpg", "a/2.jpg", "2.jpg", "2", "folder/3.png", "3", "1a2b3c4d-3"])
    def test_find_the_picture(self, name: str) -> None:
        names = PictureNames(
            [(("a1",), "a/1.jpg"), (("b1",), "b/1.jpg"), (("2",), "a/2.jpg"), (("3",), "u/0a1b2c3d-3.jpg")]
        )

        found = names.find(name)

        assert found is not None
        assert found[0][-1] == Path(name).stem[-1]

    @pytest.mark.parametrize("name", ["1.jpg", "1", "4.jpg", ""])
    def test_find_nothing_without_one_or_with_several(self, name: str) -> None:
        assert PictureNames([(("a1",), "a/1.jpg"), (("b1",), "b/1.jpg")]).find(name) is None

    def test_that_match_one_picture_are_refused(self) -> None:
        read = {(name,): CocoPicture(name, None, ()) for name in ("x/a.jpg", "y/a.jpg")}

        with pytest.raises(CocoError, match="match the same picture"):
            matching(read, {("t",): CocoPicture("a.jpg", 1, ())})
