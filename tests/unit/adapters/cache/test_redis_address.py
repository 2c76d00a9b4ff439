"""REDIS_URL: what can be written, and that its password is never shown."""

from pathlib import Path
from ssl import CERT_REQUIRED, TLSVersion
from typing import Any

import pytest
from redis.asyncio import Connection, Redis

from adapters.cache.redis_address import RedisAddressError, parse_redis_url
from adapters.settings import SettingsError, load_settings

SECRET = "correct-horse"


def connection(url: str) -> Any:
    """A connection that redis-py would open; it is not opened."""
    return Redis.from_url(parse_redis_url(url).url).connection_pool.make_connection()


def test_host_port_and_database() -> None:
    url = "redis://redis.internal:6380/3"
    made = connection(url)

    assert parse_redis_url(url).shown == "redis://redis.internal:6380"
    assert (type(made), made.host, made.port, made.db) == (Connection, "redis.internal", 6380, 3)
    assert (made.username, made.password) == (None, None)


@pytest.mark.parametrize("url", ["redis://h", "redis://h/", "redis://h:6379", "redis://h?db=0"])
def test_port_and_database_may_be_left_out(url: str) -> None:
    made = connection(url)

    assert (made.host, made.port, made.db) == ("h", 6379, 0)


def test_user_name_and_password_are_decoded() -> None:
    url = "redis://ann:p%40ss%2Fw%23rd@h/0"

    assert (connection(url).username, connection(url).password) == ("ann", "p@ss/w#rd")
    assert parse_redis_url(url).password == "p@ss/w#rd"
    assert connection(f"redis://:{SECRET}@h").password == SECRET


def test_ipv6() -> None:
    url = "redis://[2001:db8::1]:6380/0"

    assert connection(url).host == "2001:db8::1"
    assert parse_redis_url(url).shown == "redis://[2001:db8::1]:6380"


def test_a_unix_socket() -> None:
    url = f"unix://:{SECRET}@/run/redis/redis.sock?db=2"
    made = connection(url)

    assert (made.path, made.db, made.password) == ("/run/redis/redis.sock", 2, SECRET)
    assert parse_redis_url(url).shown == "unix:///run/redis/redis.sock"


def test_tls_verifies_certificate_and_name_unless_the_name_is_waived(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()

    verified = connection("rediss://h").ssl_context
    assert (verified.check_hostname, verified.cert_reqs) == (True, CERT_REQUIRED)
    assert verified.get().minimum_version >= TLSVersion.TLSv1_2
    waived = connection(f"rediss://h/0?ssl_ca_certs={file}&ssl_check_hostname=false").ssl_context
    assert (waived.ca_certs, waived.check_hostname, waived.cert_reqs) == (str(file), False, CERT_REQUIRED)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "write redis://"),
        ("h:6379", "write redis://"),
        ("http://h:6379", "write redis://"),
        ("redis://", "names no host"),
        ("redis:///0", "names no host"),
        ("redis://h:99999", "write redis://"),
        ("redis://h:port", "write redis://"),
        ("redis://[::1", "write redis://"),
        ("redis://h/first", "number of a database"),
        ("redis://h?db=-1", "number of a database"),
        ("unix://", "names no socket"),
        ("unix://run/redis.sock", "names no socket"),
        ("redis://h?ssl_ca_certs=/etc/hosts", "unknown option"),
        ("redis://h?socket_timeout=100", "unknown option"),
        ("rediss://h?ssl_cert_reqs=none", "unknown option"),
        ("rediss://h?ssl_ca_certs=/nowhere/ca.pem", "no such file"),
        ("rediss://h?ssl_check_hostname=perhaps", "true or false"),
        (f"redis://:{SECRET}#1@h/0", "%23"),
        (f"redis://:1?{SECRET}@h/0", "%3F"),
        (f"redis://:{SECRET}/1@h/0", "%2F"),
        (f"unix:///run/redis.sock?{SECRET}@h/0", "unknown option"),
    ],
)
def test_what_cannot_be_used_stops_the_start_without_being_shown(
    url: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RedisAddressError) as refused:
        parse_redis_url(url)
    assert says in str(refused.value)
    assert SECRET not in str(refused.value)

    if url:
        monkeypatch.setenv("REDIS_URL", url)
        with pytest.raises(SettingsError, match=r"REDIS_URL:? ") as wrong:
            load_settings()
        assert says in str(wrong.value)
        assert SECRET not in str(wrong.value)


def test_the_setting_gives_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert load_settings().redis_address is None

    monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@h/1")
    settings = load_settings()
    assert settings.redis_address is not None
    assert settings.redis_address.shown == "redis://h:6379"
    assert SECRET not in repr(settings) + repr(settings.redis_address)
