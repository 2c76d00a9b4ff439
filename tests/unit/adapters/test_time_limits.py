"""The time limits: each is longer than the one inside of it."""

from itertools import pairwise

import pytest
from pydantic import ValidationError

from adapters.settings import Settings
from adapters.time_limits import TIME_LIMITS, TimeLimits


def test_each_limit_is_longer_than_the_one_before() -> None:
    assert all(shorter < longer for (_, shorter), (_, longer) in pairwise(TIME_LIMITS))


@pytest.mark.parametrize("call_s", [90, 95])
def test_limits_out_of_order_are_refused(call_s: float) -> None:
    with pytest.raises(ValidationError, match=rf"call_s \({call_s} s\) must be less than budget_s \(90 s\)"):
        TimeLimits(call_s=call_s)


def test_the_budget_can_be_lowered_only() -> None:
    field = Settings.model_fields["time_budget_seconds"]
    assert field.default == TIME_LIMITS.budget_s
    with pytest.raises(ValidationError, match="less than or equal to 90"):
        Settings(time_budget_seconds=90.1)
