"""What is done once before any worker starts: networks are prepared, tried on the device, and the engines chosen.

It happens in a process of its own, which gives back the memory that it takes, on a GPU as well.
"""

import logging
import warnings
from collections.abc import Mapping

from runners.config import RunnerConfig
from runners.errors import ProviderUnavailableError
from runners.pipeline import are_prepared, load
from runners.startup.apart import CrashedError, run_apart
from runners.startup.choice import (
    NetworkEngine,
    NetworkName,
    engines_in_use,
    model_store,
    needs_trial,
    networks_of,
    record_choices,
    recorded_choices,
)
from runners.startup.tolerance import cost
from runners.startup.trial import decide

logger = logging.getLogger(__name__)

ANSWER_LIMIT_S = 120
"""A GPU's libraries take some seconds to load, and much longer from a cold disk."""
COMPILING_LIMIT_S = 1200
"""TensorRT compiles each network for minutes, once."""


def prepare_networks(config: RunnerConfig) -> Mapping[NetworkName, NetworkEngine]:
    """Have the networks ready for the workers, which then only load them.

    Returns:
        How each network runs.

    Raises:
        ModelUnavailableError: A file is not there and cannot be fetched, or nothing can be written anywhere.
        ProviderUnavailableError: The device or the engine cannot be used.
    """
    if config.device != "cpu" or not _is_ready(config):
        _in_a_process(config)
    chosen = engines_in_use(config)
    logger.info("Engines: %s", "; ".join(described(choice) for choice in chosen.values()))
    if config.precision == "fast":
        files = networks_of(config)
        store = model_store(config)
        costs = {name: cost(store.digest(files[name]), choice.precision) for name, choice in chosen.items()}
        logger.warning("PRECISION=fast: %s", "; ".join(f"{name}: {said}" for name, said in costs.items()))
    return chosen


def described(choice: NetworkEngine) -> str:
    """Return how a network runs, and why, for a log line."""
    reason = f" ({choice.reason})" if choice.reason else ""
    return f"{choice.network} in {choice.engine} {choice.precision}{reason}"


def _is_ready(config: RunnerConfig) -> bool:
    return not _must_try(config) and are_prepared(config)


def _must_try(config: RunnerConfig) -> bool:
    if not needs_trial(config):
        return False
    recorded = recorded_choices(config)
    return recorded is None or not all(choice.tried for choice in recorded.values())


def _in_a_process(config: RunnerConfig) -> None:
    limit_s = COMPILING_LIMIT_S if config.engine == "tensorrt" else ANSWER_LIMIT_S
    asked = f"DEVICE={config.device} with BACKEND_TYPE={config.engine}"
    try:
        run_apart(_prepare, config, limit_s=limit_s)
    except TimeoutError as error:
        raise ProviderUnavailableError(f"{asked} does not answer within {limit_s} s.") from error
    except CrashedError as error:
        raise ProviderUnavailableError(
            f"{asked} made the process that tried it crash; the lines above may say why."
        ) from error


def _prepare(config: RunnerConfig) -> None:
    warnings.simplefilter("ignore")  # the error that follows says the same, and what to do
    if _must_try(config):
        record_choices(config, decide(config))
    for name in engines_in_use(config):
        load(name, config)
