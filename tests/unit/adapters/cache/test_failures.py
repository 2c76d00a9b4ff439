"""What is wrong with a Redis: in a sentence that says what to do, once for each change, and never with a password."""

import pytest
from redis import exceptions

from adapters.cache import circuit
from adapters.cache.circuit import Circuit
from adapters.cache.redis_failures import explain

SECRET = "CORRECTHORSE"


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(circuit.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def attempt(tried: Circuit) -> float:
    began = tried.attempt()
    assert began is not None
    return began


class TestCircuit:
    def test_while_all_is_well_everybody_may_try(self, clock: Clock) -> None:
        tried = Circuit()

        assert [tried.succeeded(attempt(tried)) for _ in range(3)] == [False] * 3

    def test_after_a_failure_one_may_try_in_each_period(self, clock: Clock) -> None:
        tried = Circuit()
        tried.failed(attempt(tried), "timeout")

        for _ in range(3):
            assert tried.attempt() is None
            clock.now += circuit.RETRY_PERIOD_S
            assert tried.attempt() is not None
            assert tried.attempt() is None

    def test_the_first_success_lets_everybody_try_again(self, clock: Clock) -> None:
        tried = Circuit()
        tried.failed(attempt(tried), "timeout")
        clock.now += circuit.RETRY_PERIOD_S

        assert tried.succeeded(attempt(tried))
        assert tried.attempt() is not None
        assert tried.attempt() is not None

    def test_only_a_change_is_news(self, clock: Clock) -> None:
        tried = Circuit()
        news: list[bool] = []
        for kind in ("timeout", "timeout", "login", "login", "timeout"):
            news.append(tried.failed(attempt(tried), kind))
            clock.now += circuit.RETRY_PERIOD_S

        assert news == [True, False, True, False, True]

    def test_those_who_began_before_the_failure_change_nothing_any_more(self, clock: Clock) -> None:
        tried = Circuit()
        early = [attempt(tried) for _ in range(3)]
        clock.now += 0.2

        assert tried.failed(early[0], "timeout")
        assert not tried.failed(early[1], "connection")
        assert not tried.succeeded(early[2])
        assert tried.kind == "timeout"


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (TimeoutError(), "timeout", "timed out"),
        (exceptions.TimeoutError("Timeout reading"), "timeout", "timed out"),
        (exceptions.AuthenticationError("invalid username-password pair"), "login", "REDIS_URL"),
        (exceptions.BusyLoadingError("Redis is loading"), "loading", "loading"),
        (exceptions.OutOfMemoryError("command not allowed"), "full", "allkeys-lru"),
        (exceptions.ReadOnlyError("You can't write"), "read_only", "primary"),
        (exceptions.NoPermissionError("no permissions"), "permission", "GETRANGE and SET"),
        (exceptions.MasterDownError("link with MASTER is down"), "read_only", "lost its primary"),
        (exceptions.MovedError("3999 127.0.0.1:6381"), "cluster", "proxy"),
        (exceptions.ClusterDownError("The cluster is down"), "cluster", "down"),
        (exceptions.ResponseError("MISCONF Redis is configured to"), "full", "MISCONF"),
        (exceptions.ResponseError("BUSY a script runs"), "refused", "(BUSY)"),
        (exceptions.ConnectionError("Error 111 connecting to h:6379."), "connection", "Error 111"),
        (ConnectionResetError(104, "Connection reset by peer"), "connection", "reset"),
        (exceptions.InvalidResponse("Protocol Error: 'H'"), "protocol", "not the Redis protocol"),
        (ValueError("rubbish"), "protocol", "not the Redis protocol"),
    ],
)
def test_every_failure_has_a_kind_and_says_what_to_do(error: Exception, kind: str, says: str) -> None:
    failure = explain(error, None)

    assert failure.kind == kind
    assert says in failure.sentence


@pytest.mark.parametrize(
    "error",
    [
        # A server that does not know AUTH repeats it; this is what some proxies answer.
        exceptions.ResponseError(f"unknown command 'AUTH', with args beginning with: '{SECRET}'"),
        exceptions.ResponseError(SECRET),
        exceptions.ResponseError(f"{SECRET} is wrong"),
        exceptions.AuthenticationError(f"invalid password {SECRET}"),
        exceptions.ConnectionError(f"Error connecting to redis://:{SECRET}@h"),
        exceptions.InvalidResponse(f"Protocol Error: '{SECRET}'"),
    ],
)
def test_no_password_is_ever_repeated(error: Exception) -> None:
    assert SECRET not in explain(error, SECRET).sentence


def test_what_is_refused_to_be_written_may_still_be_read() -> None:
    assert explain(exceptions.OutOfMemoryError("x"), None).by_write
    assert explain(exceptions.ReadOnlyError("x"), None).by_write
    assert not explain(exceptions.ConnectionError("x"), None).by_write
    assert not explain(TimeoutError(), None).by_write
