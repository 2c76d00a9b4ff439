"""Memory that is free goes back to the system."""

import ctypes

import psutil
import pytest

from runners.serving.worker import give_back_memory

BLOCK, BLOCKS = 50_000, 4_000  # small enough for the heap, 200 MB together
MEBIBYTE = 2**20


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")
def test_what_lies_between_what_is_in_use_is_given_back() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.free.argtypes = [ctypes.c_void_p]

    def memory() -> int:
        return psutil.Process().memory_info().rss

    blocks = [library.malloc(BLOCK) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    for number, block in enumerate(blocks):
        if number % 20:  # of every twenty, one stays
            library.free(block)
    before = memory()
    give_back_memory()
    after = memory()
    for block in blocks[::20]:
        library.free(block)

    assert before - after > 100 * MEBIBYTE
