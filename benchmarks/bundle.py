"""Packs what the comparison needs into one folder, for a GPU machine that can fetch nothing.

    make bench-gpu PHOTOS=folder STAND_INS=folder [BUNDLE_DEVICE=cpu] [BUNDLE_PYTHON=3.12] [WHEELS=no]

In the folder are the source as the last commit has it, the wheels of uv.lock for x86-64 Linux (1.7 GB for GPUs, 0.3 GB
for CPUs), the embedded networks, stand-ins for the others, photographs, and `run.sh`, which installs the wheels without
a network and runs `comparison.py`. The same bundle runs on CPUs with `./run.sh --device cpu`; one that is packed for
CPUs has the same script and no libraries of CUDA.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.loads import picture_names
from benchmarks.stand_ins import NAMES
from runners.models.manifest import MODES
from runners.models.store import ModelStore

SOURCE = (
    "LICENSE",
    "NOTICE",
    "README.md",
    "adapters",
    "benchmarks",
    "pyproject.toml",
    "runners",
    "service.py",
    "wholebody",
)
MACHINE = {
    "platform_machine": "x86_64",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
}
"""What a bundle is for, in the words of requirements' markers."""
PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(35, 4, -1)),
    *("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"),
)
GROUPS = {"cuda": "gpu", "cpu": "cpu"}
FETCH_LIMIT_S = 3600
COMMAND_LIMIT_S = 120


def locked_requirements(export: str, python: str) -> list[str]:
    """Return what is to be installed, a line each, with its hashes.

    Which patch release of Python the other machine has is not known: what only some of them need keeps its marker.

    Args:
        export: What `uv export` prints, with markers and hashes.
        python: Version of the interpreter, such as `3.12`.
    """
    chosen: list[str] = []
    for line in export.replace("\\\n", " ").splitlines():
        text = line.partition(" --hash")[0].strip()
        if not text or text.startswith("#"):
            continue
        requirement = Requirement(text)
        wanted = {_is_wanted(requirement, python, patch) for patch in (0, 99)}
        if True in wanted:
            marker = f" ; {requirement.marker}" if False in wanted else ""
            hashes = re.findall(r"--hash=\S+", line)
            chosen.append(" ".join([f"{requirement.name}{requirement.specifier}{marker}", *hashes]))
    return chosen


def _is_wanted(requirement: Requirement, python: str, patch: int) -> bool:
    version = {"python_version": python, "python_full_version": f"{python}.{patch}"}
    return requirement.marker is None or requirement.marker.evaluate({**MACHINE, **version})


def exported(device: str, repository: Path) -> str:
    """Ask uv for the locked requirements of a device's variant, with those of the benchmarks."""
    uv = os.environ.get("UV") or shutil.which("uv") or str(repository / ".tools" / "bin" / "uv")
    options = [
        "--quiet",
        "--frozen",
        "--no-header",
        "--no-annotate",
        "--no-emit-project",
        "--no-default-groups",
    ]
    command = [uv, "export", *options, "--group", GROUPS[device], "--group", "bench"]
    return subprocess.run(
        command, cwd=repository, check=True, capture_output=True, text=True, timeout=COMMAND_LIMIT_S
    ).stdout


def fetch_wheels(requirements: Sequence[str], python: str, folder: Path) -> None:
    """Fetch the wheels with pip, which knows this machine's index; each must have one of its hashes."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--disable-pip-version-check", "--implementation", "cp"]
    command += ["--python-version", python, *platforms, "--dest", str(folder)]
    # Beside the bundle, since /tmp is too small for the libraries of CUDA on some machines.
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        wanted = Path(unfinished) / "requirements.txt"
        # pip would ask the markers of this interpreter.
        wanted.write_text("".join(re.sub(r" ; .*?(?= --hash)", "", line) + "\n" for line in requirements))
        environment = os.environ | {"TMPDIR": unfinished}
        command += ["--requirement", str(wanted)]
        subprocess.run(command, check=True, timeout=FETCH_LIMIT_S, env=environment)


def copy_source(repository: Path, folder: Path) -> str:
    """Copy the source as the last commit has it; returns that commit."""

    def git(*arguments: str) -> bytes:
        command = ["git", "-C", str(repository), *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=COMMAND_LIMIT_S).stdout

    with tarfile.open(fileobj=BytesIO(git("archive", "--format=tar", "HEAD", *SOURCE))) as archive:
        archive.extractall(folder, filter="data")
    if git("status", "--porcelain", "--untracked-files=no", "--", *SOURCE):
        print("Note: what is not committed is not in the bundle.")
    return git("rev-parse", "HEAD").decode().strip()


def copy_pictures(photos: Path, folder: Path) -> None:
    """Copy the pictures of a folder."""
    folder.mkdir()
    for name in picture_names(photos):
        shutil.copyfile(photos / name, folder / name)


def copy_networks(store: ModelStore, folder: Path) -> None:
    """Copy the embedded networks; what is missing in the store is fetched first."""
    folder.mkdir()
    for path in store.ensure_all(MODES["embedded"]):
        shutil.copyfile(path, folder / path.name)


def copy_stand_ins(stand_ins: Path, folder: Path) -> None:
    """Copy the stand-ins, and nothing else that lies there."""
    folder.mkdir()
    for name in NAMES:
        shutil.copyfile(stand_ins / f"{name}.onnx", folder / f"{name}.onnx")


@dataclass(frozen=True)
class Contents:
    """What goes into a bundle beside the source.

    Attributes:
        requirements: See `locked_requirements`.
        photos: Folder of pictures.
        stand_ins: Folder of the stand-ins; None to go without.
        device: `cuda` or `cpu`, what is measured unless `run.sh` is told otherwise.
        python: Version of the interpreter, such as `3.12`.
        wheels: Whether the wheels go along.
    """

    requirements: Sequence[str]
    photos: Path
    stand_ins: Path | None
    device: str
    python: str
    wheels: bool

    @property
    def lacking(self) -> list[str]:
        """What is not in the bundle, and what follows from that."""
        found = [f"Python {self.python} itself, with its module venv: the machine must have it."]
        if not self.wheels:
            found.append("The wheels: the machine must have the packages of requirements.txt.")
        if self.stand_ins is None:
            found.append("Stand-ins for the balanced networks: only the embedded ones will be measured.")
        if self.device == "cuda":
            found.append("The NVIDIA driver (580 or later, for CUDA 13).")
            found.append(
                "TensorRT, which is not in uv.lock: where it is not installed, its lanes are left out."
            )
        return found


def pack(bundle: Path, contents: Contents, repository: Path, store: ModelStore) -> None:
    """Fill a folder that does not exist yet, or is empty.

    Args:
        bundle: The folder.
        contents: What goes in beside the source.
        repository: Where the source is.
        store: Where the embedded networks come from.
    """
    bundle.mkdir(parents=True, exist_ok=True)
    commit = copy_source(repository, bundle / "source")
    (bundle / "source" / "benchmarks" / "run_bundle.sh").rename(bundle / "run.sh")
    (bundle / "requirements.txt").write_text("\n".join(contents.requirements) + "\n")
    copy_pictures(contents.photos, bundle / "photos")
    copy_networks(store, bundle / "networks")
    if contents.stand_ins is not None:
        copy_stand_ins(contents.stand_ins, bundle / "stand-ins")
    if contents.wheels:
        (bundle / "wheels").mkdir()
        fetch_wheels(contents.requirements, contents.python, bundle / "wheels")
    told = {
        "commit": commit,
        "device": contents.device,
        "python": contents.python,
        "wheels": contents.wheels,
        "lacks": contents.lacking,
    }
    (bundle / "bundle.json").write_text(json.dumps(told, indent=2) + "\n")


def main() -> None:
    """Read the arguments and pack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="Folder of .jpg and .png files.")
    parser.add_argument("--stand-ins", type=Path, help="Folder of the networks that `stand_ins.py` names.")
    parser.add_argument("--out", type=Path, default=Path("build/bench-cuda"))
    parser.add_argument("--device", choices=GROUPS, default="cuda")
    parser.add_argument(
        "--python",
        default=".".join(map(str, sys.version_info[:2])),
        help="Version of the machine's interpreter; by default that of this one.",
    )
    parser.add_argument("--without-wheels", action="store_true", help="For a machine that has the packages.")
    arguments = parser.parse_args()
    if re.fullmatch(r"3\.1[123]", arguments.python) is None:
        parser.error("--python must be 3.11, 3.12 or 3.13")
    if not picture_names(arguments.photos):
        parser.error(f"there is no .jpg or .png in {arguments.photos}")
    if arguments.out.exists() and any(arguments.out.iterdir()):
        parser.error(f"{arguments.out} is not empty: delete it first")
    repository = Path(__file__).parents[1]
    contents = Contents(
        requirements=locked_requirements(exported(arguments.device, repository), arguments.python),
        photos=arguments.photos,
        stand_ins=arguments.stand_ins,
        device=arguments.device,
        python=arguments.python,
        wheels=not arguments.without_wheels,
    )
    pack(arguments.out, contents, repository, ModelStore())
    size = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    print(
        f"{arguments.out} has {size / 1e6:.0f} MB. Copy it to the machine and start run.sh there. It lacks:"
    )
    print("\n".join(f"- {sentence}" for sentence in contents.lacking))


if __name__ == "__main__":
    main()
