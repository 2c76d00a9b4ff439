"""What can be wrong with a Redis, in a few words and in a sentence that says what to do.

What the server says is not repeated: it repeats commands that it does not know, AUTH with its password among them.
"""

from dataclasses import dataclass

from redis import exceptions

from adapters.printable import printable


@dataclass(frozen=True)
class Failure:
    """A failed command.

    Attributes:
        kind: One of a few words.
        sentence: What is wrong and what to do.
        by_write: Whether Redis refused to write, and may still be read.
    """

    kind: str
    sentence: str
    by_write: bool = False


_TIMEOUT = Failure("timeout", "it does not answer in time")
_FULL = Failure(
    "full", "it is full; let it give up old entries with maxmemory-policy allkeys-lru", by_write=True
)
# In this order: some are subclasses of others.
_BY_CLASS: tuple[tuple[type[Exception], Failure], ...] = (
    (TimeoutError, _TIMEOUT),
    (exceptions.TimeoutError, _TIMEOUT),
    (
        exceptions.AuthenticationError,
        Failure(
            "login",
            "it refuses the user name and password of REDIS_URL, or asks for a password that is not there",
        ),
    ),
    (exceptions.BusyLoadingError, Failure("loading", "it is still loading its data")),
    (exceptions.OutOfMemoryError, _FULL),
    (
        exceptions.ReadOnlyError,
        Failure(
            "read_only",
            "it is a replica that cannot be written to; name the primary in REDIS_URL",
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
        Failure(
            "cluster", "it is one node of a cluster; name a Redis that is none, or a proxy, in REDIS_URL"
        ),
    ),
    (exceptions.ClusterError, Failure("cluster", "it is one node of a cluster, which is down")),
    (exceptions.ClusterCrossSlotError, Failure("cluster", "it is one node of a cluster")),
)
_MISCONF = Failure(
    "full", "it stopped writing since it cannot save its data to disk (MISCONF)", by_write=True
)


def explain(error: Exception, password: str | None) -> Failure:
    """Return what an error of redis-py means.

    Args:
        error: Whatever it raised; parsers trip over rubbish in many ways.
        password: Is never part of the sentence.
    """
    for kind, failure in _BY_CLASS:
        if isinstance(error, kind):
            return failure
    if isinstance(error, exceptions.ResponseError):
        code = str(error).split(" ", 1)[0]
        if code == "MISCONF":
            return _MISCONF
        shown = f" ({code})" if code.isalpha() and code.isupper() and code != password else ""
        return Failure("refused", f"it refuses the command{shown}", by_write=True)
    if isinstance(error, exceptions.ConnectionError | OSError):
        words = str(error).replace(password, "***") if password else str(error)
        return Failure("connection", f"it cannot be reached ({printable(words, 200).rstrip('. ')})")
    return Failure("protocol", f"what it answers is not the Redis protocol ({type(error).__name__})")
