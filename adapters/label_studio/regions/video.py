"""Writes people in a clip as Label Studio's regions: boxes with key frames.

From the source of Label Studio 1.23.2, and observed: it interpolates a box linearly between two key frames. After a key
frame with `enabled: false` the box is hidden until the next key frame. After the last key frame, if enabled, it stays
to the end of the clip. Frames are counted from 1 and are not the clip's own: frame k is the picture that the player
shows 2 ms after (k - 1) / frameRate seconds.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapters.label_studio.label_config.video import VideoControls
from adapters.label_studio.regions.region import DECIMALS, KeyFrame, VideoBoxValue, VideoRegion, percent_box
from adapters.video.following import FollowedPeople
from wholebody.tracking import Sighting, Track

UNSEEN_S = 0.6
"""A box is hidden if its person was not seen for longer. Shorter gaps are missed detections or short occlusions."""

_TOLERANCE = (
    0.02  # of the box's diagonal: key frames this close to the line between their neighbours are dropped
)
_SEEK_S = 0.002  # offset from a frame's beginning at which the player seeks


@dataclass(frozen=True)
class PeopleInVideo:
    """The people found in the clip of one Video tag.

    Attributes:
        video: The Video tag and its control for people.
        people: The people found.
        frame_rate: Label Studio's frames in a second of this clip.
    """

    video: VideoControls
    people: FollowedPeople
    frame_rate: float


def video_regions(found: PeopleInVideo, *, person_threshold: float, id_prefix: str = "") -> list[VideoRegion]:
    """Return the people of a clip as regions, one for each.

    Args:
        found: The people.
        person_threshold: Lowest mean score of a person, if the label config sets none.
        id_prefix: Prefix of every id.
    """
    video, people = found.video, found.people
    threshold = person_threshold if video.person_threshold is None else video.person_threshold
    frames = max(1, round(people.duration * found.frame_rate))
    regions: list[VideoRegion] = []
    for track in people.tracks:
        score = sum(one.score for one in track.sightings) / len(track.sightings)
        sequence = _sequence(track, people, found.frame_rate, frames)
        if score < threshold or not sequence:
            continue
        value: VideoBoxValue = {
            "framesCount": frames,
            "duration": round(people.duration, 6),
            "sequence": sequence,
        }
        if video.label is not None:
            value["labels"] = [video.label]
        name = f"p{len(regions)}"
        regions.append(
            {
                "id": f"{id_prefix}{name}-box",
                "from_name": video.box,
                "to_name": video.name,
                "type": "videorectangle",
                "score": round(min(max(score, 0.0), 1.0), DECIMALS),
                "meta": {"text": [name]},
                "value": value,
            }
        )
    return regions


def _sequence(track: Track, people: FollowedPeople, frame_rate: float, frames: int) -> list[KeyFrame]:
    last_look = people.looks[-1]
    sequence: list[KeyFrame] = []
    for span in _spans(track.sightings, people.looks):
        kept = _simplified(span)
        stays = span[-1].time >= last_look
        for sighting in kept:
            frame = min(max(math.ceil((sighting.time - _SEEK_S) * frame_rate) + 1, 1), frames)
            box = percent_box(sighting.box, people.size)
            if box is None or (sequence and frame <= sequence[-1]["frame"]):
                continue  # outside the picture, or on the same Label Studio frame as the one before
            sequence.append(
                {"frame": frame, "time": round(frame / frame_rate, 6), **box, "rotation": 0, "enabled": True}
            )
        if sequence and not stays:
            sequence[-1]["enabled"] = False
    return sequence


def _spans(sightings: Sequence[Sighting], looks: Sequence[float]) -> list[list[Sighting]]:
    """Split a track at gaps in which frames were processed but the person was not seen for too long."""
    spans = [[sightings[0]]]
    for before, after in itertools.pairwise(sightings):
        looked_between = any(before.time < look < after.time for look in looks)
        if looked_between and after.time - before.time > UNSEEN_S:
            spans.append([])
        spans[-1].append(after)
    return spans


def _simplified(span: Sequence[Sighting]) -> list[Sighting]:
    """Drop sightings near the line between the others, so annotators have few key frames to correct.

    The Ramer-Douglas-Peucker method, over time instead of a plane.
    """
    boxes = np.array([one.box for one in span], np.float64)
    times = np.array([one.time for one in span])
    diagonals = np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    kept = {0, len(span) - 1}
    pieces = [(0, len(span) - 1)]
    while pieces:
        first, last = pieces.pop()
        between = np.arange(first + 1, last)
        if not len(between):
            continue
        share = ((times[between] - times[first]) / (times[last] - times[first]))[:, np.newaxis]
        line = boxes[first] + share * (boxes[last] - boxes[first])
        off = np.abs(boxes[between] - line).max(axis=1) / np.maximum(diagonals[between], 1e-6)
        worst = int(off.argmax())
        if off[worst] > _TOLERANCE:
            middle = int(between[worst])
            kept.add(middle)
            pieces += [(first, middle), (middle, last)]
    return [span[i] for i in sorted(kept)]
