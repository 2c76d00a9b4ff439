"""Records what COCO-WholeBody's own evaluation gives for made-up people: writes coco_reference.json.

    uv run --no-project --python 3.11 --with xtcocotools==1.14.3 --with "numpy<2" --with setuptools --with . \
        python tests/data/record_coco_reference.py

xtcocotools (https://github.com/jin-s13/xtcocoapi) is what the authors of COCO-WholeBody evaluate with. It brings
matplotlib and Cython, so it is no dependency of the tests.
"""

import contextlib
import io
import json
import random
import warnings
from pathlib import Path

from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

from wholebody.schema import SIGMAS

TARGET = Path(__file__).with_name("coco_reference.json")
PARTS = {
    "body": ("keypoints_body", "keypoints", range(17)),
    "feet": ("keypoints_foot", "foot_kpts", range(17, 23)),
    "face": ("keypoints_face", "face_kpts", range(23, 91)),
    "left_hand": ("keypoints_lefthand", "lefthand_kpts", range(91, 112)),
    "right_hand": ("keypoints_righthand", "righthand_kpts", range(112, 133)),
}
PICTURES, PEOPLE = 5, 2
LIKELIHOOD = {"body": 1.0, "feet": 0.6, "face": 0.8, "left_hand": 0.6, "right_hand": 0.6}


def person(rng, number, picture):
    x, y, width, height = (
        rng.randrange(900),
        rng.randrange(300),
        rng.randrange(80, 300),
        rng.randrange(200, 500),
    )
    made = {
        "id": number,
        "image_id": picture,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [x, y, width, height],
        "area": round(0.53 * width * height, 1),
    }
    for part, (_, field, indices) in PARTS.items():
        there = rng.random() < LIKELIHOOD[part]
        made[field] = [
            value
            for _ in indices
            for value in (
                (
                    round(x + rng.random() * width, 1),
                    round(y + rng.random() * height, 1),
                    rng.choice((1, 2, 2, 2)),
                )
                if there and rng.random() < 0.9
                else (0, 0, 0)
            )
        ]
    made["num_keypoints"] = sum(flag > 0 for flag in made["keypoints"][2::3])
    return made


def predicted(rng, truth):
    """The same person as a network sees them: everything moved a little, sometimes a part missing or invented."""
    made = {key: truth[key] for key in ("image_id", "category_id", "bbox", "area", "iscrowd")}
    made["score"] = round(rng.random(), 3)
    for _, field, indices in PARTS.values():
        scale = truth["area"] ** 0.5 * rng.choice((0.5, 1, 2, 3))
        there = any(truth[field][2::3]) if rng.random() < 0.85 else rng.random() < 0.5
        made[field] = []
        for position, index in enumerate(indices):
            x, y, flag = truth[field][3 * position : 3 * position + 3]
            if not flag:
                x, y = truth["bbox"][0], truth["bbox"][1]
            sigma = float(SIGMAS[index]) * scale
            made[field] += (
                [round(x + rng.gauss(0, sigma), 1), round(y + rng.gauss(0, sigma), 1), 2]
                if there
                else [0, 0, 0]
            )
    return made


def main():
    rng = random.Random(5)
    images = [
        {"id": n, "file_name": f"{n}.jpg", "width": 1280, "height": 720} for n in range(1, PICTURES + 1)
    ]
    people = [person(rng, n + 1, n // PEOPLE + 1) for n in range(PICTURES * PEOPLE)]
    found = [predicted(rng, one) for one in people if rng.random() < 0.85]
    found += [{**predicted(rng, people[0]), "image_id": 2}]  # somebody who is not there
    truth = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    expected = {}
    groups = {**PARTS, "wholebody": ("keypoints_wholebody", "", range(133))}
    for name, (kind, _, indices) in groups.items():
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            coco = COCO()
            coco.dataset = json.loads(json.dumps(truth))
            coco.anno_file = [""]
            coco.createIndex()
            results = coco.loadRes(json.loads(json.dumps(found)))
            evaluation = COCOeval(coco, results, kind, SIGMAS[list(indices)], use_area=True)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        expected[name] = dict(
            zip(("ap", "ap50", "ap75", "ar"), map(float, evaluation.stats[[0, 1, 2, 5]]), strict=True)
        )
    predictions = {**truth, "annotations": [{**one, "id": n} for n, one in enumerate(found, start=1)]}
    document = {"annotated": truth, "predicted": predictions, "xtcocotools": expected}
    TARGET.write_text(json.dumps(document, separators=(",", ":")) + "\n", "utf-8")
    print(json.dumps(expected, indent=1))


if __name__ == "__main__":
    main()
