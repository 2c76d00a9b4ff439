"""Batches of many callers' crops: everybody gets their own results, and nobody's failure is anybody else's."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runners.serving.batch_sizes import (
    FEWEST_CALLS,
    MAX_CROPS,
    MAX_CROPS_ON_CPU,
    MAX_PICTURES_ON_CPU,
    batch_sizes,
    calls_at_once,
    largest_batch,
)
from runners.serving.batching import Failed, run_calls

Crops = NDArray[np.uint8]
unhurried = settings(deadline=None)  # the machine may be busy with something else

SIZE = (3, 2)
BAD = 255


def crops(values: Sequence[int]) -> Crops:
    """Crops of which each is filled with its own value."""
    return np.array(values, np.uint8)[:, None, None, None] * np.ones((1, *SIZE, 3), np.uint8)


class Network:
    """Answers each crop with its value, fails on a batch with a bad one, and keeps the sizes of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, batch: Crops) -> list[int]:
        self.batches.append(len(batch))
        if batch.shape[1:] != (*SIZE, 3):
            raise ValueError(f"not a crop of this network: {batch.shape[1:]}")
        if (batch == BAD).any():
            raise RuntimeError("a crop that the network cannot digest")
        return batch[:, 0, 0, 0].tolist()


calls_of_values = st.lists(st.lists(st.integers(0, 254), max_size=40), min_size=1, max_size=12)


class TestOwnership:
    @unhurried
    @given(calls_of_values)
    def test_each_call_gets_the_results_of_its_own_crops_in_order(self, calls: list[list[int]]) -> None:
        assert run_calls(Network(), [crops(values) for values in calls]) == calls

    @unhurried
    @given(calls_of_values, st.sampled_from((1, MAX_PICTURES_ON_CPU, MAX_CROPS_ON_CPU, MAX_CROPS)))
    def test_batches_are_powers_of_two_largest_first_and_as_few_as_can_be(
        self, calls: list[list[int]], largest: int
    ) -> None:
        network = Network()
        run_calls(network, [crops(values) for values in calls], largest)
        full, rest = divmod(sum(len(values) for values in calls), largest)
        assert set(network.batches) <= set(batch_sizes(largest))
        assert network.batches == sorted(network.batches, reverse=True)
        assert len(network.batches) == full + rest.bit_count()


class TestFailures:
    @unhurried
    @given(calls_of_values, st.data())
    def test_calls_that_the_network_cannot_digest_fail_alone(
        self, calls: list[list[int]], data: st.DataObject
    ) -> None:
        bad = data.draw(st.sets(st.integers(0, len(calls) - 1)))
        given = [crops([*values, BAD] if i in bad else values) for i, values in enumerate(calls)]
        answers = run_calls(Network(), given)
        assert len(answers) == len(calls)
        for i, answer in enumerate(answers):
            if i in bad:
                assert isinstance(answer, Failed)
                assert answer.reason == "RuntimeError: a crop that the network cannot digest"
            else:
                assert answer == calls[i]

    def test_a_call_of_another_shape_fails_alone(self) -> None:
        wrong = np.zeros((1, 9, 9, 3), np.uint8)
        good, failed, also_good = run_calls(Network(), [crops([1, 2]), wrong, crops([3])])
        assert (good, also_good) == ([1, 2], [3])
        assert failed == Failed("ValueError: not a crop of this network: (9, 9, 3)")

    def test_a_call_without_crops_does_not_need_the_network(self) -> None:
        network = Network()
        assert run_calls(network, [crops([])]) == [[]]
        assert network.batches == []

    def test_a_network_that_answers_for_too_few_crops_has_failed(self) -> None:
        def forgetful(batch: Crops) -> list[Any]:
            return [0] * (len(batch) - 1)

        (answer,) = run_calls(forgetful, [crops([1, 2])])
        assert isinstance(answer, Failed)
        assert "must answer for each crop" in answer.reason

    def test_the_log_has_the_shape_and_the_trace_of_each_failed_call(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            run_calls(Network(), [crops([1]), crops([BAD, 2])])
        (record,) = caplog.records
        assert "(2, 3, 2, 3)" in record.getMessage()
        assert record.exc_info is not None


@pytest.mark.parametrize("device", ["cpu", "cuda:1", "mps"])
@pytest.mark.parametrize("network", ["person", "body"])
def test_as_many_calls_come_together_as_fill_a_batch(network: str, device: str) -> None:
    assert calls_at_once(network, device) >= max(FEWEST_CALLS, largest_batch(network, device))
