"""`rtmlib-backend predict CLIP…`: every frame as JSON, in files and drawn; stopped and resumed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pose_format import Pose
from typer.testing import CliRunner

from adapters.cli.app import app
from adapters.http.example import draw_figure
from runners.models.store import ModelStore
from tests.support.clips import RATE, SIZE, Walker, displayed, encoded, scene, walking

pytestmark = pytest.mark.models

FRAMES = 20
WALKERS = [Walker(lambda time: 200 + 40 * time)]
MIRRORED = (-1, 0, 0, 1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip, the same stored mirrored, a picture, and a clip that is none."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "walk.mp4").write_bytes(walking(WALKERS, FRAMES / RATE))
    stored = [np.ascontiguousarray(scene(WALKERS, i / RATE)[:, ::-1]) for i in range(FRAMES)]
    (folder / "mirrored.mov").write_bytes(displayed(encoded(stored), MIRRORED))
    draw_figure().save(folder / "figure.png")
    (folder / "broken.webm").write_bytes(b"no clip")
    return folder


@pytest.fixture
def predict(model_store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("MODEL_CACHE_DIR", str(model_store.root))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_a_clip_becomes_a_line_of_json_for_each_frame_mirrored_or_not(
    predict: CliRunner, clips: Path
) -> None:
    names = [str(clips / "walk.mp4"), str(clips / "mirrored.mov")]
    result = predict.invoke(app, ["predict", *names, "--json"])

    assert result.exit_code == 0, result.output
    frames = lines(result.stdout)
    assert [frame["frame"] for frame in frames] == [*range(FRAMES)] * 2
    assert [frame["clip"] for frame in frames] == [name for name in names for _ in range(FRAMES)]
    assert [frame["time"] for frame in frames[:FRAMES]] == pytest.approx(
        [i / RATE for i in range(FRAMES)], abs=1e-3
    )
    assert {(frame["width"], frame["height"]) for frame in frames} == {SIZE}
    for upright, mirrored in zip(frames[:FRAMES], frames[FRAMES:], strict=True):
        (one,), (other,) = upright["people"], mirrored["people"]
        assert set(one) == {"id", "box", "score", "keypoints", "interpolated"}
        assert one["id"] == other["id"] == "p0"
        assert len(one["keypoints"]) > 80
        assert set(one["interpolated"]) <= one["keypoints"].keys()
        for name in ("left_shoulder", "right_wrist", "nose"):
            assert one["keypoints"][name][:2] == pytest.approx(other["keypoints"][name][:2], abs=5)
    moved = (
        frames[FRAMES - 1]["people"][0]["keypoints"]["nose"][0]
        - frames[0]["people"][0]["keypoints"]["nose"][0]
    )
    assert moved == pytest.approx(40 * (FRAMES - 1) / RATE, abs=4)


def test_a_part_of_a_clip_is_predicted_raw(predict: CliRunner, clips: Path) -> None:
    options = ["--json", "--raw", "--start", "0.2", "--end", "0.6", "--every", "3"]
    result = predict.invoke(app, ["predict", str(clips / "walk.mp4"), *options])

    assert result.exit_code == 0, result.output
    assert [frame["frame"] for frame in lines(result.stdout)] == [5, 8, 11, 14]
    assert all(person["interpolated"] == [] for frame in lines(result.stdout) for person in frame["people"])


def test_a_codec_that_browsers_do_not_show_is_named(predict: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(encoded([scene([], 0.0)] * 2, codec="mpeg4"))
    result = predict.invoke(app, ["predict", "old.mp4", "--json"])

    assert result.exit_code == 0, result.output
    assert "old.mp4: No browser shows MPEG-4 Visual" in result.stderr
    assert [frame["frame"] for frame in lines(result.stdout)] == [0, 1]


def test_a_folder_is_written_in_all_forms_and_resumed_at_the_first_missing_file(
    predict: CliRunner, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "few").mkdir()
    for name in ("walk.mp4", "figure.png", "broken.webm"):
        (tmp_path / "few" / name).write_bytes((clips / name).read_bytes())
    arguments = ["predict", "few", "--overlay", "drawn", "--on-black", "--format", "pose", "--format", "csv",
                 "--out", "files"]  # fmt: skip
    result = predict.invoke(app, arguments)

    assert result.exit_code == 1, "one is no clip"
    assert "few/broken.webm: The file is neither MP4 (MOV) nor WebM" in result.stderr
    assert f"3 inputs, 2 of them clips: {FRAMES} frames predicted, 1 failed." in result.stderr
    assert f"walk.mp4: {FRAMES} frames, 720 × 320, 25 a second, 1 person" in result.stdout
    written = sorted(file.name for folder in ("drawn", "files") for file in (tmp_path / folder).iterdir())
    assert written == ["figure.png", "walk.csv", "walk.mp4", "walk.pose"]
    pose = Pose.read((tmp_path / "files" / "walk.pose").read_bytes())
    assert (len(pose.body.data), pose.body.fps) == (FRAMES, pytest.approx(RATE))
    with av.open(str(tmp_path / "drawn" / "walk.mp4")) as overlay:
        pictures = [frame.to_ndarray(format="rgb24") for frame in overlay.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(SIZE[1], SIZE[0], 3)] * FRAMES
    dark = np.mean([(picture < 40).all(axis=2).mean() for picture in pictures])
    assert 0.7 < dark < 0.99, "only the skeleton"

    (tmp_path / "few" / "figure.png").unlink()
    (tmp_path / "few" / "broken.webm").rename(tmp_path / "few" / "again.mp4")
    again = predict.invoke(app, arguments)
    assert "few/walk.mp4: done before. Remove files/walk.pose to do it again." in again.stderr
    assert ": 0 frames predicted, 1 failed." in again.stderr


def test_ctrl_c_leaves_whole_lines_and_no_unfinished_file(model_store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "long.mp4").write_bytes(encoded([scene([Walker(lambda _: 200)], 0.0)] * 100, rate=10))
    command = [
        "predict",
        "long.mp4",
        "--json",
        "--overlay",
        "long-drawn.mp4",
        "--format",
        "coco",
        "--out",
        ".",
    ]
    root = Path(__file__).parents[4]
    process = subprocess.Popen(
        [sys.executable, "-m", "adapters.cli", *command],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(root), "MODEL_CACHE_DIR": str(model_store.root), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=120)

    assert process.returncode == 130, errors
    frames = lines(first + rest)
    assert 0 < len(frames) < 100
    assert [frame["frame"] for frame in frames] == list(range(len(frames)))
    assert [file.name for file in tmp_path.iterdir()] == ["long.mp4"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("figure.png", "--raw"), "the options for clips need one"),
        (("walk.mp4", "--format", "pose"), "--format and --out belong together"),
        (("walk.mp4", "--on-black"), "name a file or folder with --overlay"),
        (("walk.mp4", "--start", "2", "--end", "1"), "it must be later than --start"),
        (("walk.mp4", "--overlay", "drawn.png"), "a clip is drawn into .mp4"),
        (("figure.png", "--overlay", "drawn.mp4"), "a picture into .png"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_computed(
    predict: CliRunner, arguments: tuple[str, ...], said: str
) -> None:
    result = predict.invoke(app, ["predict", *arguments])

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""
