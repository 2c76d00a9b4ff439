"""The prediction cache in one process: what is kept, for how long, and that nothing is computed twice at once."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import REGISTRY

from adapters.cache.entries import MAX_PEOPLE, FoundPeople, entry_name, picture_digest
from adapters.cache.memory import MemoryStore
from adapters.cache.prediction_cache import PredictionCache, open_prediction_cache
from tests.support.cached_people import Computation, somebody

NOBODY = FoundPeople((), (640, 480))


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def new_cache(limit_bytes: int = 1_000_000) -> PredictionCache:
    return PredictionCache(MemoryStore(limit_bytes))


async def asked_at_once(
    cache: PredictionCache, compute: Callable[[], Awaitable[FoundPeople]], callers: int
) -> list[asyncio.Task[FoundPeople]]:
    tasks = [asyncio.create_task(cache.find("picture", compute)) for _ in range(callers)]
    await asyncio.sleep(0.01)
    return tasks


class TestMemory:
    def test_an_entry_comes_back(self) -> None:
        store = MemoryStore(10_000)
        store.put("a", b"people")

        assert store.get("a") == b"people"
        assert store.get("b") is None

    def test_what_was_used_least_recently_is_given_up_first(self) -> None:
        store = MemoryStore(5_500)
        store.put("a", bytes(1_000))
        store.put("b", bytes(1_000))
        store.put("c", bytes(1_000))
        store.get("a")
        before = count("rtmlib_cache_evictions_total")
        store.put("d", bytes(2_000))

        assert store.get("b") is None
        assert [len(store.get(name) or b"") for name in "acd"] == [1_000, 1_000, 2_000]
        assert count("rtmlib_cache_evictions_total") == before + 1

    def test_the_limit_is_never_passed(self) -> None:
        store = MemoryStore(50_000)
        for number in range(500):
            store.put(f"entry {number % 70}", bytes(number * 37 % 4_000))
            assert store.held_bytes <= 50_000
        assert store.held_bytes > 40_000

    def test_one_that_is_too_large_for_all_of_the_memory_costs_the_others_nothing(self) -> None:
        store = MemoryStore(5_000)
        store.put("a", bytes(1_000))
        store.put("b", bytes(5_001))

        assert store.get("a") is not None
        assert store.get("b") is None

    def test_the_newer_entry_of_a_name_replaces_the_older(self) -> None:
        store = MemoryStore(5_000)
        store.put("a", bytes(2_000))
        held = store.held_bytes
        store.put("a", bytes(1_000))

        assert len(store.get("a") or b"") == 1_000
        assert store.held_bytes == held - 1_000

    def test_the_bytes_held_are_a_metric(self) -> None:
        store = MemoryStore(5_000)
        store.put("a", bytes(2_000))

        assert count("rtmlib_cache_bytes") == store.held_bytes > 2_000

    @pytest.mark.parametrize("length", [30, 1_500])
    def test_the_bytes_counted_are_the_memory_taken(self, length: int) -> None:
        """Small entries, too: those of pictures without people are smaller than their names."""
        store = MemoryStore(100_000_000)
        store.put("first", b"")  # the metrics exist from here on
        tracemalloc.start()
        try:
            counted, before = store.held_bytes, tracemalloc.get_traced_memory()[0]
            for number in range(3_000):
                store.put(
                    entry_name(picture_digest(str(number).encode()), "rtmlib-embedded-1a2b3c4d", None),
                    bytes(length),
                )
            taken = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()

        assert taken * 0.98 <= store.held_bytes - counted <= taken * 1.2


class TestHits:
    async def test_the_second_time_nothing_is_computed(self) -> None:
        cache, compute = new_cache(), Computation()
        hits, misses = count("rtmlib_cache_hits_total", tier="memory"), count("rtmlib_cache_misses_total")

        first = await cache.find("picture", compute)
        second = await cache.find("picture", compute)

        assert compute.begun == 1
        assert first.size == second.size == (640, 480)
        assert (first.people[0].keypoints == second.people[0].keypoints).all()
        assert count("rtmlib_cache_hits_total", tier="memory") == hits + 1
        assert count("rtmlib_cache_misses_total") == misses + 1

    async def test_nobody_in_a_picture_is_kept_as_well(self) -> None:
        cache = new_cache()
        asked = 0

        async def compute() -> FoundPeople:
            nonlocal asked
            asked += 1
            return NOBODY

        assert [(await cache.find("picture", compute)).people for _ in range(2)] == [(), ()]
        assert asked == 1

    async def test_another_name_is_computed_anew(self) -> None:
        cache, compute = new_cache(), Computation()
        await cache.find("picture", compute)
        await cache.find("another", compute)

        assert compute.begun == 2

    async def test_a_crowd_is_answered_but_not_kept(self) -> None:
        cache = new_cache(limit_bytes=10_000_000)
        asked = 0

        async def compute() -> FoundPeople:
            nonlocal asked
            asked += 1
            return FoundPeople((somebody(),) * (MAX_PEOPLE + 1), (640, 480))

        assert [len((await cache.find("p", compute)).people) for _ in range(2)] == [MAX_PEOPLE + 1] * 2
        assert asked == 2

    async def test_a_damaged_entry_is_computed_anew_and_counted(self) -> None:
        memory = MemoryStore(10_000)
        memory.put("picture", b"rubbish")
        compute = Computation()
        garbage = count("rtmlib_cache_errors_total", kind="garbage")

        found = await PredictionCache(memory).find("picture", compute)

        assert (len(found.people), compute.begun) == (1, 1)
        assert count("rtmlib_cache_errors_total", kind="garbage") == garbage + 1

    def test_without_memory_and_redis_there_is_no_cache(self) -> None:
        assert open_prediction_cache(0, None) is None
        assert open_prediction_cache(1, None) is not None


class TestAtOnce:
    async def test_many_who_ask_at_once_share_one_computation(self) -> None:
        cache, compute = new_cache(), Computation(waits=True)
        shared, misses = count("rtmlib_cache_hits_total", tier="flight"), count("rtmlib_cache_misses_total")
        asking = await asked_at_once(cache, compute, 50)
        compute.may_end.set()

        assert {found.size for found in await asyncio.gather(*asking)} == {(640, 480)}
        assert compute.begun == 1
        assert count("rtmlib_cache_hits_total", tier="flight") == shared + 49
        assert count("rtmlib_cache_misses_total") == misses + 1

    async def test_it_goes_on_when_the_one_who_asked_first_has_gone(self) -> None:
        cache, compute = new_cache(), Computation(waits=True)
        first, *others = await asked_at_once(cache, compute, 5)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        compute.may_end.set()

        assert len(await asyncio.gather(*others)) == 4
        assert (compute.begun, compute.cancelled) == (1, 0)

    async def test_it_ends_when_all_have_gone(self) -> None:
        cache, compute = new_cache(), Computation(waits=True)
        asking = await asked_at_once(cache, compute, 5)
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        await asyncio.sleep(0)

        assert compute.cancelled == 1

    async def test_who_asks_after_all_have_gone_gets_a_computation_of_their_own(self) -> None:
        cache, compute = new_cache(), Computation(waits=True)
        (alone,) = await asked_at_once(cache, compute, 1)
        alone.cancel()
        (newcomer,) = await asked_at_once(cache, compute, 1)
        compute.may_end.set()

        assert (await newcomer).size == (640, 480)
        assert (compute.begun, compute.cancelled) == (2, 1)

    async def test_a_failure_reaches_all_who_wait(self) -> None:
        cache, compute = new_cache(), Computation(waits=True, error=RuntimeError("the network failed"))
        asking = await asked_at_once(cache, compute, 5)
        compute.may_end.set()

        results = await asyncio.gather(*asking, return_exceptions=True)
        assert [str(result) for result in results] == ["the network failed"] * 5
        assert compute.begun == 1

    async def test_a_failure_is_not_kept(self) -> None:
        cache = new_cache()
        with pytest.raises(RuntimeError):
            await cache.find("picture", Computation(error=RuntimeError()))

        assert len((await cache.find("picture", Computation())).people) == 1

    async def test_who_asks_again_on_a_failure_does_not_get_that_failure_again(self) -> None:
        cache, fails = new_cache(), Computation(waits=True, error=RuntimeError())

        async def asks_twice() -> FoundPeople:
            with pytest.raises(RuntimeError):
                await cache.find("picture", fails)
            return await cache.find("picture", Computation())

        asking = [asyncio.create_task(asks_twice()) for _ in range(3)]
        await asyncio.sleep(0.01)
        fails.may_end.set()

        assert len(await asyncio.gather(*asking)) == 3

    async def test_different_pictures_do_not_wait_for_each_other(self) -> None:
        cache, slow = new_cache(), Computation(waits=True)
        (waiting,) = await asked_at_once(cache, slow, 1)

        assert (await cache.find("another", Computation())).size == (640, 480)
        slow.may_end.set()
        await waiting
