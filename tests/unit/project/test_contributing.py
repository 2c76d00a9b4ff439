"""What CONTRIBUTING.md says is all that a new network, engine or setting takes: done in a copy of the code."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from runners.models.manifest import YOLOX_TINY
from runners.models.store import ModelStore
from tests.support.archive_server import ArchiveServer, make_archive
from tests.unit.runners.graphs.test_simcc import small_pose

ROOT = Path(__file__).parents[3]
PARTS = ("adapters", "runners", "wholebody", "tests/unit/runners/engines", "tests/support")
FILES = ("tests/conftest.py", "pyproject.toml", "NOTICE", "CONTRIBUTING.md")

ENGINE = """
import numpy as np
from onnx.reference import ReferenceEvaluator


class ExampleGraph:
    def __init__(self, file, precision, place):
        self._graph = ReferenceEvaluator(str(file))

    def run(self, *inputs):
        return self._graph.run(None, dict(zip(self._graph.input_names, map(np.ascontiguousarray, inputs))))
"""

RUN = """
from pathlib import Path
import numpy as np
from runners.config import RunnerConfig
from runners.pipeline import load
from runners.plan import fetch
plan = fetch(RunnerConfig("example", "cpu", 1, Path("store")))
width, height = plan.files["body"].input_size
crops = np.zeros((2, height, width, 3), np.uint8)
print(plan.version, np.shape(load(plan.networks["body"], plan.config)(crops)))
"""


class Copy:
    """A copy of the code, in which only those files can be changed that a section of CONTRIBUTING.md names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in PARTS:
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in FILES:
            shutil.copy(ROOT / file, folder / file)
        self._named: set[str] = set()

    def follow(self, section: str) -> None:
        text = (self.folder / "CONTRIBUTING.md").read_text(encoding="utf-8")
        _, _, after = text.partition(f"## {section}\n")
        assert after, f"there is no section {section}"
        self._named = set(re.findall(r"`([\w./]+)`", after.partition("\n## ")[0]))

    def write(self, file: str, content: str, name: str = "") -> None:
        assert (name or file) in self._named
        (self.folder / file).write_text(content, encoding="utf-8")

    def insert(self, file: str, before: str, text: str) -> None:
        content = (self.folder / file).read_text(encoding="utf-8")
        assert content.count(before) == 1
        self.write(file, content.replace(before, text + before))

    def run(self, *command: str) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder),
            "COLUMNS": "300",
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [sys.executable, *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.folder,
            env=environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    server = ArchiveServer()
    yield server
    server.close()


@pytest.mark.models
def test_a_network_is_listed_fetched_and_run(
    copy: Copy, server: ArchiveServer, model_store: ModelStore
) -> None:
    model = small_pose()
    size = [one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim]
    onnx.save(model, str(copy.folder / "end2end.onnx"))
    site = server.add("/example.zip", make_archive((copy.folder / "end2end.onnx").read_bytes()))
    store = copy.folder / "store"
    store.mkdir()
    (store / YOLOX_TINY.filename).symlink_to(model_store.path(YOLOX_TINY))

    copy.follow("Add a network")
    copy.insert("runners/config.py", ']\n"""A set of networks', ', "example"')
    copy.insert(
        "runners/models/manifest.py",
        "MODES: Mapping",
        f"""EXAMPLE = replace(
    RTMW_M,
    name="example",
    source=ZipMember(({site.url!r},), OPENMMLAB_MEMBER),
    input_size=({size[3]}, {size[2]}),
)
""",
    )
    copy.insert(
        "runners/models/manifest.py",
        '        "embedded": EMBEDDED',
        '        "example": {"person": YOLOX_TINY, "body": EXAMPLE},\n',
    )

    assert re.match(r"rtmlib-example-[0-9a-f]{8} \(2, \d+, 3\)", copy.run("-c", RUN))
    listed = copy.run("-m", "adapters.cli", "models", "list", "--mode", "example", "--cache-dir", "store")
    assert re.search(r"│ example +│ example +│ .*│ ok +│", listed)


def test_an_engine_is_accepted_and_tested(copy: Copy) -> None:
    copy.follow("Add an engine")
    copy.write("runners/engines/example.py", ENGINE, name="runners/engines/NAME.py")
    copy.insert(
        "runners/engines/__init__.py",
        '    "opencv": Engine(',
        '    "example": Engine("onnx", "runners.engines.example:ExampleGraph", {"cpu": ("f32",)}),\n',
    )
    copy.insert("runners/config.py", ']\n"""The inference engine; `runners', ', "example"')

    assert "`opencv`, `example`" in copy.run("-m", "adapters.settings_table")
    tests = copy.run("-m", "pytest", "-q", "tests/unit/runners/engines/test_engines.py", "-k", "example")
    assert re.search(r"^4 passed", tests, re.MULTILINE)


def test_a_setting_is_in_the_table(copy: Copy) -> None:
    copy.follow("Add an image source, a metric, a setting")
    field = '    example: int = Field(3, description="An example.")\n'
    copy.insert("adapters/settings.py", "    mode: Mode", field)
    assert "| `EXAMPLE` | `3` | An example. |" in copy.run("-m", "adapters.settings_table")
