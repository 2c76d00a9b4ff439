"""Prepares the networks and tests the device, once before any worker starts.

A child process does it, and releases its memory when it ends, also on a GPU.
"""

import logging
import warnings

import numpy as np

from runners.choice import cost
from runners.errors import ProviderUnavailableError
from runners.graphs.prepared import find_network_files
from runners.pipeline import load
from runners.plan import NetworkPlan, PlannedNetwork
from runners.startup.apart import CrashedError, run_apart

logger = logging.getLogger(__name__)

ANSWER_LIMIT_S = 120
"""A GPU's libraries load in seconds, but much slower from a cold disk."""
COMPILING_LIMIT_S = 1200
"""TensorRT compiles each network for minutes, once."""


def prepare_networks(plan: NetworkPlan) -> None:
    """Prepare the networks, so that workers only load them.

    Raises:
        ModelStoreError: No folder for prepared networks is writable.
        ProviderUnavailableError: The device or the engine is unavailable.
    """
    networks = plan.networks.values()
    if plan.config.device != "cpu" or not all(find_network_files(one) for one in networks):
        _in_a_process(plan)
    engines = "; ".join(f"{one.name} in {one.engine} {one.precision}" for one in networks)
    logger.info("Engines: %s", engines)
    if plan.config.precision == "fast":
        costs = "; ".join(f"{one.name}: {cost(one.digest, one.precision)}" for one in networks)
        logger.warning("PRECISION=fast: %s", costs)


def _in_a_process(plan: NetworkPlan) -> None:
    limit_s = COMPILING_LIMIT_S if plan.config.engine == "tensorrt" else ANSWER_LIMIT_S
    setting = f"DEVICE={plan.config.device} with BACKEND_TYPE={plan.config.engine}"
    try:
        run_apart(_prepare, plan, limit_s=limit_s)
    except TimeoutError as error:
        raise ProviderUnavailableError(
            f"{setting} did not respond within {limit_s} s. Check the driver, or set another DEVICE or BACKEND_TYPE."
        ) from error
    except CrashedError as error:
        raise ProviderUnavailableError(
            f"{setting} crashed on start. See the lines above, or set another DEVICE or BACKEND_TYPE."
        ) from error


def _prepare(plan: NetworkPlan) -> None:
    warnings.simplefilter("ignore")  # the error that follows says the same and names the remedy
    for network in plan.networks.values():
        _try(network, plan)


def _try(network: PlannedNetwork, plan: NetworkPlan) -> None:
    """Load a network and run it once: some devices load networks that they cannot run."""
    loaded = load(network, plan.config)
    width, height = network.file.input_size
    try:
        loaded(np.zeros((1, height, width, 3), np.uint8))
    except Exception as error:  # whatever a runtime raises
        raise ProviderUnavailableError(
            f"The {network.name} network does not run in {network.engine} {network.precision} "
            f"({str(error).strip().splitlines()[0]}). Set BACKEND_TYPE=auto."
        ) from error
