"""The comparison's arithmetic, and what its tables say."""

import pytest

from benchmarks.comparison_page import Found, PictureCost, lanes_table, page, picture_cost, ratio

PEER = "peer, 8 callers"


def found() -> Found:
    return Found(
        rates={
            "loop": [1.0, 2.0, 4.0],
            "engine (onnxruntime, exact)": [4.0, 8.0, 16.0],
            PEER: [2.0, 4.0, 8.0],
            "service (onnxruntime, exact), 1 callers": [3.0, 6.0, 12.0],
        },
        outside_ms={"service (onnxruntime, exact), 1 callers": 12.34},
    )


def cells(table: str, lane: str) -> dict[str, str]:
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
    return dict(zip(rows[0], next(row for row in rows if row[0] == lane), strict=True))


def test_ratios_are_those_of_the_same_round():
    # The machine became twice as fast from round to round: a ratio of medians over other rounds would not be 1.5.
    assert ratio(found(), "service (onnxruntime, exact), 1 callers", PEER) == 1.5


def test_a_service_is_compared_with_peer_loop_and_its_own_engine():
    row = cells(lanes_table(found(), PEER), "service (onnxruntime, exact), 1 callers")

    assert row["to the peer"] == "1.50"
    assert row["to the loop"] == "3.00"
    assert row["to the engine"] == "0.75"
    assert row["outside the networks, ms"] == "12.3"


def test_what_was_not_measured_stays_empty():
    table = lanes_table(found(), PEER)

    assert cells(table, "loop")["outside the networks, ms"] == ""
    assert "GPU in use, %" not in table


def test_a_picture_costs_the_time_between_two():
    cost = picture_cost([(10.0, 12.5), (5.0, 6.0), (2.0, 2.3)])

    assert cost == PictureCost(served_ms=200.0, engine_ms=166.7, ratio=1.2)


@pytest.mark.parametrize(("ratio_of_20", "said"), [(1.15, "reached"), (1.16, "missed")])
def test_twenty_people_may_cost_15_percent_more_than_the_networks_alone(ratio_of_20: float, said: str):
    costs = {1: PictureCost(100, 50, 2.0), 20: PictureCost(1000, 900, ratio_of_20)}

    assert f"costs {ratio_of_20} times what the networks alone do; the goal, 1.15 at most, is {said}" in page(
        {}, {"auto": costs}, PEER
    )
    assert "| 1 | 100 | 50 | +100 % |" in page({}, {"auto": costs}, PEER)


def test_an_engine_that_does_not_run_here_is_named_with_the_reason():
    one = found()
    one.lacking["tensorrt, auto"] = "TensorRT does not start on this machine."

    assert "Not measured: tensorrt, auto. TensorRT does not start on this machine." in page(
        {"networks": one}, {}, PEER
    )
