"""The image, run as Kubernetes runs it: UID 1000, read-only root, no capabilities, limits. See `make image-check`."""

import base64
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.clips import Walker, walking

IMAGE = os.environ.get("RTMLIB_IMAGE", "")
MEBIBYTE = 2**20
LABEL_CONFIG = """<View><Image name="image" value="$image"/>
<KeyPointLabels name="points" toName="image"><Label value="nose"/></KeyPointLabels>
<RectangleLabels name="boxes" toName="image"><Label value="person"/></RectangleLabels></View>"""
CLIP_CONFIG = """<View><Video name="video" value="$video" frameRate="25"/>
<VideoRectangle name="box" toName="video"/>
<Labels name="labels" toName="video"><Label value="person"/></Labels></View>"""

AS_DEPLOYED = "onnxruntime"
"""The engine that the overlays ask for."""

pytestmark = pytest.mark.skipif(not IMAGE, reason="needs an image: make image-check builds one and runs this")


def podman(*arguments: str, timeout: float = 120) -> str:
    result = subprocess.run(
        ["podman", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@dataclass(frozen=True)
class Container:
    name: str
    port: int
    seconds_to_ready: float

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}"))

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        return self._ask(
            urllib.request.Request(
                f"http://127.0.0.1:{self.port}{path}",
                json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )
        )

    def _ask(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=110) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def run(self, *command: str) -> tuple[int, str]:
        result = subprocess.run(
            ["podman", "exec", self.name, *command], capture_output=True, text=True, timeout=60, check=False
        )
        return result.returncode, result.stdout + result.stderr

    def memory(self) -> "Memory":
        """What the container holds now."""
        identity = podman("inspect", "--format", "{{.Id}}", self.name)
        group = f"libpod_parent/libpod-{identity}"
        for folder, usage, read_once, own in [
            (f"/sys/fs/cgroup/memory/{group}", "memory.usage_in_bytes", "total_inactive_file", "total_rss"),
            (f"/sys/fs/cgroup/{group}", "memory.current", "inactive_file", "anon"),
        ]:
            if (Path(folder) / usage).exists():
                stat = (Path(folder) / "memory.stat").read_text().splitlines()
                values = dict(line.split() for line in stat)
                return Memory(
                    int((Path(folder) / usage).read_text()) - int(values[read_once]), int(values[own])
                )
        pytest.skip("no control group of the container on this machine")


@dataclass(frozen=True)
class Memory:
    """Memory of a container, in bytes.

    Attributes:
        working_set: What metrics-server reports, and so what the autoscaler compares: all but the files that were read
            once, so networks, libraries and what lies in a tmpfs count too.
        processes: The part of it that is the processes' own.
    """

    working_set: int
    processes: int

    def __str__(self) -> str:
        return (
            f"{self.working_set / MEBIBYTE:.0f} MiB, of it the processes {self.processes / MEBIBYTE:.0f} MiB"
        )


def start(name: str, port: int, engine: str) -> Container:
    subprocess.run(
        ["podman", "rm", "--force", "--time", "5", name], capture_output=True, timeout=60, check=False
    )
    started = time.monotonic()
    podman(
        "run", "--detach", "--name", name, "--network", "host",
        "--user", "1000:1000", "--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp:rw,size=1g,mode=1777",
        "--cap-drop", "all", "--security-opt", "no-new-privileges",
        "--memory", "2g", "--cpus", "2", "--pids-limit", "400",
        "--env", f"BACKEND_PORT={port}", "--env", "MODE=embedded", "--env", f"BACKEND_TYPE={engine}",
        "--env", "HOME=/tmp", "--env", "BENTOML_HOME=/tmp/bentoml", IMAGE,
    )  # fmt: skip
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
                assert response.status == 200
                return Container(name, port, time.monotonic() - started)
        except OSError:
            state = podman("inspect", "--format", "{{.State.Status}}", name)
            if state == "exited" or time.monotonic() - started > 120:
                pytest.fail(f"{name} is {state} and not ready:\n{said_by(name)}")
            time.sleep(0.1)


def said_by(name: str) -> str:
    """The log of a container: what it wrote on both of its outputs."""
    result = subprocess.run(["podman", "logs", name], capture_output=True, text=True, timeout=60, check=True)
    return result.stdout + result.stderr


@contextmanager
def running(name: str, port: int, engine: str) -> Iterator[Container]:
    try:
        yield start(name, port, engine)
    finally:
        podman("rm", "--force", "--time", "30", name)


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    with running("rtmlib-image-check", 29190, AS_DEPLOYED) as started:
        yield started


@pytest.fixture(scope="module")
def photograph(root: Path) -> bytes:
    path = root.parent / "shared/photos/football_demo.jpg"
    if not path.exists():
        pytest.skip("no photograph: the folder shared/photos is not beside this checkout")
    return path.read_bytes()


def prediction_request(photograph: bytes, number: int = 0) -> dict[str, Any]:
    """A request; with each number another file that shows the same, so that no cache knows the answer."""
    picture = "data:image/jpeg;base64," + base64.b64encode(photograph + bytes(number)).decode()
    return {"tasks": [{"id": 1, "data": {"image": picture}}], "label_config": LABEL_CONFIG, "project": "1.1"}


def regions_of(answer: tuple[int, bytes]) -> list[dict[str, Any]]:
    status, body = answer
    assert status == 200, body
    (slot,) = json.loads(body)["results"]
    return (slot[0] if isinstance(slot, list) else slot)["result"]


def noses_in(regions: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Where the noses are, in percent of the picture, from left to right."""
    return sorted((r["value"]["x"], r["value"]["y"]) for r in regions if r["type"] == "keypointlabels")


def load(container: Container, photograph: bytes) -> None:
    """48 predictions by 8 callers."""

    def predict(number: int) -> int:
        return container.post("/predict", prediction_request(photograph, number))[0]

    with ThreadPoolExecutor(8) as callers:
        assert set(callers.map(predict, range(1, 49))) == {200}


def test_is_ready_soon_without_fetching_anything(container: Container, report: list[str]) -> None:
    report.append(f"start to ready, networks baked in: {container.seconds_to_ready:.1f} s")
    assert container.seconds_to_ready < 60
    assert "Fetching" not in said_by(container.name)


def test_is_not_large(report: list[str]) -> None:
    size = int(podman("image", "inspect", "--format", "{{.Size}}", IMAGE))
    report.append(f"size of the image: {size / 1e6:.0f} MB")
    assert size < 1050e6, (
        "see what has come with an update: `.ci/image/dockerfile.py` removes what no request needs"
    )


def test_rests_in_little_memory(container: Container, report: list[str]) -> None:
    time.sleep(5)
    memory = container.memory()
    report.append(f"memory at rest: {memory}")
    assert memory.working_set < 1000 * MEBIBYTE


def test_runs_without_privileges(container: Container) -> None:
    pid = podman("inspect", "--format", "{{.State.Pid}}", container.name)
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    assert status["Uid"].split() == ["1000"] * 4
    assert status["CapEff"].strip() == "0" * 16
    assert status["NoNewPrivs"].strip() == "1"


@pytest.mark.parametrize("folder", ["/", "/app", "/home/bentoml", "/home/bentoml/bento", "/var", "/etc"])
def test_can_write_nowhere_but_tmp(container: Container, folder: str) -> None:
    code, output = container.run("touch", f"{folder}/written")
    assert code != 0, output
    assert container.run("touch", "/tmp/written")[0] == 0


def test_holds_one_opencv_and_one_onnx_runtime(container: Container) -> None:
    code = "from importlib.metadata import distributions as d; print(*sorted({x.name.lower() for x in d()}))"
    status, output = container.run("python", "-c", code)
    assert status == 0, output
    assert [name for name in output.split() if name.startswith(("opencv", "onnxruntime"))] == [
        "onnxruntime",
        "opencv-python-headless",
    ]


@pytest.mark.parametrize("program", ["gcc", "cc", "g++", "make", "git"])
def test_holds_no_compiler(container: Container, program: str) -> None:
    assert container.run("sh", "-c", f"command -v {program}")[0] != 0


@pytest.mark.parametrize(
    "path", ["/health", "/versions", "/status", "/livez", "/readyz", "/metrics", "/", "/docs.json"]
)
def test_answers(container: Container, path: str) -> None:
    assert container.get(path)[0] == 200


def test_predicts_a_photograph(container: Container, photograph: bytes, report: list[str]) -> None:
    regions = regions_of(container.post("/predict", prediction_request(photograph)))
    noses = noses_in(regions)
    people = [region for region in regions if region["type"] == "rectanglelabels"]
    report.append(f"people in the photograph: {len(people)}, noses: {len(noses)}")
    assert len(people) >= 3
    assert len(noses) >= 3


def test_reads_a_clip(container: Container) -> None:
    clip = walking([Walker(lambda t: 20 + 150 * t)], 1)
    address = "data:video/mp4;base64," + base64.b64encode(clip).decode()
    body = {"tasks": [{"id": 1, "data": {"video": address}}], "label_config": CLIP_CONFIG, "project": "2.1"}
    (region,) = regions_of(container.post("/predict", body))
    first, *_, last = region["value"]["sequence"]
    # The figure moves by 150 pixels of 720 in a second.
    moved = 100 * 150 * (last["frame"] - first["frame"]) / 25 / 720
    assert last["x"] - first["x"] == pytest.approx(moved, abs=3)


def test_keeps_to_its_memory_under_load(container: Container, photograph: bytes, report: list[str]) -> None:
    load(container, photograph)
    after = container.memory()
    report.append(f"memory after 48 predictions by 8 callers: {after}")
    # Three quarters of the limit that it runs under.
    assert after.working_set < 0.75 * 2048 * MEBIBYTE


@pytest.mark.parametrize("engine", ["auto", "openvino", "opencv"])
def test_sees_the_same_with_every_engine(
    container: Container, photograph: bytes, report: list[str], engine: str
) -> None:
    expected = noses_in(regions_of(container.post("/predict", prediction_request(photograph))))
    with running(f"rtmlib-image-check-{engine}", 29192, engine) as other:
        at_rest = other.memory()
        found = noses_in(regions_of(other.post("/predict", prediction_request(photograph))))
        networks = json.loads(other.get("/status")[1])["networks"]
        load(other, photograph)
        after = other.memory()
    engines = sorted({network["engine"] for network in networks})
    report.append(
        f"BACKEND_TYPE={engine} ({', '.join(engines)}): ready in {other.seconds_to_ready:.1f} s; at rest {at_rest}; "
        f"after the same load {after}"
    )
    assert engine in {"auto", *engines}
    # Percent of the picture; faster precisions move keypoints a little.
    assert [x for x, _ in found] == pytest.approx([x for x, _ in expected], abs=0.5)
    assert [y for _, y in found] == pytest.approx([y for _, y in expected], abs=0.5)
    assert after.working_set < 0.75 * 2048 * MEBIBYTE


def test_ends_cleanly_on_sigterm(report: list[str]) -> None:
    with running("rtmlib-image-check-stop", 29191, AS_DEPLOYED) as stopped:
        started = time.monotonic()
        podman("stop", "--time", "30", stopped.name)
        report.append(f"SIGTERM to the end: {time.monotonic() - started:.1f} s")
        assert time.monotonic() - started < 25
        assert podman("inspect", "--format", "{{.State.ExitCode}}", stopped.name) == "0"


@pytest.fixture(scope="module")
def report() -> Iterator[list[str]]:
    """What was measured; printed at the end, and kept in build/image-check.txt."""
    lines: list[str] = []
    yield lines
    path = Path(__file__).parents[2] / "build" / "image-check.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
