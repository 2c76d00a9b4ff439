"""What the benchmarks read of a server's networks from its metrics."""

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from benchmarks.network_work import NetworkWork, network_work, outside_ms


def exposition(*batches: tuple[str, int, float]) -> str:
    """Metrics as a worker writes them: network, crops and seconds of each batch."""
    registry = CollectorRegistry()
    sizes = Histogram(
        "rtmlib_network_batch_size", "", ["network"], buckets=(1, 2, 4, 8, 16), registry=registry
    )
    seconds = Histogram("rtmlib_network_seconds", "", ["network"], registry=registry)
    for network, crops, took in batches:
        sizes.labels(network=network).observe(crops)
        seconds.labels(network=network).observe(took)
    return generate_latest(registry).decode()


def test_seconds_and_batches_are_those_of_each_network():
    work = network_work(
        exposition(("person", 1, 0.5), ("body", 8, 0.25), ("body", 2, 0.125), ("body", 8, 0.25))
    )

    assert work.seconds == {"person": 0.5, "body": 0.625}
    assert work.batch_counts == {"body": {"2": 1, "8": 2}, "person": {"1": 1}}
    assert work.mean_batches == {"body": 6.0, "person": 1.0}


def test_only_what_came_in_between_counts():
    before = network_work(exposition(("body", 8, 4.0)))
    after = network_work(exposition(("body", 8, 4.0), ("body", 2, 0.5), ("person", 1, 0.25)))

    work = after.since(before)

    assert work.seconds == {"person": 0.25, "body": 0.5}
    assert work.batch_counts == {"body": {"2": 1}, "person": {"1": 1}}
    assert work.mean_batches == {"body": 2.0, "person": 1.0}


def test_the_turns_of_a_lane_add_up():
    turn = network_work(exposition(("body", 4, 0.5)))

    assert NetworkWork().plus(turn).plus(turn) == turn.plus(turn)
    assert turn.plus(turn).total_seconds == 1.0
    assert turn.plus(turn).batch_counts == {"body": {"4": 2}}


def test_a_server_without_networks_did_nothing():
    assert network_work("# HELP other Other\n# TYPE other counter\nother_total 3.0\n") == NetworkWork()


def test_outside_the_networks_is_the_mean_latency_less_their_time():
    work = NetworkWork(seconds={"person": 0.2, "body": 0.1})

    assert outside_ms([0.150, 0.170], work) == pytest.approx(10.0)
