"""People followed through a clip, in Label Studio's player."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageColor

from tests.e2e.backend import Backend
from tests.e2e.browser import Browser
from tests.e2e.label_studio import LabelStudio
from tests.e2e.processes import wait_until
from tests.e2e.test_corrections import metrics, until_counted
from tests.support.clips import SIZE, Walker, walking

COLOUR = "#00ff00"
CONFIG = f"""
<View>
  <Video name="video" value="$video" frameRate="25"/>
  <VideoRectangle name="box" toName="video"/>
  <Labels name="labels" toName="video"><Label value="person" background="{COLOUR}"/></Labels>
</View>
"""
SECONDS, SPEED = 4, 100
FIGURE_LEFT = 35  # of the figure in its picture


@pytest.fixture(scope="module")
def clip_task(label_studio: LabelStudio, backend: Backend) -> tuple[int, int]:
    """A project with a clip of two people who cross, connected to the service."""
    clip = walking(
        [
            Walker(lambda t: 20 + SPEED * t),
            Walker(lambda t: 460 - SPEED * t if t < 3 else None, (170, 50, 40)),
        ],
        SECONDS,
    )
    number = label_studio.project("A clip", CONFIG)
    (task,) = label_studio.upload(number, {"clip.mp4": clip})
    label_studio.connect(number, backend.wire.url)
    label_studio.retrieve_predictions(number, [task])
    return number, task


def test_two_people_are_followed(label_studio: LabelStudio, clip_task: tuple[int, int]) -> None:
    (stored,) = label_studio.predictions(clip_task[1])

    first, second = stored["result"]
    assert {first["type"], second["type"]} == {"videorectangle"}
    assert first["value"]["labels"] == ["person"]
    assert first["value"]["framesCount"] == SECONDS * 25
    assert first["value"]["sequence"][-1]["enabled"] is True
    assert second["value"]["sequence"][-1]["enabled"] is False


def test_the_player_shows_the_boxes_on_the_people(
    label_studio: LabelStudio,
    clip_task: tuple[int, int],
    browser: Browser,
    screenshot: Callable[..., Path],
) -> None:
    number, task = clip_task
    browser.open(f"{label_studio.url}/projects/{number}/data?task={task}")
    browser.place(".konvajs-content canvas")
    browser.place(".lsf-outliner [role=treeitem]")
    time.sleep(1)
    for frame, expected in (
        (1, {20, 460}),
        (20, {20 + 0.76 * SPEED, 460 - 0.76 * SPEED}),
        (95, {20 + 3.76 * SPEED}),
    ):
        # As the player itself looks at a frame: 2 ms after its beginning.
        browser.evaluate("at => {document.querySelector('video').currentTime = at}", (frame - 1) / 25 + 0.002)
        time.sleep(1)

        pixels = np.asarray(Image.open(screenshot(f"label-studio-clip-{frame}.png")).convert("RGB"), int)

        assert _left_edges(browser, pixels) == pytest.approx(
            sorted(left + FIGURE_LEFT for left in expected), abs=12
        )


def test_people_who_are_submitted_as_they_were_predicted_count_as_accepted(
    label_studio: LabelStudio, clip_task: tuple[int, int], browser: Browser, backend: Backend
) -> None:
    number, task = clip_task
    before = metrics(backend)
    browser.open(f"{label_studio.url}/projects/{number}/data?task={task}")
    browser.place(".konvajs-content canvas")
    browser.click(".lsf-outliner [role=treeitem]")  # which goes to the first of its key frames
    browser.click("[data-testid=bottombar-submit-button]")
    wait_until(lambda: bool(label_studio.annotations(task)), 30, "the annotation is stored")

    compared = ("rtmlib_annotations_compared_total", "accepted")
    after = until_counted(backend, "accepted", round(before.get(compared, 0)) + 1)

    assert after.get((compared[0], "corrected")) == before.get((compared[0], "corrected"))
    (stored,), (annotation,) = label_studio.predictions(task), label_studio.annotations(task)
    assert _key_frames(annotation["result"]) == _key_frames(stored["result"])


def _key_frames(result: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {region["id"]: region["value"]["sequence"] for region in result}


def _left_edges(browser: Browser, pixels: NDArray[np.int_]) -> list[float]:
    """Where boxes begin, in pixels of the clip: upright lines in their colour, every second one."""
    canvas = browser.place(".konvajs-content canvas")
    left, top = round(canvas["x"]), round(canvas["y"])
    stage = pixels[top : top + round(canvas["height"]), left : left + round(canvas["width"])]
    lines = (np.abs(stage - ImageColor.getrgb(COLOUR)).max(axis=2) < 60).sum(axis=0) > 150
    begins = [x for x in np.flatnonzero(lines) if not lines[max(x - 3, 0) : x].any()]
    # The clip is as wide as the player lets it be, in its middle.
    width = browser.evaluate("document.querySelector('.lsf-video-canvas canvas, canvas').width")
    scale = min(1.0, width / SIZE[0])
    offset = (canvas["width"] - scale * SIZE[0]) / 2
    return [(x - offset) / scale for x in begins[::2]]
