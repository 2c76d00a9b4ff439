"""The picture of the API page's examples."""

import base64
import io

import pytest
from PIL import Image, ImageChops

from adapters.http.example import EXAMPLE_LABEL_CONFIG, HEIGHT, WIDTH, draw_figure, example_picture
from adapters.label_studio.label_config.parsing import parse_label_config
from runners.config import RunnerConfig
from runners.models.store import ModelStore


def test_it_is_a_small_jpeg_in_a_data_uri() -> None:
    kind, _, data = example_picture().partition(",")

    assert kind == "data:image/jpeg;base64"
    assert len(data) < 12_000, "it stands in the API page"
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (WIDTH, HEIGHT))


def test_it_is_drawn_alike_every_time() -> None:
    assert ImageChops.difference(draw_figure(), draw_figure()).getbbox() is None
    assert example_picture() == example_picture()


def test_its_label_config_asks_for_the_body() -> None:
    config = parse_label_config(EXAMPLE_LABEL_CONFIG)

    assert config.problems == ()
    assert len(config.images) == 1


@pytest.mark.models
async def test_the_networks_take_it_for_one_person_from_head_to_foot(model_store: ModelStore) -> None:
    import numpy as np

    from runners.pipeline import assemble_in_process
    from runners.plan import fetch
    from wholebody.pipeline import find_people

    detector, estimator = assemble_in_process(fetch(RunnerConfig("embedded", "cpu", 2, model_store.root)))
    picture = np.ascontiguousarray(np.array(draw_figure())[:, :, ::-1])

    (person,) = await find_people(picture, detector, estimator, None)

    assert (person.scores[:17] > 0.3).all()
    nose, left_ankle = person.keypoints[0], person.keypoints[15]
    assert abs(nose[0] / WIDTH - 0.5) < 0.05
    assert abs(nose[1] / HEIGHT - 0.17) < 0.05
    assert abs(left_ankle[1] / HEIGHT - 0.86) < 0.05
