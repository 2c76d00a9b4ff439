"""Says what a machine lacks that a bundle is to run on; needs nothing but Python itself.

python bundle_check.py REQUIREMENTS DEVICE
"""

import shutil
import sys
from collections.abc import Sequence
from ctypes import CDLL
from importlib import metadata
from pathlib import Path

TENSORRT = "libnvinfer.so.10"


def missing_packages(requirements: Sequence[str]) -> list[str]:
    """Return the requirements, `name==version`, of which no version is installed."""
    missing: list[str] = []
    for requirement in requirements:
        name, _, version = requirement.partition("==")
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(requirement)
            continue
        if found != version:
            print(f"Note: {name} is here in version {found}, and {version} was meant.")
    return missing


def notes(device: str) -> list[str]:
    """Return what cannot be measured here."""
    if not device.startswith("cuda"):
        return []
    found: list[str] = []
    if shutil.which("nvidia-smi") is None:
        found.append("nvidia-smi is not here: use of the GPU is not measured")
    try:
        CDLL(TENSORRT)
    except OSError:
        found.append(f"TensorRT ({TENSORRT}) is not here: its lanes will be left out")
    return found


def main() -> None:
    """Print it; end with 1 if the comparison cannot run at all."""
    requirements, device = Path(sys.argv[1]), sys.argv[2]
    for note in notes(device):
        print(f"Note: {note}.")
    # Those with a marker are for some patch releases of Python only.
    lines = [line for line in requirements.read_text().splitlines() if " ; " not in line]
    if missing := missing_packages([line.split()[0] for line in lines]):
        sys.exit(f"This Python ({sys.executable}) lacks {', '.join(missing)}.")


if __name__ == "__main__":
    main()
