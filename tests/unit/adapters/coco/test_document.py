"""COCO-WholeBody JSON: every person an annotation of its own, with the five groups of keypoints."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from adapters.coco.document import PictureOfTask, coco_document
from adapters.coco.picture_names import PictureFields, file_names
from adapters.label_studio.annotations.people import read_people
from adapters.label_studio.label_config.label_meanings import LabelMeanings
from tests.support.drawn_regions import HEIGHT, WIDTH, box, occluded, point
from wholebody.schema import KEYPOINT_COUNT


def document(
    *regions: Any, address: str = "/data/upload/1/a.jpg", with_scores: bool = False
) -> dict[str, Any]:
    (picture,) = read_people(regions, LabelMeanings(), lambda _: None)
    return coco_document([PictureOfTask(7, 3, address, picture)], "A test", with_scores=with_scores)


@pytest.fixture
def two_people() -> dict[str, Any]:
    return document(
        box("p0-box", x=10, y=20, width=30, height=60),
        box("p1-box", x=50),
        point("p0-nose", 20, 30, parentID="p0-box"),
        point("p0-left_eye", 21, 29, "left_eye", parentID="p0-box"),
        occluded("p0-left_eye"),
        point("p0-left_big_toe", 22, 78, "left_big_toe", parentID="p0-box"),
        point("p0-left_wrist_0", 30, 50, "left_wrist_0", parentID="p0-box"),
        point("p0-left_thumb_1", 31, 52, "left_thumb_1", parentID="p0-box"),
        point("p1-face_0", 55, 30, "face_0", parentID="p1-box"),
    )


class TestAPerson:
    def test_has_all_groups_of_keypoints_with_their_visibility(self, two_people: dict[str, Any]) -> None:
        first, second = two_people["annotations"]

        groups = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
        assert [len(first[group]) // 3 for group in groups] == [17, 6, 68, 21, 21]
        assert first["keypoints"][:9] == [200.0, 150.0, 2, 210.0, 145.0, 1, 0.0, 0.0, 0]
        assert first["foot_kpts"][:3] == [220.0, 390.0, 2]
        assert first["lefthand_kpts"][:6] == [300.0, 250.0, 2, 310.0, 260.0, 2]
        assert second["face_kpts"][:3] == [550.0, 150.0, 2]

    def test_says_which_parts_are_annotated_and_where_they_are(self, two_people: dict[str, Any]) -> None:
        first, second = two_people["annotations"]

        flags = ("foot_valid", "face_valid", "lefthand_valid", "righthand_valid")
        assert [first[flag] for flag in flags] == [True, False, True, False]
        assert [second[flag] for flag in flags] == [False, True, False, False]
        assert first["lefthand_box"] == [300.0, 250.0, 10.0, 10.0]
        assert first["righthand_box"] == [0.0, 0.0, 0.0, 0.0]

    def test_has_its_box_an_area_and_the_number_of_its_body_keypoints(
        self, two_people: dict[str, Any]
    ) -> None:
        first, second = two_people["annotations"]

        assert first["bbox"] == [100.0, 100.0, 300.0, 300.0]
        assert first["area"] == pytest.approx(0.53 * 300 * 300)
        assert (first["num_keypoints"], second["num_keypoints"]) == (2, 0)
        assert (first["iscrowd"], first["category_id"], first["image_id"]) == (0, 1, 1)

    def test_has_a_score_if_it_was_predicted(self) -> None:
        (annotated,) = document(box(score=0.5))["annotations"]
        (predicted,) = document(box(score=0.5), with_scores=True)["annotations"]

        assert "score" not in annotated
        assert predicted["score"] == 0.5


def test_the_category_names_all_keypoints_and_the_bones_of_the_body(two_people: dict[str, Any]) -> None:
    (category,) = two_people["categories"]

    names = [
        name
        for field in ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
        for name in category[field]
    ]
    assert len(set(names)) == KEYPOINT_COUNT
    assert names[:2] == ["nose", "left_eye"]
    bones = {tuple(sorted(category["keypoints"][end - 1] for end in bone)) for bone in category["skeleton"]}
    assert ("left_elbow", "left_wrist") in bones
    assert ("left_hip", "left_knee") in bones


def test_pycocotools_reads_it(two_people: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text(json.dumps(two_people), "utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "coco.json"))

    (image,) = coco.loadImgs(coco.getImgIds(catIds=coco.getCatIds(["person"])))
    assert (image["file_name"], image["width"], image["height"]) == ("a.jpg", WIDTH, HEIGHT)
    assert len(coco.getAnnIds(imgIds=[image["id"]])) == 2


class TestFileNames:
    @pytest.mark.parametrize(
        ("address", "name"),
        [
            ("/data/upload/4/1a2b-people.jpg", "1a2b-people.jpg"),
            ("https://example.com/a/b%20c.jpg?size=1", "b c.jpg"),
            ("/data/local-files/?d=folder/x.png", "x.png"),
            ("s3://bucket/folder/y.webp", "y.webp"),
            ("/tasks/3/resolve/?fileuri=czM6Ly9idWNrZXQvZm9sZGVyL3ouanBn", "z.jpg"),
            ("/tasks/3/presign/?fileuri=s3://bucket/w.jpg", "w.jpg"),
            ("data:image/png;base64,AAAA", "task-7"),
            ("", "task-7"),
            ("http://[", "task-7"),
            ("https://example.com/..", "task-7"),
        ],
    )
    def test_are_the_end_of_the_pictures_address(self, address: str, name: str) -> None:
        assert file_names([(address, "task-7")]) == [name]

    def test_are_as_long_as_it_takes_to_tell_pictures_apart(self) -> None:
        addresses = ["s3://one/a/1.jpg", "s3://one/b/1.jpg", "s3://two/b/1.jpg", "s3://two/b/2.jpg"]

        assert file_names([(address, "") for address in addresses]) == [
            "a/1.jpg",
            "one/b/1.jpg",
            "two/b/1.jpg",
            "2.jpg",
        ]

    def test_never_lead_out_of_a_folder(self) -> None:
        names = file_names([("https://a/x/../../../e.jpg", ""), ("https://b/../e.jpg", "")])

        assert all(".." not in name and not name.startswith("/") for name in names)

    def test_of_one_picture_annotated_twice_are_the_same(self) -> None:
        assert file_names([("/data/upload/1/a.jpg", ""), ("/data/upload/1/a.jpg", "")]) == ["a.jpg", "a.jpg"]


class TestAddresses:
    CONFIG = '<View><Image name="one" value="$a.url"/><Image name="many" valueList="$frames"/></View>'

    @pytest.mark.parametrize(
        ("image", "frame", "address"),
        [("one", None, "/1.jpg"), ("many", 1, "/f1.jpg"), ("many", 2, ""), ("many", -1, "")],
    )
    def test_are_where_the_label_config_says(self, image: str, frame: int | None, address: str) -> None:
        data = {"a": {"url": "/1.jpg"}, "frames": ["/f0.jpg", "/f1.jpg"], "other": "/no.jpg"}

        assert PictureFields.of(self.CONFIG).address(data, image, frame) == address

    def test_without_a_label_config_are_the_only_one_in_the_tasks_data(self) -> None:
        fields = PictureFields({})

        assert fields.address({"n": 3, "text": "a boy", "image": "/1.jpg"}, "image", None) == "/1.jpg"
        assert fields.address({"a": "/1.jpg", "b": "/2.jpg"}, "image", None) == ""


def test_numbers_are_plain_ones_that_json_can_hold(two_people: dict[str, Any]) -> None:
    assert not np.isnan(two_people["annotations"][0]["area"])
    assert json.loads(json.dumps(two_people, allow_nan=False)) == two_people
