"""REDIS_URL: what can be written, and that its password is never shown."""

from pathlib import Path

import pytest

from adapters.cache.redis_address import RedisAddressError, parse_redis_url
from adapters.settings import SettingsError, load_settings

SECRET = "correct-horse"


def test_host_port_and_database() -> None:
    address = parse_redis_url("redis://redis.internal:6380/3")

    assert (address.scheme, address.shown) == ("redis", "redis://redis.internal:6380")
    assert address.options == {
        "host": "redis.internal",
        "port": 6380,
        "db": 3,
        "username": None,
        "password": None,
    }


@pytest.mark.parametrize("url", ["redis://h", "redis://h/", "redis://h:6379", "redis://h?db=0"])
def test_port_and_database_may_be_left_out(url: str) -> None:
    options = parse_redis_url(url).options

    assert (options["host"], options["port"], options["db"]) == ("h", 6379, 0)


def test_user_name_and_password_are_decoded() -> None:
    options = parse_redis_url("redis://ann:p%40ss%2Fw%23rd@h/0").options

    assert (options["username"], options["password"]) == ("ann", "p@ss/w#rd")
    assert parse_redis_url(f"redis://:{SECRET}@h").options["password"] == SECRET


def test_ipv6() -> None:
    address = parse_redis_url("redis://[2001:db8::1]:6380/0")

    assert address.options["host"] == "2001:db8::1"
    assert address.shown == "redis://[2001:db8::1]:6380"


def test_a_unix_socket() -> None:
    address = parse_redis_url(f"unix://:{SECRET}@/run/redis/redis.sock?db=2")

    assert (address.options["path"], address.options["db"]) == ("/run/redis/redis.sock", 2)
    assert address.options["password"] == SECRET
    assert address.shown == "unix:///run/redis/redis.sock"


def test_tls_verifies_certificate_and_name_unless_the_name_is_waived(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()

    assert parse_redis_url("rediss://h").options["ssl_check_hostname"] is True
    options = parse_redis_url(f"rediss://h/0?ssl_ca_certs={file}&ssl_check_hostname=false").options
    assert (options["ssl_ca_certs"], options["ssl_check_hostname"]) == (str(file), False)


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
