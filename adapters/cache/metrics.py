"""The prediction cache's numbers at `/metrics`. BentoML adds them up over all processes."""

from functools import cache

from prometheus_client import Counter, Gauge


@cache
def hits_total() -> Counter:
    """Look-ups that needed no computation, by tier: `memory`, `redis`, `flight` (another request was computing it)."""
    return Counter("rtmlib_cache_hits_total", "Predictions that were not computed again", ["tier"])


@cache
def misses_total() -> Counter:
    """Look-ups that led to a computation."""
    return Counter("rtmlib_cache_misses_total", "Predictions that had to be computed")


@cache
def errors_total() -> Counter:
    """What went wrong with Redis, by kind: see `redis_failures`; `garbage` is a value that is no entry."""
    return Counter("rtmlib_cache_errors_total", "Failures of the shared prediction cache", ["kind"])


@cache
def bytes_held() -> Gauge:
    """Memory that the entries in memory take."""
    return Gauge("rtmlib_cache_bytes", "Memory of the cached predictions", multiprocess_mode="livesum")


@cache
def evictions_total() -> Counter:
    """Entries that were given up for newer ones."""
    return Counter("rtmlib_cache_evictions_total", "Cached predictions given up for newer ones")
