"""Metrics of the prediction cache, summed over all processes."""

from functools import cache

from prometheus_client import Counter, Gauge


@cache
def hits_total() -> Counter:
    """Look-ups that needed no computation, by tier: `memory`, `redis`, `flight` (another request was computing it)."""
    return Counter("rtmlib_cache_hits_total", "Prediction cache hits by tier", ["tier"])


@cache
def misses_total() -> Counter:
    """Look-ups that led to a computation."""
    return Counter("rtmlib_cache_misses_total", "Prediction cache misses")


@cache
def errors_total() -> Counter:
    """Redis errors by kind: see `redis_failures`; `garbage` is a value that is no entry."""
    return Counter("rtmlib_cache_errors_total", "Errors of the shared prediction cache by kind", ["kind"])


@cache
def bytes_held() -> Gauge:
    """Memory of the entries in this process, in bytes."""
    return Gauge("rtmlib_cache_bytes", "Memory of cached predictions in bytes", multiprocess_mode="livesum")


@cache
def evictions_total() -> Counter:
    """Entries evicted by newer ones."""
    return Counter("rtmlib_cache_evictions_total", "Cached predictions evicted by newer ones")
