"""How long a request pauses before it is repeated."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from adapters.label_studio.client.retry import RetryPolicy, retry_after_s


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), (" 0 ", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("Sunday, 06-Nov-94 08:49:37 GMT", 0)],
)
def test_seconds_and_dates_are_read(header: str, seconds: float) -> None:
    assert retry_after_s(header) == seconds


def test_a_date_counts_from_now() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert retry_after_s(soon) == pytest.approx(3600, abs=60)


@pytest.mark.parametrize(
    "header", [None, "", "soon", "-1", "1.5", "٣", "Sun, 99 Nov 1994 08:49:37 GMT", "9" * 5000]
)
def test_what_is_no_time_is_ignored(header: str | None) -> None:
    assert retry_after_s(header) in {None, float("inf")}


def test_a_pause_is_never_longer_than_the_policy_allows() -> None:
    policy = RetryPolicy(first_pause_s=1, longest_pause_s=4)
    assert policy.pause_s(0, "3600") == 4
    assert [0.75 * pause <= policy.pause_s(n, None) <= pause for n, pause in enumerate((1, 2, 4, 4))] == [
        True
    ] * 4
