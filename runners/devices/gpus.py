"""Several GPUs: which there are, and which of them a worker process takes."""

import fcntl
import os
from pathlib import Path

import pynvml


def gpus_of(device: str) -> tuple[str, ...]:
    """Return the devices that a setting means: `cuda` is all NVIDIA GPUs that this process may use.

    Returns:
        `cuda:0`, `cuda:1`, … where there are several; else the device as it was given.
    """
    count = _count() if device == "cuda" else 0
    return tuple(f"cuda:{number}" for number in range(count)) if count > 1 else (device,)


def _count() -> int:
    found = _in_this_machine()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    # CUDA numbers those that the variable names from 0, up to the first that is none.
    named = found if visible is None else len([one for one in visible.partition("-1")[0].split(",") if one])
    return min(found, named)


def _in_this_machine() -> int:
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError, OSError):  # no driver: loading a network will say so
        return 0
    try:
        return pynvml.nvmlDeviceGetCount()
    finally:
        pynvml.nvmlShutdown()


class Claim:
    """One of several devices, for as long as this process lives: nobody else gets it.

    Numbers that a supervisor gives its workers are no good for this, since a new worker need not get that of the one
    that ended. A lock on a file is given back by the kernel, however a process ends.

    Args:
        devices: Which there are.
        folder: A folder that the processes of one server share.
        purpose: What for: each purpose has all devices.

    Raises:
        RuntimeError: Others have them all.
    """

    def __init__(self, devices: tuple[str, ...], folder: Path, purpose: str) -> None:
        for device in devices:
            lock = os.open(folder / f"{purpose}-{device}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            self.device = device
            self._lock = lock  # open, and so held
            return
        raise RuntimeError(f"All of {', '.join(devices)} are in use for {purpose}")
