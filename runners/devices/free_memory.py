"""Free memory of this process that the C library keeps for itself."""

import ctypes
from functools import cache
from typing import Any


def give_back_memory() -> None:
    """Give free memory back to the system, where the C library can: glibc keeps what lies between what is in use."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
