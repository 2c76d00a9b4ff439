"""`rtmlib-backend check-labels`: from an export, a COCO file or a project to ranked mistakes."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from adapters.cli.app import app
from benchmarks.label_mistakes import labelled
from benchmarks.made_people import made_person
from tests.support.drawn_regions import HEIGHT, WIDTH, box, point, task
from tests.support.label_studio_stub import TOKEN, serving_label_studio
from wholebody.label_checks.finding import LabelledPerson
from wholebody.schema import KEYPOINTS


def signer(x: float = 300.0) -> LabelledPerson:
    """A person who faces the camera, in a picture of 1000 × 500 pixels."""
    people = (made_person(np.random.default_rng(at), x, 300, 350) for at in range(6, 100))
    made = next(person for person in people if abs(person.yaw) < 0.3)
    return labelled(replace(made, seen=np.ones(133, np.bool_)))


def regions(person: LabelledPerson, name: str = "p0", order: Sequence[int] = range(133)) -> list[Any]:
    """The regions of a person; `order` gives the position that each keypoint has."""
    x1, y1, x2, y2 = person.box / (WIDTH, HEIGHT, WIDTH, HEIGHT) * 100
    drawn = [box(f"{name}-box", x1, y1, x2 - x1, y2 - y1)]
    for keypoint, at in zip(KEYPOINTS, order, strict=True):
        x, y = person.keypoints[at] / (WIDTH, HEIGHT) * 100
        drawn.append(point(f"{name}-{keypoint.name}", x, y, keypoint.name, parentID=f"{name}-box"))
    return drawn


HANDS_SWAPPED = [*range(91), *range(112, 133), *range(91, 112)]


def annotation(result: list[Any], number: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "result": result, "created_at": "2026-01-01", "updated_at": "2026-01-01", **more}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check-labels", *arguments])


def checked(folder: Path, *tasks: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    (folder / "export.json").write_text(json.dumps(tasks), "utf-8")
    result = run("--export", "export.json", "--json", "found.json")
    assert result.exit_code == 0, result.output
    return json.loads((folder / "found.json").read_text("utf-8"))["suspicions"], result.stdout


def test_swapped_hands_are_listed_with_task_annotation_and_person(folder: Path) -> None:
    wrong, right = regions(signer(), order=HANDS_SWAPPED), regions(signer())

    (found,), said = checked(
        folder, task(1, annotations=[annotation(right)]), task(2, annotations=[annotation(wrong, 7)])
    )

    assert (found["task"], found["annotation"], found["people"]) == (2, 7, ["p0"])
    assert found["kind"] == "swapped"
    assert "left_index_5" in found["keypoints"]
    assert 0.5 <= found["score"] <= 1
    assert "left and right of the hands are swapped" in said
    assert "2 people in 2 annotations checked: 1 probable mistakes." in said


def test_every_annotation_of_a_task_is_checked_but_skipped_ones(folder: Path) -> None:
    wrong = regions(signer(), order=HANDS_SWAPPED)

    found, _ = checked(
        folder,
        task(
            1,
            annotations=[
                annotation(wrong, 1),
                annotation(wrong, 2),
                annotation(wrong, 3, was_cancelled=True),
            ],
        ),
    )

    assert [one["annotation"] for one in found] == [1, 2]


def test_a_forgotten_point_is_found_with_the_prediction(folder: Path) -> None:
    person = signer()
    bad = person.keypoints.copy()
    bad[91:112] += 80
    predicted = {**annotation(regions(replace(person, keypoints=bad)), 4), "model_version": "v"}
    forgotten = person.keypoints.copy()
    forgotten[95] = bad[95]
    corrected = annotation(regions(replace(person, keypoints=forgotten)), 1, parent_prediction=4)

    found, _ = checked(folder, task(1, annotations=[corrected], predictions=[predicted]))

    assert [one["keypoints"] for one in found if one["kind"] == "left_behind"] == [["left_thumb_4"]]


def test_a_predicted_person_is_missing_only_from_what_was_drawn_by_hand(folder: Path) -> None:
    one, other = signer(250), signer(800)
    predicted = {**annotation([*regions(one), *regions(other, "p1")], 4), "model_version": "v"}
    by_hand = [{**region, "id": f"h{number}"} for number, region in enumerate(regions(one))]
    for region in by_hand[1:]:
        region["parentID"] = "h0"
    deleted = annotation(regions(one), 2, parent_prediction=4)

    found, _ = checked(
        folder,
        task(1, annotations=[annotation(by_hand)], predictions=[predicted]),
        task(2, annotations=[deleted], predictions=[predicted]),
    )

    assert [(found["task"], found["kind"]) for found in found] == [(1, "missing")]


def test_frames_of_a_list_are_compared(folder: Path) -> None:
    person = signer()
    frames = [replace(person, keypoints=person.keypoints + 2 * at) for at in range(4)]
    frames[1].keypoints[13] += (0, -150)
    drawn = [
        {**region, "id": f"f{at}-{region['id']}", "item_index": at, "parentID": f"f{at}-p0-box"}
        for at, frame in enumerate(frames)
        for region in regions(frame)
    ]
    for region in drawn:
        if region["type"] == "rectanglelabels":
            del region["parentID"]

    found, said = checked(folder, task(1, annotations=[annotation(drawn)]))

    assert [(one["kind"], one["frame"], one["keypoints"]) for one in found] == [("jump", 1, ["left_knee"])]
    assert "image, frame 1" in said


def test_a_coco_file_is_checked(folder: Path) -> None:
    wrong = regions(signer(), order=HANDS_SWAPPED)
    (folder / "export.json").write_text(json.dumps([task(3, annotations=[annotation(wrong)])]), "utf-8")
    assert CliRunner().invoke(app, ["export-coco", "coco.json", "--export", "export.json"]).exit_code == 0

    result = run("--annotated", "coco.json", "--json", "found.json")

    (found,) = json.loads((folder / "found.json").read_text("utf-8"))["suspicions"]
    assert result.exit_code == 0
    assert (found["task"], found["people"], found["kind"]) == (3, ["person 1"], "swapped")


@pytest.mark.parametrize("write", [False, True])
async def test_a_project_is_read_and_written_only_on_request(
    folder: Path, monkeypatch: pytest.MonkeyPatch, write: bool
) -> None:
    label_config = CliRunner().invoke(app, ["label-config", "--points"]).stdout
    async with serving_label_studio(2, label_config=label_config) as stub:
        monkeypatch.setenv("LABEL_STUDIO_URL", stub.url)
        monkeypatch.setenv("LABEL_STUDIO_API_TOKEN", TOKEN)
        stub.annotations[1] = [annotation(regions(signer()))]
        stub.annotations[2] = [annotation(regions(signer(), order=HANDS_SWAPPED), 2)]

        result = await asyncio.to_thread(run, "--project", "1", *(["--write"] if write else []))

        assert result.exit_code == 0, result.output
        assert "2 people in 2 annotations checked: 1 probable mistakes." in result.stdout
        assert stub.count("PATCH", "/api/tasks") == (2 if write else 0)
        assert [stub.tasks[task].get("label_check", 0) > 0.5 for task in (1, 2)] == [False, write]


async def test_a_field_of_somebody_else_ends_the_command_with_a_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_label_studio(1) as stub:
        monkeypatch.setenv("LABEL_STUDIO_URL", stub.url)
        monkeypatch.setenv("LABEL_STUDIO_API_TOKEN", TOKEN)
        stub.label_config = CliRunner().invoke(app, ["label-config", "--points"]).stdout
        stub.annotations[1] = [annotation(regions(signer()))]
        stub.tasks[1]["label_check"] = "approved"

        result = await asyncio.to_thread(run, "--project", "1", "--write")

        assert result.exit_code == 1
        assert "Task 1 has a field 'label_check' with other content" in result.output
        assert stub.tasks[1]["label_check"] == "approved"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give one of the three"),
        (["--project", "1", "--export", "a.json"], "give one of the three"),
        (["--export", "a.json", "--write"], "use it with --project only"),
        (["--annotated", "a.json", "--label-config", "c.xml"], "use it with --export only"),
    ],
)
def test_options_that_do_not_fit_are_refused(folder: Path, arguments: list[str], said: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize("option", ["--export", "--annotated"])
@pytest.mark.parametrize("content", [b"", b"[", b"{", b"[{]", b'[{"id": 1}', b"\xff", b"[" * 10_000])
def test_a_broken_file_is_an_error_with_its_name(folder: Path, option: str, content: bytes) -> None:
    (folder / "broken.json").write_bytes(content)

    result = run(option, "broken.json")

    assert result.exit_code == 1
    assert "broken.json" in result.output
    assert "Traceback" not in result.output
