"""The plan of the networks: file, engine and precision of each; resolved once per process."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.choice import choose
from runners.config import EngineName, NetworkName, Precision, RunnerConfig
from runners.models.manifest import EMBEDDED, MODES, ModelFile, OwnFile
from runners.models.own_networks import described, fetch_own, own_networks
from runners.models.store import ModelStore
from wholebody.pipeline import PIPELINE_VERSION
from wholebody.schema import KEYPOINT_COUNT


@dataclass(frozen=True)
class PlannedNetwork:
    """A network with its engine and precision.

    Attributes:
        name: The network's name.
        file: Its entry in the manifest, or the user's own.
        path: Its file in the model store.
        digest: The file's SHA-256, 64 hexadecimal digits.
        engine: The inference engine.
        precision: The precision.
    """

    name: NetworkName
    file: ModelFile
    path: Path
    digest: str
    engine: EngineName
    precision: Precision


@dataclass(frozen=True)
class NetworkPlan:
    """All networks of a configuration; picklable, for child processes.

    Attributes:
        config: The configuration.
        networks: The networks by name.
    """

    config: RunnerConfig
    networks: Mapping[NetworkName, PlannedNetwork]

    @property
    def files(self) -> dict[NetworkName, ModelFile]:
        """The file of each network."""
        return {name: network.file for name, network in self.networks.items()}

    @property
    def version(self) -> str:
        """The model version of predictions: it changes exactly when a picture's keypoints can change.

        It depends on PRECISION as set, not on the precisions chosen on this machine: machines of one deployment share
        predictions, and `auto` bounds their differences.
        """
        networks = self.networks.values()
        own = [one for one in networks if isinstance(one.file.source, OwnFile)]
        # Some files leave their input size open.
        sizes = [f"{one.name} {one.file.input_size}" for one in own]
        digests = [one.digest for one in networks]
        parts = " ".join([str(PIPELINE_VERSION), self.config.precision, *digests, *sizes])
        mode = "own" if own else self.config.mode
        return f"rtmlib-{mode}-{hashlib.sha256(parts.encode()).hexdigest()[:8]}"


def resolve(config: RunnerConfig) -> NetworkPlan:
    """Return the plan of a configuration, without fetching or reading networks.

    Raises:
        ModelStoreError: A network was not fetched yet, and the plan needs its file.
        OwnNetworkError: A custom network is unusable.
        ProviderUnavailableError: The engine is not installed, or does not support the device.
    """
    return _resolved(config, _store(config))


def fetch(config: RunnerConfig) -> NetworkPlan:
    """Fetch missing or damaged networks, and return the plan of a configuration.

    Raises:
        ModelUnavailableError: A file is missing and cannot be fetched.
        ProviderUnavailableError: The engine is not installed, or does not support the device.
    """
    store = _store(config)
    for own in own_networks(config.detector_model, config.pose_model):
        fetch_own(store, own)
    store.ensure_all(tuple(_files(config, store).values()))
    return _resolved(config, store)


def _store(config: RunnerConfig) -> ModelStore:
    return ModelStore(config.cache_dir, digests=config.digests)


def _resolved(config: RunnerConfig, store: ModelStore) -> NetworkPlan:
    networks: dict[NetworkName, PlannedNetwork] = {}
    for name, file in _files(config, store).items():
        digest = store.digest(file)
        networks[name] = PlannedNetwork(
            name, file, store.path(file), digest, *choose(name, file, digest, config)
        )
    return NetworkPlan(config, networks)


def _files(config: RunnerConfig, store: ModelStore) -> dict[NetworkName, ModelFile]:
    """Return the files of the mode, replaced by custom ones.

    A pose network without hands and faces is completed by the embedded set.
    """
    own = own_networks(config.detector_model, config.pose_model)
    files: dict[NetworkName, ModelFile] = {**MODES[config.mode]}
    files |= {one.task: described(store, one) for one in own}
    if files["body"].keypoints == KEYPOINT_COUNT:
        return {"person": files["person"], "body": files["body"]}
    return {**EMBEDDED, **files}
