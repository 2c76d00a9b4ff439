"""What the service depends on is broken, for real: nothing hangs, and the reason is told."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.http.example import draw_figure
from runners.models.manifest import EMBEDDED
from runners.models.store import ModelStore
from tests.conftest import Within
from tests.service.conftest import StartServer
from tests.service.picture_server import PictureServer, serving
from tests.service.server import Server, command, environment, free_port

TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.promise("endless-inference-ended")
class TestANetworkThatNeverReturns:
    def test_its_process_is_replaced_and_the_picture_is_answered(
        self,
        start_server: StartServer,
        pictures: PictureServer,
        new_figure: Callable[[], str],
        tmp_path: Path,
        within: Within,
    ) -> None:
        trigger = tmp_path / "hang"
        server = start_server(
            service="tests.service.hanging:Backend", ALLOWED_IMAGE_HOSTS="127.0.0.1", HANG_ONCE=str(trigger)
        )
        try:
            assert server.predict(new_figure())[0]["result"]
            hung = server.worker("pose_runner")
            trigger.touch()

            with within(max(30, 20 + 2 * server.start_s)):
                (slot,) = server.predict(new_figure())

            assert not trigger.exists(), "the network was reached"
            assert slot["result"], "asked again when its process was replaced"
            assert server.worker("pose_runner").pid != hung.pid
        finally:
            server.stop()


@pytest.fixture(scope="module")
def label_studio() -> Iterator[PictureServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def labelling(start_server: StartServer, label_studio: PictureServer) -> Server:
    """A server that has its pictures from this Label Studio."""
    return start_server(LABEL_STUDIO_URL=label_studio.url, LABEL_STUDIO_API_TOKEN=TOKEN)


class TestLabelStudio:
    """Label Studio as the place that the pictures come from."""

    @staticmethod
    def failures(server: Server, number: int) -> list[dict[str, Any]]:
        return server.ask("GET", "/status").json["last_failures"][-number:]

    @pytest.mark.promise("refusals-explained-once")
    @pytest.mark.parametrize(
        ("status", "reason", "said"),
        [(401, "unauthorized", "rejects the legacy token"), (500, "server_error", "returned 500")],
    )
    def test_a_refusal_is_explained_and_nothing_is_asked_again_and_again(
        self,
        labelling: Server,
        label_studio: PictureServer,
        *,
        status: int,
        reason: str,
        said: str,
        within: Within,
    ) -> None:
        paths = [f"/data/upload/{status}/{number}.png" for number in range(10)]
        label_studio.statuses.update(dict.fromkeys(paths, status))
        label_studio.asked.clear()

        with within(10):
            assert labelling.predict(*paths) == [[]] * len(paths)

        assert sorted(label_studio.asked) == sorted(paths), "once for each picture"
        for failure in self.failures(labelling, len(paths)):
            assert failure["reason"] == reason
            assert said in failure["detail"]

    @pytest.mark.promise("silent-picture-server")
    def test_one_that_never_answers_costs_its_pictures_and_not_the_others(
        self, labelling: Server, label_studio: PictureServer, tmp_path: Path, within: Within
    ) -> None:
        draw_figure().save(tmp_path / "figure.png")
        label_studio.add("/data/upload/1/figure.png", (tmp_path / "figure.png").read_bytes())
        started = time.monotonic()

        with within(25):  # ten seconds of silence
            silent, good = labelling.predict("/slow", "/data/upload/1/figure.png")

        assert silent == []
        assert good["result"]
        assert time.monotonic() - started > 5
        (failure,) = self.failures(labelling, 1)
        assert failure["reason"] == "timeout"
        assert "timed out" in failure["detail"]

    @pytest.mark.promise("dead-picture-server")
    def test_one_that_is_down_is_named_at_once(self, start_server: StartServer, within: Within) -> None:
        server = start_server(
            LABEL_STUDIO_URL=f"http://127.0.0.1:{free_port()}", LABEL_STUDIO_API_TOKEN=TOKEN
        )
        try:
            with within(5):
                assert server.predict(*["/data/upload/1/a.png"] * 20) == [[]] * 20
            for failure in self.failures(server, 20):
                assert failure["reason"] == "unreachable"
                assert "Connection refused" in failure["detail"]
            assert server.is_ready(), "others may still send pictures"
        finally:
            server.stop()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, that can be full or read-only."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    if sys.platform != "linux":
        pytest.skip("mounts a tmpfs, which is Linux")
    with small_disk(tmp_path / "disk", "64m") as folder:
        yield folder


def read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def start_and_fail(folder: Path, **settings: str) -> str:
    """Start a server that cannot start; returns what it said."""
    ended = subprocess.run(
        command(),
        env=environment(folder, {"BACKEND_PORT": str(free_port()), **settings}),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode
    assert "Traceback" not in ended.stdout
    return ended.stdout.strip()


@pytest.mark.root
class TestTheDiskOfTheNetworks:
    @pytest.mark.promise("full-disk")
    def test_a_full_one_stops_the_start_with_one_sentence(self, disk: Path, tmp_path: Path) -> None:
        free = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(bytes(free - 2**20))

        said = start_and_fail(tmp_path, MODEL_CACHE_DIR=str(disk / "models"))

        lines = [line for line in said.splitlines() if "Fetching" not in line]
        assert len(lines) == 1
        assert "The model store lacks" in lines[0]
        assert "are free" in lines[0]

    @pytest.mark.promise("read-only-disk-without-models")
    def test_a_read_only_one_without_the_networks_stops_the_start_with_one_sentence(
        self, disk: Path, tmp_path: Path
    ) -> None:
        read_only(disk)
        (line,) = start_and_fail(tmp_path, MODEL_CACHE_DIR=str(disk)).splitlines()
        assert "The model store lacks" in line
        assert "Read-only file system" in line

    @pytest.mark.promise("read-only-disk-with-models")
    def test_a_read_only_one_with_the_networks_is_enough(
        self, start_server: StartServer, model_store: ModelStore, disk: Path, new_figure: Callable[[], str]
    ) -> None:
        for model in EMBEDDED.values():
            shutil.copy(model_store.path(model), disk)
        read_only(disk)
        server = start_server(MODEL_CACHE_DIR=str(disk), ALLOWED_IMAGE_HOSTS="127.0.0.1")
        try:
            assert server.predict(new_figure())[0]["result"]
        finally:
            server.stop()


class TestTheFileOfANetwork:
    @pytest.mark.promise("swapped-model-file")
    def test_one_that_is_swapped_while_the_service_runs_is_never_loaded(
        self,
        start_server: StartServer,
        model_store: ModelStore,
        tmp_path: Path,
        new_figure: Callable[[], str],
    ) -> None:
        store = ModelStore(tmp_path / "models")
        store.root.mkdir()
        for model in EMBEDDED.values():
            shutil.copy(model_store.path(model), store.root)
        # Where another copy is at hand, as in a house with rtmlib; else it comes from the package index.
        elsewhere = tmp_path / "torch" / "hub" / "checkpoints"
        elsewhere.mkdir(parents=True)
        shutil.copy(store.path(EMBEDDED["body"]), elsewhere)
        server = start_server(
            MODEL_CACHE_DIR=str(store.root),
            ALLOWED_IMAGE_HOSTS="127.0.0.1",
            TORCH_HOME=str(tmp_path / "torch"),
        )
        try:
            before = server.predict(new_figure())
            body, hand = EMBEDDED["body"], EMBEDDED["hand"]
            shutil.copy(store.path(hand), store.path(body))  # a network, but another one
            assert server.predict(new_figure())[0]["result"], "what is loaded goes on"
            server.worker("pose_runner").kill()

            (slot,) = server.predict(new_figure())

            assert slot["result"]
            assert slot["model_version"] == before[0]["model_version"]
            assert store.state(body) == "ok", "it was fetched again"
            assert "is damaged or changed; fetching it again" in server.log()
        finally:
            server.stop()

    @pytest.mark.promise("truncated-model-file")
    def test_one_that_was_cut_off_and_cannot_be_had_again_stops_the_start_with_one_sentence(
        self, model_store: ModelStore, tmp_path: Path
    ) -> None:
        store = ModelStore(tmp_path / "models")
        store.root.mkdir()
        for model in EMBEDDED.values():
            shutil.copy(model_store.path(model), store.root)
        cut_off = store.path(EMBEDDED["person"])
        cut_off.write_bytes(cut_off.read_bytes()[:-1000])
        nowhere = f"http://127.0.0.1:{free_port()}/simple"

        said = start_and_fail(
            tmp_path,
            MODEL_CACHE_DIR=str(store.root),
            PIP_INDEX_URL=nowhere,
            PIP_RETRIES="0",
            TORCH_HOME="/dev/null",
        )

        *before, last = said.splitlines()
        assert "The model store lacks" in last
        assert cut_off.name in last
        assert all("fetching it again" in line or "Fetching" in line for line in before)
