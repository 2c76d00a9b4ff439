"""Tries the ways in which networks can run on this machine: which are right, and which is the fastest.

The picture is a drawn one. It shows whether an engine works at all on this machine, not which precision photographs
bear: see `runners.startup.tolerance`.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runners.config import RunnerConfig
from runners.errors import ProviderUnavailableError
from runners.pipeline import LoadedNetwork, assemble, load_as
from runners.startup.choice import NetworkEngine, NetworkName, candidates, networks_of
from runners.startup.disagreement import disagreement
from wholebody.estimation import Network
from wholebody.figure import draw_figure
from wholebody.geometry import Picture
from wholebody.pipeline import find_people

logger = logging.getLogger(__name__)

SECONDS_PER_NETWORK = 0.4
"""Time for all candidates of a network together, once each has run `LEAST_ROUNDS` times."""
LEAST_ROUNDS, MOST_ROUNDS = 3, 15
WHOLE_LIMIT_S = 20
"""A busy machine may take so long that the start must not wait for it: networks after that run in the first way."""
CLEARLY_FASTER = 0.95
"""A candidate is taken instead of the first one when it needs less than this share of its time."""
WORTH_ITS_COST = 0.8
"""PRECISION=auto takes a lower precision when it needs less than this share of the time of f32, not for a trifle."""

LARGEST_DISAGREEMENT: Mapping[str, float] = {"exact": 0.002, "auto": 0.01, "fast": 0.1}
"""How far a result may lie from the reference's, as a share of the person or crop, for each PRECISION."""


def decide(config: RunnerConfig) -> dict[NetworkName, NetworkEngine]:
    """Return for each network of the mode the fastest way to run it that is right on this machine.

    Raises:
        ModelUnavailableError: A file is not there and cannot be fetched.
        ProviderUnavailableError: What was asked for does not run here, or gives other results.
    """
    began = time.monotonic()
    ways: dict[NetworkName, list[NetworkEngine]] = {
        name: candidates(name, config) for name in networks_of(config)
    }
    references: dict[NetworkName, NetworkEngine] = {
        name: NetworkEngine(name, "onnxruntime", "f32") if config.device == "cpu" else ways[name][0]
        for name in ways
    }
    networks: dict[NetworkName, LoadedNetwork] = {
        name: load_as(name, config, reference) for name, reference in references.items()
    }
    crops = asyncio.run(_crops_of_drawn_people(config, networks))
    chosen: dict[NetworkName, NetworkEngine] = {}
    for name, offered in ways.items():
        if time.monotonic() - began > WHOLE_LIMIT_S and offered[0] == references[name]:
            chosen[name] = replace(
                offered[0], reason="the others were not tried: it took too long", tried=False
            )
        else:
            chosen[name] = fastest(config, offered, references[name], networks[name], crops[name])
    return chosen


def fastest(
    config: RunnerConfig,
    ways: Sequence[NetworkEngine],
    reference: NetworkEngine,
    reference_network: LoadedNetwork,
    crops: NDArray[np.uint8],
) -> NetworkEngine:
    """Return the fastest of the ways in which a network gives what the reference gives.

    Raises:
        ProviderUnavailableError: The first way does not run here, or gives other results.
    """
    expected = reference_network(crops)
    loaded: dict[NetworkEngine, LoadedNetwork] = {}
    for way in ways:
        try:
            network = reference_network if way == reference else load_as(way.network, config, way)
            apart = disagreement(expected, network(crops))
        except ProviderUnavailableError:
            if way == ways[0]:  # what was asked for, or all that there is
                raise
            logger.warning("The %s network does not run in %s", way.network, _named(way), exc_info=True)
            continue
        except Exception as error:  # whatever a runtime raises
            if way == ways[0]:
                raise ProviderUnavailableError(
                    f"The {way.network} network does not run in {_named(way)} ({str(error).strip().splitlines()[0]}): "
                    "set BACKEND_TYPE=auto."
                ) from error
            logger.warning("The %s network does not run in %s", way.network, _named(way), exc_info=True)
            continue
        if apart <= LARGEST_DISAGREEMENT["exact" if way.precision == "f32" else config.precision]:
            loaded[way] = network
            continue
        said = f"The {way.network} network in {_named(way)} is {apart:.2%} off on this machine's drawn people"
        if way == ways[0]:
            raise ProviderUnavailableError(f"{said}: set BACKEND_TYPE=auto.")
        logger.warning("%s: it is not used", said)
    seconds = _time(loaded, crops)
    best = taken(seconds, ways[0], WORTH_ITS_COST if config.precision == "auto" else 1)
    compared = ", ".join(f"{_named(way)} {took * 1e3:.1f} ms" for way, took in seconds.items())
    return replace(best, reason=f"{compared} for {len(crops)}")


def taken(seconds: Mapping[NetworkEngine, float], first: NetworkEngine, worth: float) -> NetworkEngine:
    """Return the fastest way, if it is enough faster than the first one, and than any in f32 where it is none."""
    best = min(seconds, key=lambda way: seconds[way])
    whole = [way for way in seconds if way.precision == "f32"]
    if best not in whole and whole:
        quickest = min(whole, key=lambda way: seconds[way])
        if seconds[best] > worth * seconds[quickest]:
            best = quickest
    return best if seconds[best] < CLEARLY_FASTER * seconds[first] else first


def _time(
    networks: Mapping[NetworkEngine, LoadedNetwork], crops: NDArray[np.uint8]
) -> dict[NetworkEngine, float]:
    """Seconds of the fastest run of each, taken in turn: what else the machine does slows all of them alike."""
    seconds = dict.fromkeys(networks, float("inf"))
    if len(networks) == 1:
        rounds, least = 1, 1
    else:
        rounds, least = MOST_ROUNDS, LEAST_ROUNDS
    began = time.perf_counter()
    for done in range(rounds):
        if done >= least and time.perf_counter() - began > SECONDS_PER_NETWORK:
            break
        for way, network in networks.items():
            start = time.perf_counter()
            network(crops)
            seconds[way] = min(seconds[way], time.perf_counter() - start)
    return seconds


def _named(way: NetworkEngine) -> str:
    return f"{way.engine} {way.precision}"


async def _crops_of_drawn_people(
    config: RunnerConfig, networks: Mapping[NetworkName, LoadedNetwork]
) -> dict[NetworkName, NDArray[np.uint8]]:
    """What each network gets to see of a drawn picture, the first time that it is asked."""
    files = networks_of(config)
    sizes: dict[NetworkName, tuple[int, ...]] = {
        name: (1, *files[name].input_size[::-1], 3) for name in networks
    }
    # Of people without hands or faces, nothing: then there is at least something to measure the time with.
    seen: dict[NetworkName, NDArray[np.uint8]] = {}

    def network(name: NetworkName) -> Network[Any]:
        async def run(crops: NDArray[np.uint8]) -> Sequence[Any]:
            seen.setdefault(name, crops)
            return networks[name](crops)

        return run

    await find_people(_drawn_people(), *assemble(files, network))
    return {name: seen.get(name, np.zeros(size, np.uint8)) for name, size in sizes.items()}


def _drawn_people() -> Picture:
    """A picture with two drawn people, one of them mirrored and larger."""
    figure: Picture = np.ascontiguousarray(np.asarray(draw_figure())[..., ::-1])
    larger = cv2.resize(figure[:, ::-1], None, fx=1.4, fy=1.4, interpolation=cv2.INTER_CUBIC)
    height = max(len(figure), len(larger)) + 20
    picture = np.full((height, figure.shape[1] + larger.shape[1] + 30, 3), figure[2, 2], np.uint8)
    picture[height - 10 - len(figure) : height - 10, 10 : 10 + figure.shape[1]] = figure
    picture[10 : 10 + len(larger), -10 - larger.shape[1] : -10] = larger
    return picture
