"""The prediction cache with a real Redis: what servers share, and that nothing that Redis does costs an answer."""

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from adapters.cache import circuit
from adapters.cache.entries import encode, entry_name
from adapters.cache.prediction_cache import PredictionCache, open_prediction_cache
from adapters.cache.redis_address import parse_redis_url
from adapters.cache.redis_store import KEPT_S, LIMIT_S
from tests.conftest import Within
from tests.service.conftest import StartServer
from tests.service.picture_server import PictureServer
from tests.service.redis_server import RedisServer, redis_server, required, wire
from tests.service.server import free_port
from tests.support.cached_people import FOUND, Computation

ROOT = Path(__file__).parents[2]
SECRET = "correct-horse"
PERIOD_S = 0.4
"""In place of RETRY_PERIOD_S: tests should not wait longer than what they show."""
NAME = entry_name("d1", "rtmlib-test-1a2b3c4d", None)


@pytest.fixture(autouse=True)
def short_period(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "RETRY_PERIOD_S", PERIOD_S)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def errors(kind: str) -> float:
    return REGISTRY.get_sample_value("rtmlib_cache_errors_total", {"kind": kind}) or 0.0


def hits(tier: str) -> float:
    return REGISTRY.get_sample_value("rtmlib_cache_hits_total", {"tier": tier}) or 0.0


@asynccontextmanager
async def cache_at(url: str, memory_bytes: int = 0) -> AsyncIterator[PredictionCache]:
    """A cache that keeps nothing in memory unless it is told to, as another process would see Redis."""
    cache = open_prediction_cache(memory_bytes, parse_redis_url(url))
    assert cache is not None
    async with asyncio.timeout(30), cache:
        yield cache


async def until(holds: Callable[[], bool], limit_s: float = 5) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


class TestShared:
    def test_what_one_process_computed_another_finds(self, redis: RedisServer) -> None:
        async def compute_here() -> None:
            async with cache_at(redis.url) as cache:
                await cache.find(NAME, Computation())

        asyncio.run(compute_here())
        script = (
            "import asyncio, sys; from adapters.cache.prediction_cache import open_prediction_cache;"
            "from adapters.cache.redis_address import parse_redis_url\n"
            "async def never(): raise SystemExit('computed')\n"
            "async def main():\n"
            "    async with open_prediction_cache(0, parse_redis_url(sys.argv[1])) as cache:\n"
            "        found = await cache.find(sys.argv[2], never)\n"
            "        print(found.size, found.people[0].keypoints.tobytes().hex())\n"
            "asyncio.run(main())"
        )
        other = subprocess.run(
            [sys.executable, "-c", script, redis.url, NAME],
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )

        assert other.stdout.strip() == f"(640, 480) {FOUND.people[0].keypoints.tobytes().hex()}", other.stderr

    async def test_what_was_found_in_redis_is_kept_in_memory(self, redis: RedisServer) -> None:
        async with cache_at(redis.url) as cache:
            await cache.find(NAME, Computation())
        compute, from_redis, from_memory = Computation(), hits("redis"), hits("memory")
        async with cache_at(redis.url, memory_bytes=100_000) as cache:
            await cache.find(NAME, compute)
            await cache.find(NAME, compute)

        assert compute.begun == 0
        assert (hits("redis"), hits("memory")) == (from_redis + 1, from_memory + 1)

    async def test_an_entry_is_one_key_that_is_forgotten_after_a_week(self, redis: RedisServer) -> None:
        async with cache_at(redis.url) as cache:
            await cache.find(NAME, Computation())

        assert redis.names() == [NAME]
        assert KEPT_S - 60 < int(redis.ask("TTL", NAME)) <= KEPT_S == 7 * 24 * 3600

    async def test_a_unix_socket_and_a_database_of_ones_own(self, redis: RedisServer) -> None:
        async with cache_at(f"unix://{redis.socket_path}?db=3") as cache:
            await cache.find(NAME, Computation())

        assert redis.names() == []
        assert redis.ask("-n", "3", "DBSIZE").strip() == "1"

    async def test_a_user_who_may_do_nothing_else(self, redis: RedisServer) -> None:
        redis.ask("ACL", "SETUSER", "ann", "on", f">{SECRET}", "~rtmlib:*", "+getrange", "+set")
        compute = Computation()
        async with cache_at(f"redis://ann:{SECRET}@127.0.0.1:{redis.port}/0") as cache:
            await cache.find(NAME, compute)
            await until(lambda: redis.names() == [NAME])
            await cache.find(NAME, compute)

        assert compute.begun == 1

    async def test_many_at_once(self, redis: RedisServer) -> None:
        names = [entry_name(f"d{number}", "v", None) for number in range(32)]
        failed = errors("connection") + errors("timeout")
        async with cache_at(redis.url) as cache:
            await asyncio.gather(*(cache.find(name, Computation()) for name in names))
        found_before = hits("redis")
        async with cache_at(redis.url) as cache:
            await asyncio.gather(*(cache.find(name, Computation()) for name in names))

        assert errors("connection") + errors("timeout") == failed
        assert hits("redis") == found_before + 32


class TestGone:
    @pytest.mark.promise("redis-absent")
    async def test_without_a_redis_everything_is_computed(self, caplog: pytest.LogCaptureFixture) -> None:
        compute, failed = Computation(), errors("connection")
        async with cache_at("redis://127.0.0.1:1/0") as cache:
            for _ in range(20):
                await cache.find(NAME, compute)

        assert compute.begun == 20
        assert errors("connection") == failed + 1, "the others did not even try"
        (line,) = caplog.messages
        assert line.startswith("Predictions are not shared: redis://127.0.0.1:1: it is unreachable (")

    async def test_a_name_that_does_not_exist(self, caplog: pytest.LogCaptureFixture, within: Within) -> None:
        async with cache_at("redis://redis.invalid/0") as cache:
            with within(LIMIT_S + 0.2):
                assert (await cache.find(NAME, Computation())).size == (640, 480)
        assert len(caplog.messages) == 1

    @pytest.mark.promise("redis-restarted")
    async def test_killed_and_started_again_in_the_middle(
        self, redis: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        compute = Computation()
        async with cache_at(redis.url) as cache:
            await cache.find(NAME, compute)
            redis.kill()
            for _ in range(5):
                await cache.find(NAME, compute)
            redis.start()
            await asyncio.sleep(PERIOD_S)
            await cache.find(NAME, compute)
            await until(lambda: redis.names() == [NAME])
            begun = compute.begun
            await cache.find(NAME, compute)

        assert compute.begun == begun
        assert ["responds again" in line for line in caplog.messages] == [False, True]

    @pytest.mark.promise("redis-killed-under-load")
    async def test_killed_under_load(self, redis: RedisServer) -> None:
        async def caller(number: int, cache: PredictionCache) -> None:
            for turn in range(100):
                found = await cache.find(entry_name(f"d{turn % 7}", f"v{number % 3}", None), Computation())
                assert len(found.people) == 1

        async with cache_at(redis.url) as cache:
            calling = [asyncio.create_task(caller(number, cache)) for number in range(20)]
            await asyncio.sleep(0.05)
            redis.kill()
            await asyncio.sleep(0.05)
            redis.start()
            await asyncio.gather(*calling)


class TestSlow:
    @pytest.mark.promise("redis-silent")
    async def test_one_that_never_answers_costs_one_short_wait_in_a_period(
        self, caplog: pytest.LogCaptureFixture, within: Within
    ) -> None:
        compute, failed = Computation(), errors("timeout")
        async with wire(None) as silent, cache_at(silent.url) as cache:
            for _ in range(2):
                with within(LIMIT_S + 0.2):
                    for _ in range(10):
                        assert (await cache.find(NAME, compute)).size == (640, 480)
                await asyncio.sleep(PERIOD_S)

        assert compute.begun == 20
        assert errors("timeout") == failed + 2
        assert (
            [line for line in caplog.messages if "timed out" in line]
            == caplog.messages[:1]
            == caplog.messages
        )

    async def test_paused(self, redis: RedisServer, within: Within) -> None:
        compute = Computation()
        async with cache_at(redis.url) as cache:
            await cache.find(NAME, compute)
            await until(lambda: redis.names() == [NAME])
            redis.ask("CLIENT", "PAUSE", "600")
            with within(0.5):
                assert (await cache.find(NAME, compute)).size == (640, 480)
            assert compute.begun == 2
            await asyncio.sleep(0.6 + PERIOD_S)
            await cache.find(NAME, compute)

        assert compute.begun == 2, "it is asked again when the pause is over"

    async def test_at_the_end_nobody_waits_for_it(self) -> None:
        async with wire(None) as silent:
            async with cache_at(silent.url) as cache:
                asking = asyncio.create_task(cache.find(NAME, Computation()))
                await asyncio.sleep(0.05)
                started = time.perf_counter()
            assert time.perf_counter() - started < 3 * LIMIT_S
            await asking


class TestRefusals:
    @pytest.mark.promise("redis-full")
    async def test_a_full_one_is_still_read(
        self, redis: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        another = entry_name("d2", "v", None)
        async with cache_at(redis.url) as cache:
            await cache.find(NAME, Computation())
            await until(lambda: redis.names() == [NAME])
            redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
            redis.ask("CONFIG", "SET", "maxmemory", "1")
            failed = errors("full")
            for _ in range(5):
                await cache.find(another, Computation())
                await asyncio.sleep(0.02)
            compute = Computation()
            await cache.find(NAME, compute)
            assert (compute.begun, errors("full")) == (0, failed + 1)

            redis.ask("CONFIG", "SET", "maxmemory", "0")
            await asyncio.sleep(PERIOD_S)
            await cache.find(another, Computation())
            await until(lambda: another in redis.names())

        refused, again = caplog.messages
        assert refused.startswith("Predictions are not written: redis://127.0.0.1:")
        assert "allkeys-lru" in refused
        assert "accepts predictions again" in again

    async def test_one_that_gives_up_old_entries_is_as_good(self, tmp_path: Path) -> None:
        with redis_server(tmp_path, "--maxmemory", "2mb", "--maxmemory-policy", "allkeys-lru") as small:
            failed = errors("full")
            async with cache_at(small.url) as cache:
                for number in range(2_000):
                    await cache.find(entry_name(f"d{number}", "v", None), Computation())

            assert errors("full") == failed
            assert 0 < int(small.ask("DBSIZE")) < 2_000

    @pytest.mark.promise("redis-failover")
    async def test_a_failover_is_followed_to_the_new_primary(
        self, redis: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The name leads to the new primary, and open connections stay with the old one, which is its replica now."""
        folder = tmp_path / "new"
        folder.mkdir()
        with redis_server(folder, "--repl-diskless-sync-delay", "0") as new:
            async with wire(redis.port) as name, cache_at(name.url) as cache:
                await cache.find(NAME, Computation())
                await until(lambda: redis.names() == [NAME])
                redis.ask("REPLICAOF", "127.0.0.1", str(new.port))
                await until(lambda: "master_link_status:up" in redis.ask("INFO", "replication"))
                name.target = new.port
                await cache.find(NAME, Computation())
                await until(lambda: any("primary" in line for line in caplog.messages))
                await asyncio.sleep(PERIOD_S)
                await cache.find(NAME, Computation())
                await until(lambda: new.names() == [NAME])

        refused, again = caplog.messages
        assert "it is a read-only replica; set REDIS_URL to the primary" in refused
        assert "accepts predictions again" in again

    async def test_a_node_of_a_cluster(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with redis_server(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as node:
            compute, failed = Computation(), errors("cluster")
            async with cache_at(node.url) as cache:
                await cache.find(NAME, compute)
                await cache.find(NAME, compute)

        assert (compute.begun, errors("cluster")) == (2, failed + 1)
        assert "it is one node of a cluster" in caplog.messages[0]

    @pytest.mark.parametrize("login", ["", ":wrong-password@", "nobody:wrong-password@"])
    async def test_a_wrong_or_missing_password_is_explained_and_not_shown(
        self, login: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        with redis_server(tmp_path, "--requirepass", SECRET) as guarded:
            compute, failed = Computation(), errors("login")
            async with cache_at(f"redis://{login}127.0.0.1:{guarded.port}/0") as cache:
                await cache.find(NAME, compute)
            assert (compute.begun, errors("login")) == (1, failed + 1)
            async with cache_at(f"redis://:{SECRET}@127.0.0.1:{guarded.port}/0") as cache:
                await cache.find(NAME, compute)

        explained = [line for line in caplog.messages if "not shared" in line]
        assert len(explained) == 1
        assert "it rejects the user name and password of REDIS_URL" in explained[0]
        assert not any("wrong-password" in line or SECRET in line for line in caplog.messages)


class TestGarbage:
    @pytest.mark.promise("redis-garbage")
    async def test_what_is_no_entry_is_computed_anew_and_written_over(self, redis: RedisServer) -> None:
        rubbish: list[list[str | bytes]] = [
            ["SET", NAME, "rubbish"],
            ["SET", NAME, encode(FOUND)[:-1].replace(b"\0", b"0")],
            ["RPUSH", NAME, "a", "list"],
            ["HSET", NAME, "a", "hash"],
            ["SETRANGE", NAME, "50000000", "large"],
        ]
        for command in rubbish:
            redis.ask("DEL", NAME)
            redis.ask(*command)
            compute, failed = Computation(), errors("garbage")
            async with cache_at(redis.url) as cache:
                await cache.find(NAME, compute)
                await until(lambda: redis.ask("STRLEN", NAME).strip() == str(len(encode(FOUND))))
                await cache.find(NAME, compute)

            assert (compute.begun, errors("garbage")) == (1, failed + 1), command

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\0\xff" * 1000,
            b":1\r\n",
            b"*-1\r\n",
            b"$-5\r\n",
            b"-MOVED x\r\n",
            b"",
        ],
    )
    async def test_something_else_that_answers_on_its_port(self, answer: bytes, within: Within) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(4096):
                writer.write(answer)
                await writer.drain()
                if not answer:
                    break
            writer.close()

        compute = Computation()
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with cache_at(f"redis://:{SECRET}@127.0.0.1:{port}/0") as cache:
                for _ in range(3):
                    with within(0.6):
                        assert (await cache.find(NAME, compute)).size == (640, 480)

        assert compute.begun == 3


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """A certificate that nobody signed but itself, for 127.0.0.1; its key lies beside it."""
        path = tmp_path / "redis.crt"
        command = [required("openssl", "openssl"), "req", "-x509", "-newkey", "ec"]
        command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=redis"]
        command += [
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            str(path.with_suffix(".key")),
            "-out",
            str(path),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        return path

    @pytest.fixture
    def tls(self, tmp_path: Path, certificate: Path) -> Iterator[RedisServer]:
        files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(certificate.with_suffix(".key"))]
        server = RedisServer(tmp_path)
        with redis_server(tmp_path) as plain:  # finds a free port
            server.port = plain.port
        server.options = ["--port", "0", "--tls-port", str(server.port), *files, "--tls-auth-clients", "no"]
        server.options += ["--requirepass", SECRET]
        try:
            server.start()
            yield server
        finally:
            server.kill()

    @pytest.mark.promise("redis-tls")
    async def test_with_its_certificate_and_its_password(self, tls: RedisServer, certificate: Path) -> None:
        url = f"rediss://:{SECRET}@127.0.0.1:{tls.port}/0?ssl_ca_certs={certificate}"
        compute = Computation()
        for _ in range(2):
            async with cache_at(url) as cache:
                await cache.find(NAME, compute)

        assert compute.begun == 1

    @pytest.mark.promise("redis-untrusted-certificate")
    async def test_a_certificate_that_nobody_vouches_for_is_refused(
        self, tls: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        compute = Computation()
        async with cache_at(f"rediss://:{SECRET}@127.0.0.1:{tls.port}/0") as cache:
            await cache.find(NAME, compute)

        assert compute.begun == 1
        assert "CERTIFICATE_VERIFY_FAILED" in caplog.messages[0]
        assert SECRET not in caplog.text

    async def test_a_certificate_for_another_name_is_refused_unless_that_is_waived(
        self, tls: RedisServer, certificate: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        url = f"rediss://:{SECRET}@localhost:{tls.port}/0?ssl_ca_certs={certificate}"
        async with cache_at(url) as cache:
            await cache.find(NAME, Computation())
        assert "CERTIFICATE_VERIFY_FAILED" in caplog.messages[0]

        compute = Computation()
        for _ in range(2):
            async with cache_at(url + "&ssl_check_hostname=false") as cache:
                await cache.find(NAME, compute)
        assert compute.begun == 1


class TestService:
    @pytest.mark.promise("redis-shared")
    def test_two_servers_share_what_one_of_them_computed(
        self, redis: RedisServer, start_server: StartServer, pictures: PictureServer, figure: str
    ) -> None:
        first = start_server(ALLOWED_IMAGE_HOSTS="127.0.0.1", REDIS_URL=redis.url)
        second = start_server(ALLOWED_IMAGE_HOSTS="127.0.0.1", REDIS_URL=redis.url)

        (computed,) = first.predict(figure)
        (shared,) = second.predict(figure)

        assert computed["result"]
        assert json.dumps(shared) == json.dumps(computed)
        assert first.metric("rtmlib_cache_misses_total") == 1
        assert second.metric("rtmlib_cache_misses_total") == 0
        assert second.metric("rtmlib_cache_hits_total", tier="redis") == 1
        assert second.metric("rtmlib_stage_seconds_count", stage="decode") == 0, "a hit is not even decoded"
