"""Redis errors: a kind for metrics, and a sentence for the log.

The server's own text is not logged: it repeats unknown commands, AUTH with its password among them.
"""

from dataclasses import dataclass

from redis import exceptions

from adapters.sentences import printable


@dataclass(frozen=True)
class Failure:
    """A failed command.

    Attributes:
        kind: Used as a metric label.
        sentence: What is wrong and what to do.
        by_write: Whether Redis rejected only the write, so reads may still work.
    """

    kind: str
    sentence: str
    by_write: bool = False


_TIMEOUT = Failure("timeout", "it timed out")
_FULL = Failure(
    "full", "it is full; set maxmemory-policy allkeys-lru, which evicts old entries", by_write=True
)
# The order matters: some are subclasses of others.
_BY_CLASS: tuple[tuple[type[Exception], Failure], ...] = (
    (TimeoutError, _TIMEOUT),
    (exceptions.TimeoutError, _TIMEOUT),
    (
        exceptions.AuthenticationError,
        Failure(
            "login",
            "it rejects the user name and password of REDIS_URL, or needs a password that is missing there",
        ),
    ),
    (exceptions.BusyLoadingError, Failure("loading", "it is still loading its data")),
    (exceptions.OutOfMemoryError, _FULL),
    (
        exceptions.ReadOnlyError,
        Failure(
            "read_only",
            "it is a read-only replica; set REDIS_URL to the primary",
            by_write=True,
        ),
    ),
    (
        exceptions.NoPermissionError,
        Failure(
            "permission", "its user needs the commands GETRANGE and SET on the keys rtmlib:*", by_write=True
        ),
    ),
    (exceptions.MasterDownError, Failure("read_only", "it is a replica that has lost its primary")),
    (
        exceptions.AskError,  # MOVED, too
        Failure("cluster", "it is one node of a cluster; set REDIS_URL to a single Redis or a proxy"),
    ),
    (exceptions.ClusterError, Failure("cluster", "it is one node of a cluster, which is down")),
    (exceptions.ClusterCrossSlotError, Failure("cluster", "it is one node of a cluster")),
)
_MISCONF = Failure(
    "full", "it rejects writes because it cannot save its data to disk (MISCONF)", by_write=True
)


def explain(error: Exception, password: str | None) -> Failure:
    """Return the failure that an error of redis-py means.

    Args:
        error: Any exception: invalid responses make the parser raise many kinds.
        password: Never part of the sentence.
    """
    for kind, failure in _BY_CLASS:
        if isinstance(error, kind):
            return failure
    if isinstance(error, exceptions.ResponseError):
        code = str(error).split(" ", 1)[0]
        if code == "MISCONF":
            return _MISCONF
        shown = f" ({code})" if code.isalpha() and code.isupper() and code != password else ""
        return Failure("refused", f"it rejects the command{shown}", by_write=True)
    if isinstance(error, exceptions.ConnectionError | OSError):
        words = str(error).replace(password, "***") if password else str(error)
        return Failure("connection", f"it is unreachable ({printable(words, 200).rstrip('. ')})")
    return Failure("protocol", f"its response is not the Redis protocol ({type(error).__name__})")
