"""Accuracy of the embedded networks' hands and faces, compared with MediaPipe's Holistic.

    uv run python -m benchmarks.accuracy --photos DIR [--video FILE] --out DIR [--holistic PYTHON]

Writes to the folder: an overlay of each picture, an enlarged overlay and a plain crop of each person, and
`accuracy.json` with the figures. `--holistic` names the Python of an environment with MediaPipe's solutions: Holistic
then runs on each person's crop, and the distances to our points are printed (see benchmarks/README.md).
"""

import argparse
import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapters.concurrency.container_limits import usable_cpus
from adapters.pictures.overlay import draw_people
from runners.config import RunnerConfig
from runners.pipeline import assemble_in_process
from runners.plan import fetch
from wholebody.faces import face_keypoints
from wholebody.geometry import Picture
from wholebody.person import Person
from wholebody.pipeline import find_people
from wholebody.schema import PART_RANGES, Part

HOLISTIC = Path(__file__).with_name("holistic.py")
HOLISTIC_LIMIT_S = 1800
MARGIN = 0.2
"""Margin of a person's crop, as a share of the longer side of their box."""
SAME_PERSON = 0.1
"""Largest mean distance of Holistic's shoulders and hips from ours, in box diagonals, to count as the same person."""
DRAWN_SCORE = 0.3
FOUND_PARTS = (Part.LEFT_HAND, Part.RIGHT_HAND, Part.FACE)

# Left and right shoulder, left and right hip: in COCO's and in MediaPipe's numbering.
TORSO, MEDIAPIPE_TORSO = [5, 6, 11, 12], [11, 12, 23, 24]

Points = NDArray[np.float64]


@dataclass(frozen=True)
class CutOut:
    """The crop of a person, Holistic's input.

    Attributes:
        name: The picture's name and the person's number.
        person: The person in the whole picture.
        corner: x, y of the crop's upper left corner in the picture, pixels, shape (2,).
        size: Width and height of the crop, pixels, shape (2,).
    """

    name: str
    person: Person
    corner: NDArray[np.int64]
    size: NDArray[np.int64]


def pictures(photos: Path, video: Path | None) -> Iterator[tuple[str, Picture]]:
    """Yield the photographs of a folder and the frames of a video, each with a name, BGR."""
    if not photos.is_dir():
        raise SystemExit(f"{photos} is no folder: name one with photographs.")
    for file in sorted(photos.iterdir()):
        if file.suffix.lower() in {".jpg", ".jpeg", ".png"}:
            picture = cv2.imread(str(file))
            if picture is None:
                raise SystemExit(f"{file} is not a picture that OpenCV can read.")
            yield file.stem, np.asarray(picture, np.uint8)
    if video is not None:
        frames = cv2.VideoCapture(str(video))
        number = 0
        while (read := frames.read())[0]:
            yield f"{video.stem}-{number:02}", np.asarray(read[1], np.uint8)
            number += 1
        if not number:
            raise SystemExit(f"{video} has no frames that OpenCV can read.")


def is_found(person: Person, part: Part) -> bool:
    """Tell whether a part was found; its keypoints are found together or not at all."""
    return bool(np.all(person.scores[list(PART_RANGES[part])] > 0))


def draw(picture: Picture, people: list[Person], scale: float, corner: Points) -> Picture:
    """Return the enlarged picture from a corner on, with its people drawn."""
    canvas = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    origin = corner.astype(np.float32)
    enlarged = [
        replace(
            person,
            box=(person.box - np.tile(origin, 2)) * np.float32(scale),
            keypoints=(person.keypoints - origin) * np.float32(scale),
        )
        for person in people
    ]
    return draw_people(np.asarray(canvas, np.uint8), enlarged, DRAWN_SCORE)


def cut_out(name: str, picture: Picture, person: Person) -> CutOut:
    """Return a person's crop inside the picture."""
    low, high = person.box[:2], person.box[2:]
    margin = MARGIN * float((high - low).max())
    size = np.array(picture.shape[1::-1])
    start = np.clip(np.floor(low - margin), 0, size - 1).astype(np.int64)
    end = np.clip(np.ceil(high + margin), start + 1, size).astype(np.int64)
    return CutOut(name, person, start, end - start)


async def find_and_draw(photos: Path, video: Path | None, out: Path) -> tuple[dict[str, Any], list[CutOut]]:
    """Detect the people in all pictures, draw them, count their parts, and write their crops for Holistic."""
    detector, estimator = assemble_in_process(fetch(RunnerConfig("embedded", "cpu", usable_cpus(), None)))
    counts: dict[str, Any] = {}
    cut_outs: list[CutOut] = []
    for name, picture in pictures(photos, video):
        people = await find_people(picture, detector, estimator)
        found = Counter(part.value for person in people for part in FOUND_PARTS if is_found(person, part))
        counts[name] = {"people": len(people), **{part.value: found[part.value] for part in FOUND_PARTS}}
        cv2.imwrite(str(out / f"{name}.png"), draw(picture, people, 1.5, np.zeros(2)))
        for number, person in enumerate(people):
            cut = cut_out(f"{name}-person{number}", picture, person)
            (x, y), (width, height) = cut.corner.tolist(), cut.size.tolist()
            plain = picture[y : y + height, x : x + width]
            cv2.imwrite(str(out / "people" / f"{cut.name}.png"), plain)
            scale = 900 / max(width, height)
            cv2.imwrite(str(out / f"{cut.name}.png"), draw(plain, [person], scale, cut.corner))
            cut_outs.append(cut)
    return counts, cut_outs


def compare(cut: CutOut, seen: dict[str, Any]) -> dict[str, Any]:
    """Compare one person with Holistic's result for their crop.

    Returns:
        `same_person`; for each part, which of the two found it, and the distances of its points in box diagonals.
    """

    def in_picture(part: str) -> Points | None:
        points = seen.get(part)
        return None if points is None else np.array(points) * cut.size + cut.corner

    person = cut.person
    diagonal = float(np.linalg.norm(person.box[2:] - person.box[:2]))
    pose = in_picture("pose")
    if pose is None:
        return {"same_person": False}
    torso = np.linalg.norm(pose[MEDIAPIPE_TORSO] - person.keypoints[TORSO], axis=1).mean() / diagonal
    result: dict[str, Any] = {"same_person": bool(torso < SAME_PERSON)}
    for part in FOUND_PARTS:
        points = in_picture(part.value)
        ours = is_found(person, part)
        result[part.value] = {(True, True): "both", (True, False): "ours", (False, True): "holistic"}.get(
            (ours, points is not None), "none"
        )
        if ours and points is not None:
            theirs = face_keypoints(points) if part is Part.FACE else points
            apart = np.linalg.norm(theirs - person.keypoints[list(PART_RANGES[part])], axis=1) / diagonal
            result[f"{part.value}_distances"] = apart.round(5).tolist()
    return result


def summary(compared: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return counts and distances of hands and faces, over all people found by both."""
    same = [one for one in compared.values() if one["same_person"]]
    lines: dict[str, Any] = {"people": len(compared), "the same person": len(same)}
    for label, parts in (("hands", FOUND_PARTS[:2]), ("face", FOUND_PARTS[2:])):
        who = Counter(one[part.value] for one in same for part in parts)
        lines[label] = {"found by": {key: who[key] for key in ("both", "ours", "holistic", "none")}}
        all_apart = [d for one in same for part in parts for d in one.get(f"{part.value}_distances", [])]
        if all_apart:
            medians = [
                np.median(one[key])
                for one in same
                for part in parts
                if (key := f"{part.value}_distances") in one
            ]
            lines[label]["distance in box diagonals"] = {
                "median": round(float(np.median(all_apart)), 5),
                "worst median of a hand or face": round(float(max(medians)), 5),
                "95th percentile": round(float(np.percentile(all_apart, 95)), 5),
                "worst": round(max(all_apart), 5),
            }
    return lines


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True, help="Folder of photographs.")
    parser.add_argument("--video", type=Path, help="Video whose frames are looked at as well.")
    parser.add_argument("--out", type=Path, required=True, help="Folder for overlays and numbers.")
    parser.add_argument("--holistic", type=Path, help="Python with mediapipe==0.10.21 installed.")
    arguments = parser.parse_args()
    out: Path = arguments.out
    (out / "people").mkdir(parents=True, exist_ok=True)

    counts, cut_outs = asyncio.run(find_and_draw(arguments.photos, arguments.video, out))
    report: dict[str, Any] = {"found": counts}
    width = max(map(len, counts), default=0)
    for name, found in counts.items():
        print(f"{name:{width}}  " + "  ".join(f"{part} {count}" for part, count in found.items()))
    if arguments.holistic:
        answers = out / "holistic.json"
        files = [str(out / "people" / f"{cut.name}.png") for cut in cut_outs]
        subprocess.run([arguments.holistic, HOLISTIC, answers, *files], check=True, timeout=HOLISTIC_LIMIT_S)
        seen = json.loads(answers.read_text())
        report["compared"] = {cut.name: compare(cut, seen[cut.name]) for cut in cut_outs}
        report["summary"] = summary(report["compared"])
        print(json.dumps(report["summary"], indent=2))
    (out / "accuracy.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
