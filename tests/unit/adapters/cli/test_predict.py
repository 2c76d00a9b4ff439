"""`rtmlib-backend predict`: files, folders and addresses in, people out, in words, as JSON and drawn."""

import json
from collections.abc import Generator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from adapters.cli.app import app
from adapters.http.example import draw_figure
from runners.models.store import ModelStore
from tests.support.http_server import Handler, serving
from wholebody.schema import PART_RANGES, Part

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with somebody in a picture, the same in a folder below it, nobody, and what is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "again").mkdir()
    figure = draw_figure()
    figure.save(folder / "figure.png")
    figure.save(folder / "again" / "figure.png")
    cv2.imwrite(str(folder / "plain.jpg"), np.full((60, 80, 3), 128, np.uint8))
    (folder / "notes.txt").write_text("no picture, and not named as one", "utf-8")
    return folder


@pytest.fixture
def predict(model_store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("MODEL_CACHE_DIR", str(model_store.root))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return CliRunner()


@pytest.fixture
def address(pictures: Path) -> Generator[str]:
    class Folder(Handler, SimpleHTTPRequestHandler):
        """Serves what lies in the folder."""

    with serving(partial(Folder, directory=str(pictures))) as url:
        yield url


def test_a_file_becomes_a_line_for_each_person(predict: CliRunner, pictures: Path) -> None:
    result = predict.invoke(app, ["predict", str(pictures / "figure.png")])

    assert result.exit_code == 0, result.output
    assert "figure.png: 1 person" in result.output
    assert "68/68" in result.output


def test_a_folder_becomes_a_line_of_json_for_each_picture_in_it(predict: CliRunner, pictures: Path) -> None:
    result = predict.invoke(app, ["predict", str(pictures), "--json"])

    assert result.exit_code == 0, result.output
    figure, plain = (json.loads(line) for line in result.stdout.splitlines())
    assert (figure["width"], figure["height"]) == draw_figure().size
    (person,) = figure["people"]
    assert set(person) == {"box", "score", "keypoints"}
    face = PART_RANGES[Part.FACE]
    assert {f"face_{i}" for i in range(len(face))} <= person["keypoints"].keys()
    assert all(score > 0 for _, _, score in person["keypoints"].values()), "what was not found is left out"
    assert plain["people"] == []


def test_an_address_is_fetched_also_from_this_machine(predict: CliRunner, address: str) -> None:
    result = predict.invoke(app, ["predict", f"{address}/figure.png", "--json"])

    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["people"]) == 1


def test_what_cannot_be_read_is_named_and_the_others_are_done(
    predict: CliRunner, pictures: Path, address: str
) -> None:
    names = [
        str(pictures / "gone.jpg"),
        str(pictures / "notes.txt"),
        f"{address}/gone.jpg",
        str(pictures / "figure.png"),
    ]
    result = predict.invoke(app, ["predict", *names, "--json"])

    assert result.exit_code == 1
    said = result.stderr.splitlines()
    assert f"{names[0]}: No such file or directory" in said
    assert any(line.startswith(f"{names[1]}: The file is in none of the supported formats") for line in said)
    assert f"{names[2]}: No picture at {names[2]} (404). Check the address." in said
    assert [json.loads(line)["picture"] for line in result.stdout.splitlines()] == names[3:]


class TestOverlays:
    def test_people_are_drawn_and_the_rest_of_the_picture_is_as_it_was(
        self, predict: CliRunner, pictures: Path, tmp_path: Path
    ) -> None:
        for name in ("figure.png", "plain.jpg"):
            result = predict.invoke(app, ["predict", str(pictures / name), "--overlay", "drawn.png"])
            assert result.exit_code == 0, result.output
            drawn, given = cv2.imread(str(tmp_path / "drawn.png")), cv2.imread(str(pictures / name))
            assert drawn is not None
            assert given is not None
            changed = float((drawn != given).any(axis=2).mean())
            assert (0.01 < changed < 0.5) if name == "figure.png" else changed == 0

    def test_several_go_into_a_folder_and_none_over_another_of_the_same_name(
        self, predict: CliRunner, pictures: Path, tmp_path: Path
    ) -> None:
        result = predict.invoke(
            app, ["predict", str(pictures), str(pictures / "again"), "--overlay", "drawn/here"]
        )

        assert result.exit_code == 0, result.output
        assert sorted(file.name for file in (tmp_path / "drawn" / "here").iterdir()) == [
            "figure-2.png",
            "figure.png",
            "plain.png",
        ]

    def test_several_into_one_file_are_refused(self, predict: CliRunner, pictures: Path) -> None:
        result = predict.invoke(app, ["predict", str(pictures), "--overlay", "drawn.png"])

        assert result.exit_code == 2
        assert "name a folder when there are several pictures" in result.output

    def test_a_folder_that_cannot_be_made_is_said_before_anything_is_computed(
        self, predict: CliRunner, pictures: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "taken").write_text("a file", "utf-8")
        result = predict.invoke(app, ["predict", str(pictures), "--overlay", "taken"])

        assert result.exit_code == 2
        assert "the folder taken cannot be created: File exists" in result.output
        assert "person" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("figure.png", "--overlay", "no/such.png"), "there is no folder no."),
        (("figure.png", ""), "one of the names is empty"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_computed(
    predict: CliRunner, arguments: tuple[str, ...], said: str
) -> None:
    result = predict.invoke(app, ["predict", *arguments])

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_half_an_address_is_named(predict: CliRunner) -> None:
    result = predict.invoke(app, ["predict", "http://[::1/a.png", "--overlay", "drawn"])

    assert result.exit_code == 1
    assert "http://[::1/a.png has no valid host" in result.stderr


def test_a_folder_without_pictures_is_said_to_be_one(predict: CliRunner, tmp_path: Path) -> None:
    result = predict.invoke(app, ["predict", str(tmp_path)])

    assert result.exit_code == 2
    assert "they contain no pictures" in result.output
