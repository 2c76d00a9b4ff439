"""Findings name the mistake, the people and the keypoints, and right annotations have none."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from benchmarks.label_mistakes import labelled
from benchmarks.made_people import made_person
from wholebody.label_checks.checks import check_frames, check_picture
from wholebody.label_checks.finding import LEAST_SCORE, Finding, Kind, LabelledPerson, suspicion
from wholebody.label_checks.people import missing
from wholebody.schema import FACE_START, KEYPOINT_COUNT, KEYPOINTS, keypoint_index

LEFT_HAND, RIGHT_HAND = slice(91, 112), slice(112, 133)
HEIGHT = 600.0


def signer(seed: int = 6, x: float = 0.0) -> LabelledPerson:
    """A person who faces the camera, of whom everything is annotated."""
    people = (made_person(np.random.default_rng(at), x, 0.0, HEIGHT) for at in count(seed))
    made = next(person for person in people if abs(person.yaw) < 0.3)
    return labelled(replace(made, seen=np.ones(KEYPOINT_COUNT, np.bool_)))


def index(name: str) -> int:
    found = keypoint_index(name)
    assert found is not None
    return found


def exchanged(person: LabelledPerson, one: object, other: object) -> LabelledPerson:
    keypoints = person.keypoints.copy()
    keypoints[one], keypoints[other] = person.keypoints[other], person.keypoints[one]  # type: ignore[index]
    return replace(person, keypoints=keypoints)


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_a_right_person_has_no_finding() -> None:
    assert check_picture([signer()]) == []


def test_swapped_hands_are_named() -> None:
    finding = only(check_picture([exchanged(signer(), LEFT_HAND, RIGHT_HAND)]))

    assert (finding.kind, finding.people) == (Kind.SWAPPED, (0,))
    assert finding.reason == "left and right of the hands are swapped"
    assert finding.keypoints == tuple(range(91, 133))


def test_a_hand_of_the_wrong_side_counts_as_swapped() -> None:
    person = signer()
    seen = person.seen.copy()
    seen[RIGHT_HAND] = False
    keypoints = person.keypoints.copy()
    keypoints[LEFT_HAND] = person.keypoints[RIGHT_HAND]

    finding = only(check_picture([replace(person, keypoints=keypoints, seen=seen)]))

    assert (finding.kind, finding.keypoints) == (Kind.SWAPPED, tuple(range(91, 112)))


def test_a_swap_of_all_keypoints_is_seen_in_the_face() -> None:
    person = signer()
    twins = [keypoint.twin for keypoint in KEYPOINTS]

    found = check_picture([replace(person, keypoints=person.keypoints[twins])])

    assert Kind.SWAPPED in {finding.kind for finding in found}
    assert all(finding.score > LEAST_SCORE for finding in found)


def test_an_exchanged_arm_names_both_people() -> None:
    one, other = signer(), signer(9, x=HEIGHT / 3)
    arm = [7, 9, *range(91, 112)]
    mine, theirs = one.keypoints.copy(), other.keypoints.copy()
    mine[arm], theirs[arm] = other.keypoints[arm], one.keypoints[arm]

    found = check_picture([replace(one, keypoints=mine), replace(other, keypoints=theirs)])

    mixed = only([finding for finding in found if finding.kind is Kind.MIXED])
    assert mixed.people == (0, 1)
    assert "left" in mixed.reason
    assert set(mixed.keypoints) <= set(arm)


def test_an_exchange_leaves_no_second_finding_of_a_swap() -> None:
    one, other = signer(), signer(9, x=HEIGHT / 3)
    arm = [7, 9, *range(91, 112)]
    mine, theirs = one.keypoints.copy(), other.keypoints.copy()
    mine[arm], theirs[arm] = other.keypoints[arm], one.keypoints[arm]

    found = check_picture([replace(one, keypoints=mine), replace(other, keypoints=theirs)])

    assert Kind.SWAPPED not in {finding.kind for finding in found}


def test_a_shifted_finger_is_named() -> None:
    person = signer()
    start = index("left_middle_9")
    keypoints = person.keypoints.copy()
    keypoints[start : start + 4] = np.roll(person.keypoints[start : start + 4], 1, axis=0)

    finding = only(check_picture([replace(person, keypoints=keypoints)]))

    assert finding.kind is Kind.SHIFTED_ORDER
    assert finding.reason == "left hand: the joints of the middle are shifted by one"
    assert finding.keypoints == tuple(range(start, start + 4))


def test_a_reversed_jaw_is_named() -> None:
    person = signer()
    keypoints = person.keypoints.copy()
    jaw = slice(FACE_START, FACE_START + 17)
    keypoints[jaw] = person.keypoints[jaw][::-1]

    finding = only(check_picture([replace(person, keypoints=keypoints)]))

    assert (finding.kind, finding.reason) == (Kind.SHIFTED_ORDER, "face: the jaw is in reverse order")
    assert FACE_START + 8 not in finding.keypoints


def moved_hand(person: LabelledPerson, forgotten: list[int]) -> LabelledPerson:
    predicted = person.keypoints.copy()
    predicted[LEFT_HAND] += 0.2 * HEIGHT
    keypoints = person.keypoints.copy()
    keypoints[forgotten] = predicted[forgotten]
    return replace(person, keypoints=keypoints, predicted=predicted)


def test_a_point_left_at_its_prediction_is_named() -> None:
    finding = only(
        [one for one in check_picture([moved_hand(signer(), [95])]) if one.kind is Kind.LEFT_BEHIND]
    )

    assert finding.keypoints == (95,)
    assert finding.reason == "left_thumb_4 left where predicted, while the points around were moved"


def test_points_that_nobody_moved_are_not_left_behind() -> None:
    person = signer()

    assert check_picture([replace(person, predicted=person.keypoints)]) == []
    assert check_picture([moved_hand(person, [])]) == []


def test_without_a_prediction_nothing_is_left_behind() -> None:
    forgotten = replace(moved_hand(signer(), [95]), predicted=None)

    assert Kind.LEFT_BEHIND not in {finding.kind for finding in check_picture([forgotten])}


def test_a_person_annotated_twice() -> None:
    person = signer()

    finding = only(check_picture([person, replace(person, keypoints=person.keypoints + 3)]))

    assert (finding.kind, finding.people) == (Kind.DOUBLED, (0, 1))


def test_two_people_behind_one_another_are_two() -> None:
    assert check_picture([signer(), signer(9, x=HEIGHT / 8)]) == []


def test_a_predicted_person_without_an_annotation() -> None:
    person, other = signer(), signer(9, x=3 * HEIGHT)

    assert missing([person], [person], [0.9]) == []
    assert only(missing([person], [person, other], [0.9, 0.9])).kind is Kind.MISSING
    assert missing([person], [other], [0.4]) == []


def still(frames: int = 5) -> list[list[LabelledPerson]]:
    person = signer()
    return [[replace(person, keypoints=person.keypoints + 2.0 * at)] for at in range(frames)]


def test_right_frames_have_no_finding() -> None:
    assert check_frames(still()) == [[]] * 5


def test_a_jump_is_found_in_its_frame_only() -> None:
    frames = still()
    keypoints = frames[2][0].keypoints.copy()
    keypoints[index("left_knee")] += 0.6 * HEIGHT
    frames[2] = [replace(frames[2][0], keypoints=keypoints)]

    found = check_frames(frames)

    assert [[one.kind for one in frame] for frame in found] == [[], [], [Kind.JUMP], [], []]
    assert found[2][0].keypoints == (index("left_knee"),)


def test_a_hand_that_moves_as_a_whole_is_no_jump() -> None:
    frames = still()
    arm = [7, 9, *range(91, 112)]
    keypoints = frames[2][0].keypoints.copy()
    keypoints[arm[1:]] += 0.05 * HEIGHT
    frames[2] = [replace(frames[2][0], keypoints=keypoints)]

    assert all(one.kind is not Kind.JUMP for frame in check_frames(frames) for one in frame)


def test_a_swap_of_the_legs_is_seen_beside_the_frames_around() -> None:
    frames = still()
    legs = [13, 15, 17, 18, 19], [14, 16, 20, 21, 22]
    frames[3] = [exchanged(frames[3][0], *legs)]

    found = check_frames(frames)

    assert [len(frame) for frame in found] == [0, 0, 0, 1, 0]
    assert found[3][0].kind is Kind.SWAPPED


def test_a_person_who_is_missing_in_one_frame() -> None:
    frames = still()
    frames[1] = []

    found = check_frames(frames)

    assert [[one.kind for one in frame] for frame in found] == [[], [Kind.MISSING], [], [], []]


@pytest.mark.parametrize("people", [0, 1, 2])
def test_people_without_points_have_no_finding(people: int) -> None:
    nobody = LabelledPerson(
        np.zeros((KEYPOINT_COUNT, 2)), np.zeros(KEYPOINT_COUNT, np.bool_), np.array([0.0, 0, 10, 20])
    )
    apart = replace(nobody, box=np.array([100.0, 0, 110, 20]))

    assert check_picture([nobody, apart][:people]) == []


@pytest.mark.parametrize("seed", range(30))
def test_any_points_can_be_checked(seed: int) -> None:
    random = np.random.default_rng(seed)
    scale = 10.0 ** random.integers(-3, 7)
    shape = (2, KEYPOINT_COUNT, 2)
    keypoints = random.normal(0, scale, shape) if seed % 3 else random.integers(0, 2, shape) * scale
    seen = random.random((2, KEYPOINT_COUNT)) < random.choice([0.02, 0.3, 0.9])
    people = [
        LabelledPerson(k, s, np.array([0.0, 0.0, 50.0, 50.0]), predicted=k[::-1])
        for k, s in zip(keypoints, seen, strict=True)
    ]

    for found in check_frames([people, people[:1], people]):
        assert all(LEAST_SCORE <= finding.score <= 1 for finding in found)


def test_suspicion_is_one_half_at_the_threshold_and_grows() -> None:
    assert suspicion(4.0, 4.0) == LEAST_SCORE
    assert suspicion(-1.0, 4.0) == 0
    assert suspicion(8.0, 4.0) < suspicion(80.0, 4.0) < 1
