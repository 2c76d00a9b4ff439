"""Whether the device that the networks are to run on can be used."""

import multiprocessing
import warnings
from multiprocessing.connection import Connection

from runners.assembly import load
from runners.config import RunnerConfig
from runners.errors import ModelUnavailableError, ProviderUnavailableError

ANSWER_LIMIT_S = 120
"""A GPU's libraries take some seconds to load, and much longer from a cold disk."""


def check_device(config: RunnerConfig) -> None:
    """Load a network on the device, in a process of its own: in this one it would keep a part of the GPU's memory.

    Raises:
        ProviderUnavailableError: The device cannot be used.
    """
    if config.device == "cpu":
        return
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=_try, args=(config, writer), daemon=True)
    child.start()
    writer.close()
    try:
        said = reader.recv() if reader.poll(ANSWER_LIMIT_S) else f"does not answer within {ANSWER_LIMIT_S} s"
    except EOFError:
        said = "made the process that tried it crash; the lines above may say why"
    finally:
        child.kill()
        child.join()
        reader.close()
    if said:
        raise ProviderUnavailableError(said if "DEVICE" in said else f"DEVICE={config.device} {said}.")


def _try(config: RunnerConfig, writer: Connection) -> None:
    warnings.simplefilter("ignore")  # the error that follows says the same, and what to do
    try:
        load("body", config)
    except (ProviderUnavailableError, ModelUnavailableError) as error:
        writer.send(str(error))
    else:
        writer.send("")
