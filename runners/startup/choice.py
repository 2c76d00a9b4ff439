"""Which engine and which precision each network runs in.

What is fastest depends on the machine, so it is tried there (`runners.startup.trial`), once, and remembered beside
the networks until something changes that the result depends on.
"""

import hashlib
import json
import logging
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal, get_args

import pydantic

from runners.config import PrecisionSetting, RunnerConfig
from runners.engines import EngineName, Precision, engines_for, is_installed, precisions, require_engine
from runners.errors import ModelStoreError
from runners.graphs.prepared import PREPARATION_VERSION
from runners.models.made_files import made_folders, write_whole
from runners.models.manifest import MODES, ModelFile
from runners.models.own_networks import OwnNetwork, OwnTask, described, own_network
from runners.models.store import ModelStore
from runners.startup.tolerance import is_measured, is_tolerated
from wholebody.schema import KEYPOINT_COUNT

logger = logging.getLogger(__name__)

NetworkName = Literal["person", "body", "hand", "face", "face_mesh"]
"""What a network looks for. The body network of some modes finds all 133 keypoints; then there are no others."""

_CPUINFO = Path("/proc/cpuinfo")

_RULES = 3
"""To be raised with every change of how the trial decides: what was decided before is then decided again."""


@dataclass(frozen=True)
class NetworkEngine:
    """How a network runs.

    Attributes:
        network: What it looks for.
        engine: What runs it.
        precision: What it is computed in.
        reason: Why these were taken.
        tried: Whether that is more than a stopgap, because time ran out.
    """

    network: NetworkName
    engine: EngineName
    precision: Precision
    reason: str = ""
    tried: bool = True


_RECORD = pydantic.TypeAdapter(dict[str, NetworkEngine])


def files_of(mode: str) -> dict[NetworkName, ModelFile]:
    """Return the network files of a mode by what they look for."""
    return dict(zip(get_args(NetworkName), MODES[mode], strict=False))


def own_networks_of(config: RunnerConfig) -> dict[NetworkName, OwnNetwork]:
    """Return the user's own networks by what they look for.

    Raises:
        OwnNetworkError: A setting is neither a path nor an address.
    """
    settings: dict[OwnTask, str | None] = {"person": config.detector_model, "body": config.pose_model}
    return {task: own_network(task, setting) for task, setting in settings.items() if setting}


def networks_of(config: RunnerConfig) -> dict[NetworkName, ModelFile]:
    """Return the network files of a configuration by what they look for: those of the mode, and the user's own.

    A pose network that does not know hands and faces goes with the networks for them of the embedded set.

    Raises:
        ModelStoreError: An own network was not fetched yet.
        OwnNetworkError: An own network cannot be used.
    """
    own = own_networks_of(config)
    if not own:
        return files_of(config.mode)
    store = model_store(config)
    files = files_of(config.mode)
    for name, one in own.items():
        files[name] = described(store, one)
    if files["body"].keypoints == KEYPOINT_COUNT:
        return {"person": files["person"], "body": files["body"]}
    return files_of("embedded") | files


def model_store(config: RunnerConfig) -> ModelStore:
    """Return the store that the networks of a configuration come from."""
    return ModelStore(config.cache_dir, digests=config.digests)


def candidates(name: NetworkName, config: RunnerConfig) -> list[NetworkEngine]:
    """Return how a network may run here by its settings, the reference first: there is at least that.

    OpenCV and TensorRT run only what they are asked for: OpenCV was the slowest of the three on most networks that it
    was measured with, and TensorRT compiles for minutes.

    Raises:
        ProviderUnavailableError: The engine that was asked for is not installed, or does not know the device.
        ModelStoreError: The digest of the network's file is not known yet.
    """
    if config.engine != "auto":
        require_engine(config.engine, config.device)
        engines: list[EngineName] = [config.engine]
    else:
        there = engines_for(config.device)
        engines = [e for e in there if e in ("onnxruntime", "openvino") and is_installed(e)] or [there[0]]
    digest = model_store(config).digest(networks_of(config)[name])
    setting = config.precision
    if setting == "auto" and name in own_networks_of(config) and not is_measured(digest):
        setting = "exact"  # what nobody here has seen
    found: list[NetworkEngine] = []
    for engine in engines:
        known = precisions(engine, config.device)
        tried: list[Precision] = [known[0]]
        for precision in _FASTEST_FIRST:
            if precision in known and _is_allowed(name, digest, precision, setting):
                # bf16 by instructions of its own is faster than f32 in the same engine; a mixture need not be.
                tried = [precision] if found and precision == "bf16" else [known[0], precision]
                break
        found += [NetworkEngine(name, engine, precision) for precision in tried]
    return found


_FASTEST_FIRST: tuple[Precision, ...] = ("bf16", "mixed", "f16", "tf32")


def _is_allowed(name: NetworkName, digest: str, precision: Precision, setting: PrecisionSetting) -> bool:
    match setting:
        case "exact":
            return False
        case "auto":
            return is_tolerated(name, digest, precision)
        case "fast":
            return precision != "mixed"


def needs_trial(config: RunnerConfig) -> bool:
    """Tell whether there is more than one way for a network to run, or one that may not work here."""
    return config.engine != "onnxruntime" or config.device != "cpu"


def choice_of(name: NetworkName, config: RunnerConfig) -> NetworkEngine:
    """Return how a network runs: as was decided on this machine, else in the safest way that the settings allow."""
    return engines_in_use(config)[name]


def engines_in_use(config: RunnerConfig) -> Mapping[NetworkName, NetworkEngine]:
    """Return how each network of the mode runs; a file is read, and nothing is tried."""
    chosen = recorded_choices(config)
    if chosen is not None:
        return chosen
    engine = engines_for(config.device)[0] if config.engine == "auto" else config.engine
    return {name: NetworkEngine(name, engine, "f32", "nothing was tried") for name in networks_of(config)}


def recorded_choices(config: RunnerConfig) -> Mapping[NetworkName, NetworkEngine] | None:
    """Return what was decided for this configuration on a machine like this, or None."""
    if not needs_trial(config):
        return None
    try:
        name = _record_name(config)
    except ModelStoreError:  # the networks are not there yet
        return None
    for folder in made_folders(model_store(config).root):
        try:
            found = _RECORD.validate_json((folder / name).read_bytes())
        except (OSError, pydantic.ValidationError):
            continue
        if set(found) == set(networks_of(config)):
            return {network: found[network] for network in networks_of(config)}
    return None


def record_choices(config: RunnerConfig, choices: Mapping[NetworkName, NetworkEngine]) -> None:
    """Remember what was decided.

    Raises:
        ModelStoreError: It can be written nowhere.
    """
    content = json.dumps({name: asdict(choice) for name, choice in choices.items()}, indent=1)
    write_whole(made_folders(model_store(config).root), {_record_name(config): content.encode()})


def _record_name(config: RunnerConfig) -> str:
    """Name of the file that says what was decided: it changes with everything that the decision depends on."""
    store = model_store(config)
    depends_on = {
        "cpu": _cpu(),
        "versions": _versions(),
        "networks": {name: store.digest(file) for name, file in networks_of(config).items()},
        "preparation": PREPARATION_VERSION,
        "rules": _RULES,
        "device": config.device,
        "threads": config.threads,
        "engine": config.engine,
        "precision": config.precision,
    }
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return f"engines-{digest[:16]}.json"


@cache
def _versions() -> dict[str, str]:
    names = ("onnxruntime", "onnxruntime-gpu", "openvino", "opencv-python-headless")
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _cpu() -> str:
    """Model and abilities of the first CPU."""
    try:
        first = _CPUINFO.read_text(errors="replace").split("\n\n")[0]
    except OSError:  # not Linux
        return f"{platform.machine()} {platform.processor()}"
    told = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    return "\n".join(line for line in first.splitlines() if line.startswith(told))
