"""The playground in a real browser, in front of the real service with a password.

SCREENSHOTS=docs/images renews the manual's pictures.
"""

import base64
import io
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from adapters.http.example import HEIGHT, WIDTH, draw_figure
from adapters.pictures.overlay import draw_people
from runners.models.store import ModelStore
from tests.e2e.browser import Browser, BrowserError, chromium
from tests.e2e.browser import browser as running_browser
from tests.service.picture_server import serving
from tests.service.server import Server
from tests.support.pictures import encoded
from wholebody.palette import keypoint_colour
from wholebody.person import Person
from wholebody.schema import KEYPOINTS

USER, PASSWORD = "annotator", "correct-horse"
MAX_REQUEST_BYTES = 300_000
LEFT_BODY = ImageColor.getrgb(keypoint_colour(7))  # of the left elbow

pytestmark = pytest.mark.models


class Seen:
    """What the browser asked for and complained about."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.complaints: list[str] = []


@pytest.fixture(scope="module")
def service(model_store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "MODEL_CACHE_DIR": str(model_store.root),
        "BASIC_AUTH_USER": USER,
        "BASIC_AUTH_PASS": PASSWORD,
        "MAX_REQUEST_BYTES": str(MAX_REQUEST_BYTES),
        "ALLOWED_IMAGE_HOSTS": "127.0.0.1",
    }
    server = Server(tmp_path_factory.mktemp("backend"), settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def browser(service: Server, seen: Seen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, which was given the password once, as people do in its dialog."""
    if not chromium():
        message = "not installed: Chromium; run `make e2e`"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with running_browser(tmp_path_factory.mktemp("chromium")) as page:
        page.open(f"http://{USER}:{PASSWORD}@127.0.0.1:{service.port}/playground")
        page.wait_for("document.getElementById('version').textContent")
        note = page.note

        def noting(event: dict[str, Any]) -> None:
            params = event.get("params", {})
            if event.get("method") == "Network.requestWillBeSent":
                seen.addresses.append(params["request"]["url"])
            if event.get("method") == "Log.entryAdded":
                seen.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            if event.get("method") == "Runtime.consoleAPICalled":
                seen.complaints.append(str(params["args"]))
            note(event)

        page.note = noting  # type: ignore[method-assign]
        page.call("Log.enable")
        yield page


@pytest.fixture
def page(browser: Browser, service: Server, seen: Seen) -> Iterator[Browser]:
    """The playground, newly opened; afterwards, that nobody else was asked and nothing complained."""
    seen.addresses.clear()
    seen.complaints.clear()
    look(browser)
    browser.open(f"http://127.0.0.1:{service.port}/playground")
    yield browser
    browser.evaluate("0")  # whatever happened before has been told by now
    others = [
        at
        for at in seen.addresses
        if not at.startswith((f"http://127.0.0.1:{service.port}/", "data:", "blob:"))
    ]
    assert others == []
    assert len(seen.addresses) > 5
    assert seen.complaints == []


def look(
    page: Browser, width: int = 1280, height: int = 900, scheme: str = "light", *, phone: bool = False
) -> None:
    """Have a screen of this size, in CSS pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
    page.call("Emulation.setDeviceMetricsOverride", size)
    page.call("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})


def text(page: Browser, element_id: str) -> str:
    return page.evaluate("id => document.getElementById(id).textContent", element_id)


def wait_for_status(page: Browser, words: str, element_id: str = "status") -> str:
    shown = "(id, words) => document.getElementById(id).textContent.includes(words)"
    try:
        page.wait_for(shown, element_id, words)
    except BrowserError as error:
        raise AssertionError(f"{text(page, 'status')!r}, {text(page, 'trouble-text')!r}") from error
    return text(page, element_id)


def wait_for_trouble(page: Browser, words: str) -> str:
    return wait_for_status(page, words, "trouble-text")


def try_example(page: Browser) -> None:
    page.click("#example")
    wait_for_status(page, "One person was found.")
    settle(page)


def settle(page: Browser) -> None:
    """Wait until the canvas is drawn anew."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))", 0)


def choose(page: Browser, file: Path) -> None:
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", {"nodeId": root, "selector": "#file"})["nodeId"]
    page.call("DOM.setFileInputFiles", {"nodeId": node, "files": [str(file)]})


def press(page: Browser, key: str, *, shift: bool = False) -> None:
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", {"type": kind, "key": key, "modifiers": 8 if shift else 0})


def set_threshold(page: Browser, value: float) -> None:
    page.evaluate(
        "value => { const slider = document.getElementById('threshold'); slider.value = value;"
        "slider.dispatchEvent(new Event('input')); }",
        value,
    )
    settle(page)


def canvas(page: Browser) -> np.ndarray:
    """What the canvas shows: height × width × RGBA."""
    encoded = page.evaluate("document.getElementById('stage').toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(encoded.partition(",")[2]))) as picture:
        return np.asarray(picture.convert("RGB"))


def count(pixels: np.ndarray, colour: tuple[int, ...]) -> int:
    """How many pixels have a colour, nearly."""
    return int((np.abs(pixels.astype(int) - colour).max(axis=2) < 12).sum())


def regions(page: Browser) -> dict[str, Any]:
    result = json.loads(page.evaluate("document.getElementById('json').value"))["result"]
    return {region["value"].get("keypointlabels", ["box"])[0]: region for region in result}


def person_in(found: dict[str, Any], shape: tuple[int, ...]) -> Person:
    """The person of the page's regions, in pixels of a picture of this shape."""
    height, width = shape[:2]
    keypoints, scores = np.zeros((len(KEYPOINTS), 2), np.float32), np.zeros(len(KEYPOINTS), np.float32)
    for keypoint in KEYPOINTS:
        if region := found.get(keypoint.name):
            value = region["value"]
            keypoints[keypoint.index] = value["x"] * width / 100, value["y"] * height / 100
            scores[keypoint.index] = region["score"]
    box = found["box"]["value"]
    x, y = box["x"] * width / 100, box["y"] * height / 100
    edges = [x, y, x + box["width"] * width / 100, y + box["height"] * height / 100]
    return Person(np.array(edges, np.float32), found["box"]["score"], keypoints, scores)


def on_stage(page: Browser, x: float, y: float) -> tuple[float, float]:
    """Where a place in percent of the picture is on the page."""
    box = page.place("#stage")
    return box["x"] + box["width"] * x / 100, box["y"] + box["height"] * y / 100


def rows(page: Browser) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('#people tbody tr')].map(row => row.innerText)")


def shown(page: Browser) -> int:
    """Keypoints shown, by the table."""
    return sum(int(number) for row in rows(page) for number in re.findall(r"(\d+)/\d+", row))


def picture_file(folder: Path, picture: Image.Image, name: str) -> Path:
    picture.save(folder / name)
    return folder / name


def saved(folder: Path) -> Path:
    """The overlay, as soon as the browser has saved it."""
    deadline = time.monotonic() + 10
    while not (file := folder / "keypoints.png").exists():
        assert time.monotonic() < deadline, list(folder.iterdir())
        time.sleep(0.1)
    return file


def test_a_picture_from_a_file_is_shown_with_its_skeleton(page: Browser, tmp_path: Path) -> None:
    choose(page, picture_file(tmp_path, draw_figure(), "figure.png"))

    wait_for_status(page, "One person was found.")
    settle(page)
    assert count(canvas(page), LEFT_BODY) > 300
    assert len(rows(page)) == 1
    assert shown(page) > 80


def test_a_picture_can_be_dropped(page: Browser) -> None:
    page.evaluate(
        """async () => {
          const file = new File([await new Promise(done => {
            const canvas = document.createElement("canvas");
            const image = new Image();
            image.onload = () => { canvas.width = image.width; canvas.height = image.height;
              canvas.getContext("2d").drawImage(image, 0, 0); canvas.toBlob(done, "image/png"); };
            image.src = JSON.parse(document.getElementById("schema").textContent).example;
          })], "dropped.png", { type: "image/png" });
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(file);
          document.getElementById("frame").dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer }));
        }""",
        0,
    )

    wait_for_status(page, "One person was found.")


def test_a_picture_of_another_server_is_shown_and_its_skeleton_saved(
    page: Browser, seen: Seen, tmp_path: Path
) -> None:
    """Browsers show such a picture; whether they let it be copied is up to its server, and this one says nothing."""
    page.call("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    with serving() as elsewhere:
        address = elsewhere.add("/figure.png", encoded(draw_figure(), "PNG"))
        page.fill("#address", address)
        page.click("#address-form button")
        wait_for_status(page, "One person was found.")
        assert seen.complaints == []
        page.click("#download")
        wait_for_status(page, "with the skeletons only")

    with Image.open(saved(tmp_path)) as overlay:
        assert overlay.size == (WIDTH, HEIGHT)
        assert overlay.getpixel((2, 2)) == (0, 0, 0, 0), "nothing of the picture"
    assert set(seen.addresses) & {address}, "the user said so"
    seen.addresses[:] = [at for at in seen.addresses if at != address]
    assert all("CORS" in complaint or address in complaint for complaint in seen.complaints)
    seen.complaints.clear()


def test_pointing_at_a_keypoint_shows_its_name_and_score(page: Browser) -> None:
    try_example(page)
    ankle = regions(page)["left_ankle"]

    page.point_at(on_stage(page, ankle["value"]["x"], ankle["value"]["y"]))

    tooltip = page.wait_for(
        "document.getElementById('tooltip').hidden ? '' : document.getElementById('tooltip').textContent"
    )
    assert tooltip == f"left_ankle {ankle['score']:.2f} · Body · person 1"
    page.point_at(on_stage(page, 1, 1))
    page.wait_for("document.getElementById('tooltip').hidden")


def test_arrow_keys_go_from_keypoint_to_keypoint_and_say_so(page: Browser) -> None:
    try_example(page)
    page.evaluate("document.getElementById('stage').focus()")

    press(page, "ArrowRight")
    wait_for_status(page, "nose, score")
    press(page, "ArrowRight")
    assert "person 1" in wait_for_status(page, "left eye, score")


def test_the_threshold_takes_keypoints_away_without_asking_again(page: Browser, seen: Seen) -> None:
    try_example(page)
    asked = len(seen.addresses)

    counts = []
    for threshold in (0, 0.3, 0.9, 1):
        set_threshold(page, threshold)
        counts.append(shown(page))
    set_threshold(page, 1)

    assert counts == sorted(counts, reverse=True)
    assert counts[1] > counts[2]
    assert counts[0] == len(regions(page)) - 1, "all but the box"
    assert len(seen.addresses) == asked


def test_a_part_can_be_switched_off(page: Browser) -> None:
    try_example(page)
    before = count(canvas(page), LEFT_BODY)

    page.click("input[name=body]")
    settle(page)

    assert count(canvas(page), LEFT_BODY) < before / 10


def test_a_drawn_box_asks_for_one_person(page: Browser) -> None:
    try_example(page)

    page.click("#box")
    page.drag(on_stage(page, 12, 3), on_stage(page, 95, 97))

    wait_for_status(page, "Person 2 was added from the box.")
    assert len(rows(page)) == 2
    assert page.evaluate("document.getElementById('box').getAttribute('aria-pressed')") == "false"
    page.click("#everybody")
    wait_for_status(page, "One person was found.")
    assert len(rows(page)) == 1


def test_a_box_can_be_drawn_with_the_keyboard(page: Browser) -> None:
    try_example(page)
    page.click("#box")

    press(page, "ArrowUp")
    press(page, "ArrowRight", shift=True)
    wait_for_status(page, "Box from 25, 8 percent, 52 by 80 percent.")
    press(page, "Enter")

    wait_for_status(page, "Person 2 was added from the box.")


def test_an_empty_place_in_a_box_is_nobody(page: Browser) -> None:
    try_example(page)

    page.click("#box")
    page.drag(on_stage(page, 1, 1), on_stage(page, 12, 12))

    wait_for_status(page, "No person was found in the box.")
    assert len(rows(page)) == 1


def test_the_overlay_is_saved_in_the_size_of_the_picture(page: Browser, tmp_path: Path) -> None:
    page.call("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    try_example(page)

    page.click("#download")

    wait_for_status(page, "Saved keypoints.png.")
    with Image.open(saved(tmp_path)) as picture:
        assert picture.size == (WIDTH, HEIGHT)
        assert count(np.asarray(picture.convert("RGB")), LEFT_BODY) > 50


def test_the_overlay_is_drawn_as_the_command_line_draws_it(page: Browser, tmp_path: Path) -> None:
    page.call("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    choose(page, picture_file(tmp_path, draw_figure().resize((WIDTH * 3, HEIGHT * 3)), "figure.png"))
    wait_for_status(page, "One person was found.")
    page.click("#download")
    wait_for_status(page, "Saved keypoints.png.")
    theirs = np.asarray(Image.open(saved(tmp_path)).convert("RGB"), int)
    plain = np.asarray(Image.open(tmp_path / "figure.png").convert("RGB"))

    ours = draw_people(plain[..., ::-1].copy(), [person_in(regions(page), plain.shape)], 0.3)[..., ::-1]

    x1, y1, x2, y2 = (round(edge) for edge in person_in(regions(page), plain.shape).box)
    inside = np.s_[y1 + 40 : y2 - 5, x1 + 5 : x2 - 5]  # without the number of the person
    drawn = (np.abs(ours[inside].astype(int) - plain[inside]) > 60).any(axis=2)
    apart = np.abs(ours[inside].astype(int) - theirs[inside]).mean(axis=2)
    assert 0.01 < drawn.mean() < 0.2
    assert apart[drawn].mean() < 6
    assert apart[~drawn].mean() < 0.5


def test_label_configs_can_be_chosen_and_copied(page: Browser) -> None:
    page.click("summary", "Label config")
    page.evaluate(
        "() => { const choice = document.getElementById('preset'); choice.value = 'feet';"
        "choice.dispatchEvent(new Event('change')); }",
        0,
    )
    page.click("#copy-label-config")

    wait_for_status(page, "The label config was copied.")
    config = page.evaluate("document.getElementById('label-config').value")
    assert config.count("model_index") == 6


def test_a_file_that_is_no_picture_is_named(page: Browser, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("this is a text")

    choose(page, tmp_path / "notes.png")

    assert "“notes.png” is not a supported picture" in wait_for_trouble(page, "notes.png")
    assert page.evaluate("document.getElementById('busy').hidden")


def test_why_a_task_failed_is_told(page: Browser) -> None:
    page.fill("#address", "data:image/png;base64,bm8gcGljdHVyZQ==")
    page.click("#address-form button")

    assert "TIFF" in wait_for_trouble(page, "This did not work:"), "the answer gives the reason"
    assert page.evaluate("!document.getElementById('again').hidden")


def test_a_picture_that_is_too_large_is_made_smaller_and_that_is_said(
    page: Browser, tmp_path: Path, seen: Seen
) -> None:
    noise = np.random.default_rng(0).integers(0, 90, (HEIGHT * 3, WIDTH * 3, 3), np.uint8)
    large = Image.fromarray(np.asarray(draw_figure().resize((WIDTH * 3, HEIGHT * 3))) // 2 + noise)
    file = picture_file(tmp_path, large, "large.png")
    assert file.stat().st_size > 2 * MAX_REQUEST_BYTES

    choose(page, file)

    assert "The picture was too large: sent with" in wait_for_status(page, "found")
    assert seen.complaints
    assert all("413" in complaint for complaint in seen.complaints)
    seen.complaints.clear()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("new Response('{}', {status: 401})", "Reload this page and log in"),
        ("new Response('{}', {status: 503, headers: {'Retry-After': '7'}})", "Retry after 7 s."),
        (
            "Response.json({detail: 'Odd.', request_id: 'abc'}, {status: 500})",
            "The service returned 500. Odd. (request abc)",
        ),
        ("new Response('<html>', {status: 502})", "The service returned 502."),
    ],
)
def test_an_error_is_told_in_words(page: Browser, answer: str, words: str) -> None:
    page.evaluate(f"() => {{ window.fetch = async () => {answer}; }}", 0)

    page.click("#example")

    wait_for_trouble(page, words)


def test_a_lost_network_is_told_and_asking_again_works(page: Browser, seen: Seen) -> None:
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.call("Network.emulateNetworkConditions", {"offline": True, **network})
    page.click("#example")
    wait_for_trouble(page, "The service is unreachable.")
    page.call("Network.emulateNetworkConditions", {"offline": False, **network})
    assert all("ERR_INTERNET_DISCONNECTED" in complaint for complaint in seen.complaints)
    seen.complaints.clear()

    page.click("#again")

    wait_for_status(page, "One person was found.")
    assert page.evaluate("document.getElementById('trouble').hidden")


def test_every_control_has_a_name(page: Browser) -> None:
    try_example(page)
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    controls = {"button", "checkbox", "slider", "textbox", "combobox", "link", "application", "table"}
    found = [node for node in nodes if not node["ignored"] and node["role"]["value"] in controls]

    assert len(found) > 15
    assert [node for node in found if not node.get("name", {}).get("value")] == []


@pytest.mark.parametrize(
    ("width", "height", "scheme", "phone"),
    [
        (1280, 900, "light", False),
        (1280, 900, "dark", False),
        (390, 844, "light", True),
        (320, 640, "dark", True),
    ],
)
def test_it_fits_screens_from_phones_to_desks(
    page: Browser, width: int, height: int, scheme: str, phone: bool
) -> None:
    look(page, width, height, scheme, phone=phone)
    try_example(page)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(number) for number in re.findall(r"\d+", background)[:3]) / 3
    assert brightness > 200 if scheme == "light" else brightness < 50
    assert count(canvas(page), LEFT_BODY) > 100


def test_pictures_for_the_manual(page: Browser, screenshot: Any, tmp_path: Path) -> None:
    try_example(page)
    elbow = regions(page)["left_elbow"]["value"]
    page.point_at(on_stage(page, elbow["x"], elbow["y"]))
    settle(page)
    taken = [screenshot("playground-light.jpg")]

    page.point_at((5, 5))
    look(page, scheme="dark")
    page.click("summary", "Label Studio JSON")
    settle(page)
    taken.append(screenshot("playground-dark.jpg"))

    page.click("summary", "Label Studio JSON")
    look(page, 390, 844, phone=True)
    page.evaluate("window.scrollTo(0, 0)")
    settle(page)
    taken.append(screenshot("playground-phone.jpg"))

    look(page)
    (tmp_path / "notes.txt").write_text("this is a text")
    choose(page, tmp_path / "notes.txt")
    wait_for_trouble(page, "not a supported picture")
    settle(page)
    taken.append(screenshot("playground-error.jpg"))

    assert {file.name: file.stat().st_size for file in taken if file.stat().st_size > 150_000} == {}
