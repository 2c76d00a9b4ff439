"""Which network runs how: resolved once in a process, and passed on."""

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
    """A network, and how it runs.

    Attributes:
        name: What it looks for.
        file: What it is.
        path: Its file in the model store.
        digest: The file's SHA-256, 64 hexadecimal digits.
        engine: What runs it.
        precision: Its arithmetic.
    """

    name: NetworkName
    file: ModelFile
    path: Path
    digest: str
    engine: EngineName
    precision: Precision


@dataclass(frozen=True)
class NetworkPlan:
    """All networks of a configuration; picklable, so that it can be passed to another process.

    Attributes:
        config: The configuration.
        networks: The networks by name.
    """

    config: RunnerConfig
    networks: Mapping[NetworkName, PlannedNetwork]

    @property
    def files(self) -> dict[NetworkName, ModelFile]:
        """What each network is."""
        return {name: network.file for name, network in self.networks.items()}

    @property
    def version(self) -> str:
        """The model version of predictions: it changes exactly when the same picture can give other keypoints.

        It contains PRECISION as it was set, not the precisions chosen on this machine: machines that serve together
        share predictions, and `auto` bounds how much they differ.
        """
        networks = self.networks.values()
        own = [one for one in networks if isinstance(one.file.source, OwnFile)]
        # Some files leave the size of their input open.
        sizes = [f"{one.name} {one.file.input_size}" for one in own]
        digests = [one.digest for one in networks]
        parts = " ".join([str(PIPELINE_VERSION), self.config.precision, *digests, *sizes])
        mode = "own" if own else self.config.mode
        return f"rtmlib-{mode}-{hashlib.sha256(parts.encode()).hexdigest()[:8]}"


def resolve(config: RunnerConfig) -> NetworkPlan:
    """Resolve which network runs how; nothing is fetched, and no network's file is read.

    Raises:
        ModelStoreError: A network was not fetched yet, and only its file tells what it is.
        OwnNetworkError: An own network cannot be used.
        ProviderUnavailableError: The engine is not installed, or cannot run on the device.
    """
    return _resolved(config, _store(config))


def fetch(config: RunnerConfig) -> NetworkPlan:
    """Fetch the networks that are missing or damaged, and resolve which runs how.

    Raises:
        ModelUnavailableError: A file is missing and cannot be fetched.
        ProviderUnavailableError: The engine is not installed, or cannot run on the device.
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
    """The networks of the mode, replaced by the user's own.

    A pose network without hands and faces needs those of the embedded set.
    """
    own = own_networks(config.detector_model, config.pose_model)
    files: dict[NetworkName, ModelFile] = {**MODES[config.mode]}
    files |= {one.task: described(store, one) for one in own}
    if files["body"].keypoints == KEYPOINT_COUNT:
        return {"person": files["person"], "body": files["body"]}
    return {**EMBEDDED, **files}
