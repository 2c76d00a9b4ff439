"""Entries in the memory of this process, bounded by bytes."""

import sys
from collections import OrderedDict

from adapters.cache import metrics

_PLACE_BYTES = 110
"""What an entry's place in the OrderedDict takes beside its name and its bytes: 65 to 109 on CPython 3.11."""


class MemoryStore:
    """Keeps the most recently used entries.

    Args:
        limit_bytes: Memory limit of the entries, including their names and overhead: the entry of a picture without
            people is smaller than its name.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._entries: OrderedDict[str, bytes] = OrderedDict()

    @property
    def held_bytes(self) -> int:
        """Memory of the entries in bytes."""
        return self._held

    def get(self, name: str) -> bytes | None:
        """Return an entry's bytes, or None."""
        entry = self._entries.get(name)
        if entry is not None:
            self._entries.move_to_end(name)
        return entry

    def put(self, name: str, entry: bytes) -> None:
        """Keep an entry and evict the least recently used ones. An entry above the limit is not kept."""
        self._drop(name)
        size = _size(name, entry)
        if size > self._limit:
            return
        while self._held + size > self._limit:
            self._drop(next(iter(self._entries)))
            metrics.evictions_total().inc()
        self._entries[name] = entry
        self._hold(size)

    def _drop(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._hold(-_size(name, entry))

    def _hold(self, more: int) -> None:
        self._held += more
        metrics.bytes_held().set(self._held)


def _size(name: str, entry: bytes) -> int:
    return _PLACE_BYTES + sys.getsizeof(name) + sys.getsizeof(entry)
