"""Who is who from frame to frame, on boxes whose true owners are known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wholebody.appearance import clothes_colours
from wholebody.tracking import LOST_AFTER_S, SURE_SCORE, Track, Tracker

WIDTH, HEIGHT = 60.0, 180.0
STEP_S = 0.1
RED, BLUE = (1.0, 0.0), (0.0, 1.0)  # as square roots of shares: nothing in common
Where = Callable[[float], float | None]


@dataclass(frozen=True)
class Person:
    """Somebody whose left edge is at a place at a time; None while unseen."""

    left: Where
    colours: tuple[float, float] = RED
    score: float = 0.9


def followed(
    people: Sequence[Person], seconds: float, *, step_s: float = STEP_S, jitter: float = 0.0
) -> tuple[Track, ...]:
    """Show people to a tracker, in another order in every frame."""
    tracker, noise = Tracker(), np.random.default_rng(1)
    for i in range(round(seconds / step_s) + 1):
        time = i * step_s
        seen = [(one, left) for one in people if (left := one.left(time)) is not None]
        noise.shuffle(seen)
        boxes = np.array([[left, 100, left + WIDTH, 100 + HEIGHT] for _, left in seen], np.float32)
        boxes = boxes.reshape(-1, 4)
        boxes += noise.uniform(-jitter, jitter, boxes.shape).astype(np.float32)
        scores = np.array([one.score for one, _ in seen], np.float32)
        colours = np.array([one.colours for one, _ in seen], np.float32).reshape(-1, 2)
        tracker.look(time, boxes, scores, colours)
    return tracker.tracks()


def owners(tracks: Sequence[Track], people: Mapping[str, Person]) -> list[set[str]]:
    """Who is nearest to each track's boxes, over all of its frames."""
    found: list[set[str]] = []
    for track in tracks:
        names: set[str] = set()
        for one in track.sightings:
            off = {
                name: abs(left - float(one.box[0]))
                for name, person in people.items()
                if (left := person.left(one.time)) is not None
            }
            nearest = min(off, key=off.__getitem__)
            # Where two are on top of each other, either is right.
            if sum(distance < off[nearest] + 10 for distance in off.values()) == 1:
                names.add(nearest)
        found.append(names)
    return found


@settings(max_examples=40, deadline=None)
@given(
    speeds=st.lists(st.floats(-150, 150), min_size=1, max_size=4),
    step_s=st.sampled_from([0.04, 0.1, 0.25]),
    jitter=st.floats(0, 4),
)
def test_people_who_walk_side_by_side_stay_themselves(
    speeds: list[float], step_s: float, jitter: float
) -> None:
    people = {
        str(i): Person(lambda t, i=i, v=v: 1000.0 * i + v * t, RED if i % 2 else BLUE)
        for i, v in enumerate(speeds)
    }
    tracks = followed(list(people.values()), 3, step_s=step_s, jitter=jitter)

    assert sorted(map(sorted, owners(tracks, people))) == [[name] for name in people]
    assert {len(track.sightings) for track in tracks} == {round(3 / step_s) + 1}


@pytest.mark.parametrize("speed", [80, 150, 300])
@pytest.mark.parametrize("same_clothes", [False, True])
def test_two_who_cross_stay_themselves(speed: float, same_clothes: bool) -> None:
    people = {
        "right": Person(lambda t: speed * t),
        "left": Person(lambda t: 3 * speed - speed * t, RED if same_clothes else BLUE),
    }
    tracks = followed(list(people.values()), 3, jitter=2)

    assert sorted(map(sorted, owners(tracks, people))) == [["left"], ["right"]]


def test_two_who_meet_and_turn_back_are_told_apart_by_their_clothes() -> None:
    people = {
        "here": Person(lambda t: 100 * min(t, 3 - t)),
        "there": Person(lambda t: 310 - 100 * min(t, 3 - t), BLUE),
    }
    tracks = followed(list(people.values()), 3, jitter=2)

    assert sorted(map(sorted, owners(tracks, people))) == [["here"], ["there"]]


@settings(max_examples=30, deadline=None)
@given(hidden_s=st.floats(0.1, 0.8), speed=st.floats(60, 250))
def test_who_is_hidden_behind_somebody_comes_out_as_themselves(hidden_s: float, speed: float) -> None:
    middle = 200 / speed + hidden_s / 2
    walker = Person(lambda t: None if abs(t - middle) < hidden_s / 2 else speed * (t - middle) + 300)
    stands = Person(lambda t: 300.0, BLUE)
    tracks = followed([walker, stands], 2 * middle)

    assert len(tracks) == 2
    assert sorted(map(sorted, owners(tracks, {"walker": walker, "stands": stands}))) == [
        ["stands"],
        ["walker"],
    ]


def test_who_comes_back_after_long_is_somebody_new() -> None:
    away = LOST_AFTER_S + 0.5
    tracks = followed([Person(lambda t: None if 1 < t < 1 + away else 50.0)], 2 + away)

    assert [(track.sightings[0].time, track.sightings[-1].time) for track in tracks] == [
        (0.0, pytest.approx(1.0)),
        (pytest.approx(1 + away), pytest.approx(2 + away)),
    ]


def test_who_is_overlooked_in_a_frame_is_not_lost() -> None:
    tracks = followed([Person(lambda t: None if 0.45 < t < 0.55 else 50 + 20 * t)], 1)

    assert [len(track.sightings) for track in tracks] == [10]


def test_a_box_of_low_confidence_begins_nobody() -> None:
    assert followed([Person(lambda t: 50.0, score=SURE_SCORE - 0.1)], 1) == ()


def test_a_box_of_low_confidence_goes_on_with_somebody() -> None:
    tracker = Tracker()
    box = np.array([[0, 0, 50, 150]], np.float32)
    for i, score in enumerate([0.9, 0.9, 0.35, 0.35, 0.9]):
        tracker.look(0.1 * i, box, np.array([score], np.float32), np.array([RED], np.float32))

    (track,) = tracker.tracks()
    assert len(track.sightings) == 5


def test_a_box_in_one_frame_only_is_a_mistake() -> None:
    assert followed([Person(lambda t: 50.0 if 0.45 < t < 0.55 else None)], 1) == ()


def test_a_clip_of_one_frame_has_people() -> None:
    assert len(followed([Person(lambda t: 50.0)], 0)) == 1


def test_people_are_in_the_order_in_which_they_come() -> None:
    tracks = followed(
        [Person(lambda t: 10.0 if t > 0.45 else None), Person(lambda t: 900.0), Person(lambda t: 500.0)], 1
    )
    assert [float(track.sightings[0].box[0]) for track in tracks] == [500, 900, 10]


def test_clothes_of_one_colour_are_alike_and_of_two_are_not() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, :50], picture[:, 50:100], picture[:, 100:] = (200, 40, 30), (30, 40, 200), (200, 40, 30)
    boxes = np.array([[0, 0, 50, 100], [50, 0, 100, 100], [100, 0, 150, 100], [300, 0, 350, 100]], np.float32)

    blue, red, blue_too, outside = clothes_colours(picture, boxes)

    assert blue @ blue_too == pytest.approx(1)
    assert blue @ red == pytest.approx(0)
    assert outside.tolist() == [0] * len(outside)
