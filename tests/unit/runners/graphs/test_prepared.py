"""Prepared networks are made once, kept, and made again when they are damaged."""

import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from runners.errors import ModelStoreError
from runners.graphs.prepared import find_network_files, network_files
from runners.models.made_files import made_folders, write_whole
from runners.models.manifest import RTMPOSE_S_HALPE26, YOLOX_TINY
from runners.plan import PlannedNetwork
from tests.unit.runners.graphs.test_simcc import small_pose
from tests.unit.runners.graphs.test_yolox import small_yolox

DIGEST = "ab" * 32


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlannedNetwork:
    """A pose network in a model store of its own, on a machine with temporary files of its own."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    store = tmp_path / "store"
    store.mkdir()
    onnx.save(small_pose(), str(store / "pose.onnx"))
    return PlannedNetwork("body", RTMPOSE_S_HALPE26, store / "pose.onnx", DIGEST, "onnxruntime", "f32")


def test_a_network_is_prepared_once_and_the_file_says_of_which_weights_and_by_which_version(
    network: PlannedNetwork,
) -> None:
    assert find_network_files(network) is None
    made = network_files(network)
    assert made.prepared
    (file,) = made.files
    assert file.parent == network.path.parent / "prepared"
    assert file.name == "pose.abababababab.v1.onnx"
    written = file.stat().st_mtime_ns
    assert network_files(network) == find_network_files(network) == made
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["cut off", "gone", "other bytes"])
def test_a_damaged_file_is_made_again(network: PlannedNetwork, damage: str) -> None:
    (file,) = network_files(network).files
    content = file.read_bytes()
    match damage:
        case "cut off":
            file.write_bytes(content[:100])
        case "gone":
            file.unlink()
        case _:
            file.write_bytes(content[:-1] + b"!")
    assert find_network_files(network) is None
    assert network_files(network).files == (file,)
    assert file.read_bytes() == content


def test_nothing_unfinished_stays_behind(network: PlannedNetwork) -> None:
    (file,) = network_files(network).files
    assert sorted(path.name for path in file.parent.iterdir()) == [f"{file.stem}.json", file.name]


def test_a_network_in_mixed_precision_is_prepared_in_two_parts(network: PlannedNetwork) -> None:
    onnx.save(small_yolox(), str(network.path))
    whole = replace(network, name="person", file=YOLOX_TINY)
    made = network_files(replace(whole, precision="mixed"))
    assert made.prepared
    assert len(made.files) == 2
    assert all(".cut." in file.name for file in made.files)
    assert not {file.name for file in made.files} & {file.name for file in network_files(whole).files}


def test_networks_of_other_tasks_are_used_as_they_are(network: PlannedNetwork) -> None:
    made = network_files(replace(network, name="hand"))
    assert (made.prepared, made.files) == (False, (network.path,))
    assert not (network.path.parent / "prepared").exists()


def test_a_network_that_cannot_be_prepared_is_used_as_it_is_and_the_log_says_why_each_time(
    network: PlannedNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    onnx.save(small_pose(outputs=("x", "heatmap")), str(network.path))
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            made = network_files(network)
        assert (made.prepared, made.files) == (False, (network.path,))
        assert "pose.onnx runs unprepared: its outputs are x, heatmap" in caplog.text


def test_where_the_model_store_cannot_be_written_to_a_private_folder_is_used(network: PlannedNetwork) -> None:
    (network.path.parent / "prepared").write_text("in the way, as a read-only file system would be")
    (file,) = network_files(network).files
    assert file.parent == Path(tempfile.gettempdir()) / f"rtmlib-ml-backend-{os.getuid()}"
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert find_network_files(network) is not None


def test_a_folder_that_others_can_write_to_is_not_used(network: PlannedNetwork) -> None:
    (network.path.parent / "prepared").write_text("in the way")
    foreign = Path(tempfile.gettempdir()) / f"rtmlib-ml-backend-{os.getuid()}"
    foreign.mkdir()
    foreign.chmod(0o777)
    with pytest.raises(ModelStoreError, match=r"cannot be written to .*/store/prepared \(File exists"):
        network_files(network)
    assert not list(foreign.iterdir())


def test_a_link_in_place_of_that_folder_is_not_followed(network: PlannedNetwork, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (Path(tempfile.gettempdir()) / f"rtmlib-ml-backend-{os.getuid()}").symlink_to(elsewhere)
    assert made_folders(network.path.parent) == (network.path.parent / "prepared",)


def test_the_better_folder_is_written_to_first(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert write_whole([first, second], {"a": b"1", "b": b"2"}) == first
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {"a": b"1", "b": b"2"}
    assert not second.exists()
