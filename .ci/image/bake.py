"""Puts the embedded networks into the Bento: fetches them, saves them as a BentoML model, and writes a bentofile.

Usage: bake.py BENTOFILE RESULT
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import bentoml
import yaml

MODE = "embedded"
FETCHED = Path("build/models")
# Where the image build puts the models of a Bento.
IN_IMAGE = "/home/bentoml/bento/models"


def main(bentofile: Path, result: Path) -> None:
    """Write `result`: `bentofile` with the networks as a model, and with the setting that finds them."""
    pull = Path(sys.executable).with_name("rtmlib-backend")
    subprocess.run([pull, "models", "pull", "--cache-dir", FETCHED, "--mode", MODE], check=True)  # noqa: S603 - our own
    files = sorted(FETCHED.glob("*.onnx"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    # The version tells the weights apart, so the same weights are saved once.
    tag = f"rtmlib-{MODE}:{digest.hexdigest()[:8]}"
    try:
        bentoml.models.get(tag)
    except bentoml.exceptions.NotFound:
        with bentoml.models.create(tag) as model:
            for file in files:
                shutil.copy2(file, model.path)
    build = yaml.safe_load(bentofile.read_text())
    build["models"] = [tag]
    build["envs"].append({"name": "MODEL_CACHE_DIR", "value": f"{IN_IMAGE}/{tag.replace(':', '/')}"})
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(yaml.safe_dump(build, sort_keys=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
