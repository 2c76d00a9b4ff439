"""Puts the embedded networks into the Bento: fetches them, saves them as a BentoML model, and writes a bentofile.

Usage: bake.py BENTOFILE RESULT
"""

import shutil
import sys
from pathlib import Path

import bentoml
import yaml

sys.path.insert(0, ".")

from runners.assembly import model_version
from runners.manifest import MODES
from runners.store import ModelStore

MODE = "embedded"
# Where the image build puts the models of a Bento.
IN_IMAGE = "/home/bentoml/bento/models"


def main(bentofile: Path, result: Path) -> None:
    """Write `result`: `bentofile` with the networks as a model, and with the setting that finds them."""
    # The name tells the weights apart, so the same weights are saved once.
    version = model_version(MODE).rpartition("-")[2]
    tag = f"rtmlib-{MODE}:{version}"
    files = ModelStore(Path("build/models")).ensure_all(MODES[MODE])
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
