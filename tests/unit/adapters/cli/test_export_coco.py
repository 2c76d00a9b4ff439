"""`rtmlib-backend export-coco` and `evaluate`: from Label Studio's export to figures, and what is said on the way."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters.cli.app import app
from tests.support.drawn_regions import box, point, task


def regions(nose_x: float = 20.0) -> list[Any]:
    return [
        box(),
        point("p0-nose", nose_x, 30, parentID="p0-box"),
        point("p0-left_eye", 21, 29, "left_eye", parentID="p0-box"),
        point("p0-face_0", 22, 31, "face_0", parentID="p0-box"),
        point("p0-face_1", 23, 32, "face_1", parentID="p0-box"),
    ]


def made(result: list[Any], number: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "result": result, "created_at": "2026-01-01", "updated_at": "2026-01-01", **more}


def predicted(result: list[Any], number: int = 1, version: str = "v1", **more: Any) -> dict[str, Any]:
    return made(result, number, model_version=version, **more)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def exported(folder: Path, *tasks: dict[str, Any], options: tuple[str, ...] = ()) -> dict[str, Any]:
    (folder / "export.json").write_text(json.dumps(tasks), "utf-8")
    result = run("export-coco", "coco.json", "--export", "export.json", *options)
    assert result.exit_code == 0, result.output
    return json.loads((folder / "coco.json").read_text("utf-8"))


class TestWhichAnnotationIsExported:
    def test_the_one_that_was_changed_last(self, folder: Path) -> None:
        older = made(regions(20), 1, updated_at="2026-01-01T10:00")
        newer = made(regions(25), 2, updated_at="2026-01-01T11:00")

        (image,) = exported(folder, task(annotations=[newer, older]))["images"]

        assert image["annotation_id"] == 2

    def test_but_rather_the_one_marked_as_ground_truth(self, folder: Path) -> None:
        truth = made(regions(20), 1, ground_truth=True)
        newer = made(regions(25), 2, updated_at="2026-02-02")

        (image,) = exported(folder, task(annotations=[truth, newer]))["images"]

        assert image["annotation_id"] == 1

    def test_never_one_that_was_skipped(self, folder: Path) -> None:
        skipped = made(regions(), 1, was_cancelled=True)

        assert exported(folder, task(annotations=[skipped]))["images"] == []

    def test_all_of_them_if_asked_for_each_an_image_of_its_own(self, folder: Path) -> None:
        both = task(annotations=[made(regions(20), 1), made(regions(25), 2)])

        document = exported(folder, both, options=("--all-annotations",))

        assert [image["annotation_id"] for image in document["images"]] == [1, 2]
        assert [person["image_id"] for person in document["annotations"]] == [1, 2]

    def test_a_picture_with_nobody_in_it_is_in_the_file_with_its_size(self, folder: Path) -> None:
        nobody = task(annotations=[made([])], predictions=[predicted(regions())])

        document = exported(folder, nobody)

        assert document["annotations"] == []
        assert [(one["width"], one["height"], one["image_tag"]) for one in document["images"]] == [
            (1000, 500, "image")
        ]

    def test_a_task_that_nobody_annotated_is_not(self, folder: Path) -> None:
        assert exported(folder, task(predictions=[predicted(regions())]))["images"] == []


class TestWhichPredictionIsExported:
    def test_the_latest_or_the_latest_of_a_version(self, folder: Path) -> None:
        both = task(
            predictions=[
                predicted(regions(20), 1, "old", created_at="2026-01-01"),
                predicted(regions(25), 2, "new", created_at="2026-02-02"),
            ]
        )

        latest = exported(folder, both, options=("--predictions",))
        old = exported(folder, both, options=("--predictions", "--model-version", "old"))

        assert latest["annotations"][0]["keypoints"][0] == 250
        assert latest["info"]["description"] == "Predictions (new) for export.json"
        assert old["annotations"][0]["keypoints"][0] == 200

    def test_an_export_that_names_predictions_by_their_ids_only_is_explained(self, folder: Path) -> None:
        (folder / "export.json").write_text(json.dumps([task(4, predictions=[12])]), "utf-8")

        result = run("export-coco", "coco.json", "--export", "export.json", "--predictions")

        assert result.exit_code == 1
        assert "Task 4: the export has only the ids of predictions" in result.stderr
        assert "--project" in result.stderr


def test_a_label_config_says_what_labels_of_a_projects_own_mean(folder: Path) -> None:
    config = """<View><Image name="image" value="$image"/><KeyPointLabels name="keypoints" toName="image">
      <Label value="Nase" predicted_values="nose"/></KeyPointLabels></View>"""
    (folder / "config.xml").write_text(config, "utf-8")
    drawn = [box(), point("x", 20, 30, "Nase", parentID="p0-box")]

    document = exported(folder, task(annotations=[made(drawn)]), options=("--label-config", "config.xml"))

    assert document["annotations"][0]["num_keypoints"] == 1


def test_what_is_left_out_is_said(folder: Path) -> None:
    odd = [
        *regions(),
        point("x", 20, 30, "tail", parentID="p0-box"),
        point("y", 20, 30, "tail", parentID="p0-box"),
    ]
    (folder / "export.json").write_text(json.dumps([task(7, annotations=[made(odd)])]), "utf-8")

    result = run("export-coco", "coco.json", "--export", "export.json")

    assert "Task 7: 2 points with the label 'tail' are no known keypoints, and are left out." in result.stderr
    assert "coco.json: 1 pictures, 1 people" in result.stderr


class TestWhatAnAnnotatorDeleted:
    """The prediction is in the export, as through the API, or named by its number, as in Export > JSON."""

    @pytest.mark.parametrize("made_from", [9, predicted(regions(), 9)], ids=["number", "in full"])
    def test_is_not_exported_and_the_task_is_named(self, folder: Path, made_from: Any) -> None:
        without_box = task(7, annotations=[made(regions()[1:], parent_prediction=9)], predictions=[made_from])
        (folder / "export.json").write_text(json.dumps([without_box]), "utf-8")

        result = run("export-coco", "coco.json", "--export", "export.json")

        assert "Task 7: the box of p0 was deleted, so this person's 4 remaining points" in result.stderr
        assert "coco.json: 1 pictures, 0 people" in result.stderr

    def test_is_kept_where_a_point_was_moved_from_the_prediction_that_it_was_made_from(
        self, folder: Path
    ) -> None:
        made_from, later = predicted(regions(), 9), predicted(regions(25), 10, created_at="2026-02-02")
        moved = task(annotations=[made(regions(25)[1:], parent_prediction=9)], predictions=[made_from, later])

        (someone,) = exported(folder, moved)["annotations"]

        assert someone["keypoints"][0] == 250

    def test_is_invented_by_the_prediction(self, folder: Path) -> None:
        removed = task(
            7, annotations=[made(regions()[1:], parent_prediction=9)], predictions=[predicted(regions(), 9)]
        )
        (folder / "export.json").write_text(json.dumps([removed]), "utf-8")

        result = run("evaluate", "--export", "export.json", "--json", "figures.json")

        assert "Task 7: the box of p0 was deleted" in result.stderr
        (picture,) = json.loads((folder / "figures.json").read_text("utf-8"))["pictures"]
        assert (picture["people"], picture["invented"]) == (0, 1)


class TestWhatIsNoExport:
    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("{", "is not JSON"),
            ("[" * 100_000, "is not JSON"),
            ('{"a": 1}', "is no list of tasks"),
            ("[]", "has no tasks"),
            (
                '[{"image": "x", "label": []}]',
                "Item 0 is no task of Label Studio's full JSON export: id: Field required",
            ),
            ('[{"id": 1, "data": {}, "annotations": [{"id": "x"}]}]', "annotations.0.id"),
        ],
        ids=["half", "deep", "object", "empty", "json-min", "wrong"],
    )
    def test_ends_with_a_sentence(self, folder: Path, text: str, sentence: str) -> None:
        (folder / "export.json").write_text(text, "utf-8")

        for result in (
            run("export-coco", "coco.json", "--export", "export.json"),
            run("evaluate", "--export", "export.json"),
        ):
            assert result.exit_code == 1
            assert sentence in result.stderr
            assert "Traceback" not in result.output
        assert not (folder / "coco.json").exists()

    def test_a_file_that_is_not_there_is_named(self, folder: Path) -> None:
        result = run("export-coco", "coco.json", "--export", "gone.json")

        assert result.exit_code == 1
        assert "gone.json cannot be read: No such file or directory." in result.stderr

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("gone.xml", "cannot be read: No such file or directory."),
            (".", "cannot be read: Is a directory."),
        ],
    )
    def test_a_label_config_that_cannot_be_read_is_named(
        self, folder: Path, name: str, sentence: str
    ) -> None:
        (folder / "export.json").write_text(json.dumps([task()]), "utf-8")

        result = run("export-coco", "coco.json", "--export", "export.json", "--label-config", name)

        assert result.exit_code == 2
        assert f"Invalid value for --label-config: {name} {sentence}" in result.stderr

    def test_a_project_needs_an_address_and_a_token(self, folder: Path) -> None:
        result = run("export-coco", "coco.json", "--project", "3")

        assert result.exit_code == 1
        assert "Set LABEL_STUDIO_URL and LABEL_STUDIO_API_TOKEN" in result.stderr

    @pytest.mark.parametrize(
        "options",
        [
            (),
            ("--project", "1", "--export", "x.json"),
            ("--export", "x.json", "--all-annotations", "--predictions"),
            ("--export", "x.json", "--model-version", "v1"),
        ],
    )
    def test_options_that_contradict_each_other_are_refused(
        self, folder: Path, options: tuple[str, ...]
    ) -> None:
        assert run("export-coco", "coco.json", *options).exit_code == 2

    def test_a_place_that_cannot_be_written_to_is_named(self, folder: Path) -> None:
        (folder / "export.json").write_text(json.dumps([task()]), "utf-8")

        result = run("export-coco", "no/folder/coco.json", "--export", "export.json")

        assert result.exit_code == 1
        assert "no/folder/coco.json cannot be written: No such file or directory." in result.stderr


class TestEvaluate:
    @pytest.mark.parametrize(
        "option",
        [
            ("--label-config", "config.xml"),
            ("--model-version", "v1"),
            ("--project", "1"),
            ("--export", "export.json"),
        ],
    )
    def test_what_says_nothing_about_coco_files_is_refused_with_them(
        self, folder: Path, option: tuple[str, str]
    ) -> None:
        result = run("evaluate", "--annotated", "coco.json", "--predicted", "coco.json", *option)

        assert result.exit_code == 2
        assert f"Invalid value for {option[0]}: use it with a project or an export only" in result.stderr

    def test_predictions_exported_and_evaluated_against_themselves_have_a_precision_of_one(
        self, folder: Path
    ) -> None:
        exported(folder, task(predictions=[predicted(regions())]), options=("--predictions",))

        result = run(
            "evaluate", "--annotated", "coco.json", "--predicted", "coco.json", "--json", "figures.json"
        )

        assert result.exit_code == 0, result.output
        figures = json.loads((folder / "figures.json").read_text("utf-8"))
        assert {name: group["ap"] for name, group in figures["groups"].items()} == {
            "wholebody": pytest.approx(1),
            "body": pytest.approx(1),
            "feet": None,
            "face": pytest.approx(1),
            "left_hand": None,
            "right_hand": None,
        }

    def test_of_a_project_the_worst_pictures_come_first(self, folder: Path) -> None:
        tasks = [
            task(number, annotations=[made(regions())], predictions=[predicted(regions(x))])
            for number, x in ((1, 20.0), (2, 26.0), (3, 21.0))
        ]
        (folder / "export.json").write_text(json.dumps(tasks), "utf-8")

        result = run("evaluate", "--export", "export.json", "--json", "figures.json", "--plot", "plot.svg")

        assert result.exit_code == 0, result.output
        figures = json.loads((folder / "figures.json").read_text("utf-8"))
        assert [picture["task"] for picture in figures["pictures"]] == [2, 3, 1]
        assert "v1 against the annotations of export.json" in result.stdout
        listed = result.stdout.partition("Worst pictures")[2]
        assert listed.index("2.jpg") < listed.index("3.jpg")
        assert "1.jpg" not in listed, "there is nothing wrong with it"
        assert (folder / "plot.svg").read_text("utf-8").startswith("<?xml")

    def test_tasks_on_one_side_only_are_left_out_and_counted(self, folder: Path) -> None:
        tasks = [
            task(1, annotations=[made(regions())], predictions=[predicted(regions())]),
            task(2, annotations=[made(regions())]),
            task(3, predictions=[predicted(regions())]),
        ]
        (folder / "export.json").write_text(json.dumps(tasks), "utf-8")

        result = run("evaluate", "--export", "export.json")

        assert (
            "1 pictures compared; left out: 1 annotated without a prediction, 1 predicted without an annotation"
            in result.stdout
        )

    def test_nothing_to_compare_is_said(self, folder: Path) -> None:
        (folder / "export.json").write_text(json.dumps([task(1, annotations=[made(regions())])]), "utf-8")

        result = run("evaluate", "--export", "export.json")

        assert result.exit_code == 1
        assert (
            "No picture has both an annotation and a prediction (1 annotated, 0 predicted)" in result.stderr
        )

    def test_nobody_predicted_where_somebody_is_counts_as_missed(self, folder: Path) -> None:
        (folder / "export.json").write_text(
            json.dumps([task(1, annotations=[made(regions())], predictions=[predicted([])])]), "utf-8"
        )

        result = run("evaluate", "--export", "export.json", "--json", "figures.json")

        assert result.exit_code == 0, result.output
        (picture,) = json.loads((folder / "figures.json").read_text("utf-8"))["pictures"]
        assert (picture["missed"], picture["agreement"]) == (1, 0)
