"""What is packed for a machine that can fetch nothing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bundle import SOURCE, Contents, exported, locked_requirements, pack
from benchmarks.bundle_check import missing_packages
from benchmarks.gpu_use import gpu_use, parsed
from benchmarks.stand_ins import NAMES
from runners.models.manifest import MODES

REPOSITORY = Path(__file__).parents[3]

EXPORT = """\
# a comment
async-timeout==5.0.1 ; python_full_version < '3.11.3' \\
    --hash=sha256:aa
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:bb
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:cc \\
    --hash=sha256:dd
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:ee
nvidia-cudnn-cu13==9.28.1.4 ; platform_machine == 'x86_64' and sys_platform == 'linux' \\
    --hash=sha256:ff
"""


def test_requirements_are_those_of_the_other_machine():
    assert locked_requirements(EXPORT, "3.12") == [
        "numpy==2.5.5 --hash=sha256:ee",
        "nvidia-cudnn-cu13==9.28.1.4 --hash=sha256:ff",
    ]


def test_what_only_some_patch_releases_need_keeps_its_marker():
    assert locked_requirements(EXPORT, "3.11") == [
        'async-timeout==5.0.1 ; python_full_version < "3.11.3" --hash=sha256:aa',
        "numpy==2.4.6 --hash=sha256:cc --hash=sha256:dd",
        "nvidia-cudnn-cu13==9.28.1.4 --hash=sha256:ff",
    ]


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not on the PATH")
@pytest.mark.parametrize(
    ("device", "there", "not_there"),
    [
        ("cuda", {"onnxruntime-gpu", "nvidia-cublas"}, {"onnxruntime"}),
        ("cpu", {"onnxruntime"}, {"onnxruntime-gpu"}),
    ],
)
def test_each_device_has_one_onnx_runtime_and_what_the_benchmarks_need(
    device: str, there: set[str], not_there: set[str]
):
    lines = locked_requirements(exported(device, REPOSITORY), "3.12")

    names = [line.partition("==")[0] for line in lines]
    assert there | {"bentoml", "flask", "matplotlib", "pip", "rtmlib"} <= set(names)
    assert not not_there & set(names)
    assert len(names) == len(set(names))
    assert all("--hash=sha256:" in line for line in lines)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a file in each place of the source, and a file that is not committed."""
    folder = tmp_path / "repository"
    for name in SOURCE:
        file = folder / name if "." in name or name.isupper() else folder / name / "__init__.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {name}\n")
    shutil.copy(REPOSITORY / "benchmarks/run_bundle.sh", folder / "benchmarks/run_bundle.sh")
    (folder / "secret.txt").write_text("of no use elsewhere\n")
    git = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    (folder / "adapters" / "unfinished.py").write_text("# not committed\n")
    return folder


class _Store:
    """Has all networks."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._root.mkdir()

    def ensure_all(self, models: Any) -> list[Path]:
        paths = [self._root / model.filename for model in models]
        for path in paths:
            path.write_bytes(b"network")
        return paths


def packed(tmp_path: Path, repository: Path, *, stand_ins: bool = True, device: str = "cuda") -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.jpg", "b.PNG", "clip.mp4"):
        (photos / name).write_bytes(b"picture")
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    for name in (*NAMES, "another"):
        (zoo / f"{name}.onnx").write_bytes(b"stand-in")
    contents = Contents(
        requirements=["numpy==2.5.5 --hash=sha256:ee"],
        photos=photos,
        stand_ins=zoo if stand_ins else None,
        device=device,
        python="3.12",
        wheels=False,
    )
    bundle = tmp_path / "bundle"
    pack(bundle, contents, repository, _Store(tmp_path / "store"))  # pyright: ignore[reportArgumentType]
    return bundle


def test_a_bundle_has_the_committed_source_the_networks_the_pictures_and_nothing_else(
    tmp_path: Path, repository: Path
):
    bundle = packed(tmp_path, repository)

    files = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    folders = {"adapters", "benchmarks", "runners", "wholebody"}
    assert files == {
        "run.sh",
        "bundle.json",
        "requirements.txt",
        "photos/a.jpg",
        "photos/b.PNG",
        *(f"source/{name}/__init__.py" for name in folders),
        *(f"source/{name}" for name in SOURCE if name not in folders),
        *(f"networks/{model.filename}" for model in MODES["embedded"]),
        *(f"stand-ins/{name}.onnx" for name in NAMES),
    }
    assert (bundle / "run.sh").stat().st_mode & 0o100


def test_a_bundle_says_what_it_is_and_what_it_lacks(tmp_path: Path, repository: Path):
    told = json.loads((packed(tmp_path, repository, stand_ins=False) / "bundle.json").read_text())

    head = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert told["commit"] == head.stdout.strip()
    assert (told["device"], told["python"], told["wheels"]) == ("cuda", "3.12", False)
    for word in ("Python 3.12", "wheels", "Stand-ins", "driver", "TensorRT"):
        assert any(word in sentence for sentence in told["lacks"])


def test_the_script_refuses_another_python_than_the_wheels_are_for(tmp_path: Path, repository: Path):
    bundle = packed(tmp_path, repository)
    told = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(told | {"python": "3.1"}))

    ended = subprocess.run(
        [bundle / "run.sh"],
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 1
    assert "This bundle is for Python 3.1, and" in ended.stderr


def test_missing_packages_are_found_and_other_versions_are_told(capsys: pytest.CaptureFixture[str]):
    assert missing_packages(["no-such-package==1.0", "numpy==0.1"]) == ["no-such-package==1.0"]
    assert "numpy is here in version" in capsys.readouterr().out


def test_use_of_gpus_is_read_from_every_whole_line():
    assert parsed("37, 1024\n[N/A], 12\n100, 2048\n4") == [(37.0, 1024.0), (100.0, 2048.0)]


def test_use_of_gpus_is_the_mean_of_what_was_sampled(tmp_path: Path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '40, 1000'\necho '60, 3000'\nexec sleep 60\n")
    program.chmod(0o755)

    with gpu_use(str(program)) as use:
        subprocess.run(["sleep", "0.5"], check=True)

    assert (use.percent, use.memory_mib) == (50.0, 3000.0)


def test_without_a_gpu_nothing_is_said_of_its_use():
    with gpu_use("no-such-program") as use:
        pass

    assert use.percent is None
