"""GPUs of this machine, and the claim of a worker process on one of them."""

import fcntl
import os
from pathlib import Path

import pynvml


def gpus_of(device: str) -> tuple[str, ...]:
    """Return the devices of a setting: `cuda` means all visible NVIDIA GPUs.

    Returns:
        `cuda:0`, `cuda:1`, … for several GPUs, else the given device.
    """
    count = _count() if device == "cuda" else 0
    return tuple(f"cuda:{number}" for number in range(count)) if count > 1 else (device,)


def _count() -> int:
    found = _in_this_machine()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    # CUDA numbers the listed GPUs from 0 and stops at the first invalid entry.
    named = found if visible is None else len([one for one in visible.partition("-1")[0].split(",") if one])
    return min(found, named)


def _in_this_machine() -> int:
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError, OSError):  # no driver: loading a network raises the error
        return 0
    try:
        return pynvml.nvmlDeviceGetCount()
    finally:
        pynvml.nvmlShutdown()


class Claim:
    """An exclusive claim on one of several devices, until this process ends.

    It is a file lock, which the kernel releases when the process ends for any reason. The supervisor's worker numbers
    do not serve: a new worker may not get the number of the one that it replaces.

    Args:
        devices: The devices.
        folder: Folder shared by the processes of one server.
        purpose: Each purpose has its own claims on all devices.

    Raises:
        RuntimeError: Other processes have claimed all devices.
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
            self._lock = lock  # held while it is open
            return
        raise RuntimeError(f"All of {', '.join(devices)} are in use for {purpose}")
