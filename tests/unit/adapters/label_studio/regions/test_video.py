"""What a label config asks for on clips, and people followed through clips as regions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.regions.video import PeopleInVideo, VideoRegion, video_regions
from adapters.video.following import FollowedPeople
from wholebody.tracking import Sighting, Track

LABELS = '<Labels name="labels" toName="video"><Label value="Car"/><Label value="Person"/></Labels>'


def config(video: str = "", box: str = "", labels: str = LABELS) -> Any:
    return parse_label_config(
        f'<View><Video name="video" value="$video" {video}/>'
        f'<VideoRectangle name="box" toName="video" {box}/>{labels}</View>'
    )


def seen(*boxes: tuple[float, float], score: float = 0.9) -> Track:
    """A person of 20 × 50 pixels, seen at times and left edges."""
    return Track(
        tuple(Sighting(t, np.array([left, 25, left + 20, 75], np.float32), score) for t, left in boxes)
    )


def regions(
    tracks: Sequence[Track], *, rate: float = 25, seconds: float = 4, threshold: float = 0.0
) -> list[VideoRegion]:
    looks = tuple(i / 10 for i in range(round(seconds * 10)))
    people = FollowedPeople(tuple(tracks), looks, seconds, (200, 100), 0, np.array(looks), "h264")
    (video,) = config().videos
    return video_regions(PeopleInVideo(video, people, rate), person_threshold=threshold)


def frames(region: VideoRegion) -> list[tuple[int, float, bool]]:
    return [(key["frame"], key["x"], key["enabled"]) for key in region["value"]["sequence"]]


def test_the_label_of_people_is_found() -> None:
    found = config(box='model_score_threshold="0.6"')

    (video,) = found.videos
    assert (video.name, video.box, video.label, video.person_threshold) == ("video", "box", "Person", 0.6)
    assert found.problems == ()


def test_a_project_without_labels_gets_boxes_without() -> None:
    assert config(labels="").videos[0].label is None


@pytest.mark.parametrize(
    ("xml", "problem"),
    [
        ('<Video name="v" value="$v"/>', "no VideoRectangle"),
        ('<VideoRectangle name="b" toName="v"/>', "is no Video tag"),
        ('<Video name="v"/>', "has no value"),
        (
            '<Video name="v" value="$v"/><VideoRectangle name="b" toName="v"/>'
            '<Labels name="l" toName="v"><Label value="Car"/><Label value="Dog"/></Labels>',
            "means a person",
        ),
    ],
)
def test_what_is_missing_is_said(xml: str, problem: str) -> None:
    found = parse_label_config(f"<View>{xml}</View>")

    assert found.videos == ()
    assert any(problem in sentence for sentence in found.problems)


def test_labels_of_other_things_are_nobodys_business() -> None:
    found = parse_label_config(
        '<View><Video name="v" value="$v"/><VideoRectangle name="b" toName="v"/><Text name="t" value="$t"/>'
        '<Labels name="l" toName="t"><Label value="Verb"/></Labels></View>'
    )
    assert found.problems == ()
    assert found.videos[0].label is None


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("", 24),
        ('frameRate="25"', 25),
        ('framerate="0.04"', 25),
        ('frameRate="$fps"', 30),
        ('frameRate="$no"', 24),
        ('frameRate="x"', 24),
        ('frameRate="-5"', 24),
        ('frameRate="1e999"', 24),
        ('frameRate="nan"', 24),
    ],
)
def test_frames_are_counted_as_label_studio_does(written: str, rate: float) -> None:
    assert config(written).videos[0].frames_per_second({"video": "x", "fps": 30}) == pytest.approx(rate)


def test_a_person_is_a_region_in_percent() -> None:
    (region,) = regions([seen(*((i / 10, 20) for i in range(40)))])

    assert region["value"]["framesCount"] == 100
    assert region["value"]["duration"] == 4
    assert region["value"]["labels"] == ["Person"]
    assert region["value"]["sequence"][0] == {
        "frame": 1,
        "time": 0.04,
        "x": 10,
        "y": 25,
        "width": 10,
        "height": 50,
        "rotation": 0,
        "enabled": True,
    }


def test_key_frames_on_the_line_between_others_are_left_out() -> None:
    times = [i / 10 for i in range(40)]
    (region,) = regions([seen(*((t, 10 + 20 * min(t, 2)) for t in times))])

    assert frames(region) == [(1, 5, True), (51, 25, True), (99, 25, True)]


def test_who_leaves_is_switched_off() -> None:
    (region,) = regions([seen(*((i / 10, 20) for i in range(20)))])

    assert frames(region) == [(1, 10, True), (49, 10, False)]


def test_who_is_away_for_a_while_is_switched_off_meanwhile() -> None:
    (region,) = regions([seen((0.0, 20), (0.1, 20), (1.5, 60), (1.6, 60))])

    assert frames(region) == [(1, 10, True), (4, 10, False), (39, 30, True), (41, 30, False)]


def test_who_is_overlooked_for_a_moment_stays() -> None:
    (region,) = regions([seen((0.0, 20), (0.4, 20), (3.9, 20))][:1], seconds=0.5)

    assert [enabled for _, _, enabled in frames(region)] == [True, True]


def test_boxes_are_clipped_to_the_picture() -> None:
    (region,) = regions([seen((0.0, -10), (3.9, 190))])

    first, last = region["value"]["sequence"]
    assert (first["x"], first["width"]) == (0, 5)
    assert (last["x"], last["width"]) == (95, 5)


def test_two_moments_of_one_frame_are_one_key_frame() -> None:
    (region,) = regions([seen((0.0, 20), (0.1, 90), (0.2, 20), (3.9, 90))], rate=2)

    numbers = [number for number, _, _ in frames(region)]
    assert numbers == sorted(set(numbers))


def test_people_of_low_scores_are_left_out() -> None:
    assert regions([seen((0.0, 20), (3.9, 20), score=0.4)], threshold=0.5) == []
