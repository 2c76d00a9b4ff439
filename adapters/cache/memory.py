"""Entries in the memory of this process, bounded by bytes."""

import sys

from cachetools import LRUCache

from adapters.cache import metrics

_PLACE_BYTES = 350
"""What an entry takes beside its bytes: its name and its places in the dictionaries; 344 measured on CPython 3.11."""


class _Entries(LRUCache[str, bytes]):
    """Counts what is given up for newer entries."""

    def popitem(self) -> tuple[str, bytes]:
        metrics.evictions_total().inc()
        return super().popitem()


class MemoryStore:
    """Keeps the most recently used entries.

    Args:
        limit_bytes: Memory limit of the entries, including their names and overhead: the entry of a picture without
            people is smaller than its name.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._entries = _Entries(limit_bytes, lambda entry: _PLACE_BYTES + sys.getsizeof(entry))

    @property
    def held_bytes(self) -> int:
        """Memory of the entries in bytes."""
        return int(self._entries.currsize)

    def get(self, name: str) -> bytes | None:
        """Return an entry's bytes, or None."""
        return self._entries.get(name)

    def put(self, name: str, entry: bytes) -> None:
        """Keep an entry and evict the least recently used ones. An entry above the limit is not kept."""
        try:
            self._entries[name] = entry
        except ValueError:  # larger than all of the memory
            self._entries.pop(name, None)
        metrics.bytes_held().set(self._entries.currsize)
