"""The best pairing of two groups."""

from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from wholebody.assignment import best_pairs

values = st.tuples(st.integers(0, 5), st.integers(0, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-10, 10).map(lambda x: round(x, 2)))
)


def best_sum(of: NDArray[np.float64]) -> float:
    """The largest sum by trying all."""
    if of.shape[0] > of.shape[1]:
        of = of.T
    rows = range(of.shape[0])
    return max(sum(of[i, chosen[i]] for i in rows) for chosen in permutations(range(of.shape[1]), len(rows)))


@given(values)
def test_no_other_pairing_is_worth_more(of: NDArray[np.float64]) -> None:
    pairs = best_pairs(of)

    assert len(pairs) == min(of.shape)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert np.isclose(sum(of[pair] for pair in pairs), best_sum(of))


def test_the_nearest_is_given_up_where_both_gain() -> None:
    # Taken greedily, row 0 would have column 0, and nothing be left for row 1.
    assert best_pairs(np.array([[0.9, 0.8], [0.85, 0.0]])) == [(0, 1), (1, 0)]
