"""A picture in, people out: where they are, in which formats, and what a failing picture costs the others."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from adapters.http.example import draw_figure
from adapters.label_studio.label_config.template import Selection, label_config_template
from tests.service.picture_server import PictureServer
from tests.service.server import Server, boxes, free_port, keypoints
from tests.support.pictures import encoded
from wholebody.schema import KEYPOINTS

WHOLE = label_config_template([Selection.WHOLE])
# Where the figure of the examples was drawn, in percent of the picture: it faces us, its left is our right.
DRAWN = {
    "nose": (50, 17),
    "left_shoulder": (63, 27),
    "right_shoulder": (37, 27),
    "left_elbow": (76, 34),
    "right_elbow": (29, 39),
    "left_wrist": (80, 20),
    "right_wrist": (26, 50),
    "left_hip": (56, 52),
    "right_hip": (44, 52),
    "left_knee": (58, 69),
    "right_knee": (42, 69),
    "left_ankle": (59, 86),
    "right_ankle": (41, 86),
}


def assert_the_figure(slot: Any) -> None:
    """Assert that a prediction shows the one person of the drawn figure, where they were drawn."""
    assert isinstance(slot, dict), "the task failed"
    (box,) = boxes(slot["result"])
    left, top = box["value"]["x"], box["value"]["y"]
    right, bottom = left + box["value"]["width"], top + box["value"]["height"]
    assert (left < 30, top < 15, right > 75, bottom > 80) == (True, True, True, True), box["value"]
    found = keypoints(slot["result"])
    for name, (x, y) in DRAWN.items():
        value = found[name]["value"]
        assert abs(value["x"] - x) < 6, (name, value)
        assert abs(value["y"] - y) < 6, (name, value)


def tag_of(region: Any) -> str:
    """The tag of the printed label config that a region belongs to."""
    if region["type"] == "rectanglelabels":
        return "person"
    (label,) = region["value"]["keypointlabels"]
    return next(keypoint.part.value for keypoint in KEYPOINTS if keypoint.name == label)


@pytest.fixture(scope="module")
def slot(server: Server, figure: str) -> Any:
    (slot,) = server.predict(figure, label_config=WHOLE)
    return slot


class TestPerson:
    def test_the_drawn_person_is_found_where_they_were_drawn(self, slot: Any) -> None:
        assert_the_figure(slot)

    def test_keypoints_are_nested_under_the_box_of_their_person(self, slot: Any) -> None:
        (box,) = boxes(slot["result"])
        points = keypoints(slot["result"]).values()

        assert "parentID" not in box
        assert {point["parentID"] for point in points} == {box["id"]}
        assert len({region["id"] for region in slot["result"]}) == len(slot["result"])

    def test_every_region_is_complete_and_inside_the_picture(self, slot: Any) -> None:
        for region in slot["result"]:
            value = region["value"]
            assert (region["original_width"], region["original_height"]) == (240, 320)
            assert (region["image_rotation"], region["to_name"]) == (0, "image")
            assert region["from_name"] == tag_of(region)
            assert 0 <= region["score"] <= 1
            assert 0 <= value["x"] <= 100
            assert 0 <= value["y"] <= 100
            assert value["x"] + value.get("width", 0) * (region["type"] == "rectanglelabels") <= 100.001

    def test_no_keypoint_below_the_threshold_is_sent(self, slot: Any) -> None:
        assert min(point["score"] for point in keypoints(slot["result"]).values()) >= 0.3

    def test_the_labels_wanted_are_the_labels_sent(self, server: Server, figure: str) -> None:
        config = (
            '<View><Image name="img" value="$image"/><KeyPointLabels name="kp" toName="img">'
            '<Label value="nose"/><Label value="Hand, left" predicted_values="left_wrist"/></KeyPointLabels></View>'
        )
        (slot,) = server.predict(figure, label_config=config)

        assert keypoints(slot["result"]).keys() == {"nose", "Hand, left"}
        assert {(region["from_name"], region["to_name"]) for region in slot["result"]} == {("kp", "img")}

    def test_nobody_is_an_empty_result_with_the_model_version(
        self, server: Server, pictures: PictureServer
    ) -> None:
        (slot,) = server.predict(
            pictures.add("/sky.png", encoded(Image.new("RGB", (320, 240), (196, 214, 226))))
        )

        assert slot["result"] == []
        assert slot["model_version"].startswith("rtmlib-embedded-")
        assert slot["score"] == 0

    def test_two_people_have_a_box_and_keypoints_each(self, server: Server, pictures: PictureServer) -> None:
        both = Image.new("RGB", (480, 320))
        both.paste(draw_figure(), (0, 0))
        both.paste(draw_figure(), (240, 0))
        (slot,) = server.predict(pictures.add("/two.png", encoded(both)))

        people = {box["id"]: box["value"]["x"] for box in boxes(slot["result"])}
        assert len(people) == 2
        noses = [r for r in slot["result"] if r["value"].get("keypointlabels") == ["nose"]]
        assert {nose["parentID"] for nose in noses} == set(people)
        for nose in noses:
            assert (nose["value"]["x"] < 50) == (people[nose["parentID"]] < 45)


def turned(orientation: int) -> bytes:
    """The figure as a camera writes it that was held in another way: displayed by its EXIF tag it is upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Found by trial, so that the test does not repeat the product's own table: the one of the eight ways to lay
    # down the picture that Pillow shows upright under this tag.
    for way in (None, *Image.Transpose):
        laid = draw_figure() if way is None else draw_figure().transpose(way)
        data = encoded(laid, "JPEG", quality=95, exif=exif)
        shown = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        if (
            shown.size == draw_figure().size
            and np.abs(np.array(shown, int) - np.array(draw_figure(), int)).mean() < 3
        ):
            return data
    raise AssertionError(f"no way to lay the figure down for orientation {orientation}")


def sixteen_bit() -> bytes:
    grey = np.array(draw_figure().convert("L")).astype(np.uint16) * 257
    return encoded(Image.fromarray(grey))


FORMATS = {
    **{f"exif-{orientation}": turned(orientation) for orientation in range(1, 9)},
    "greyscale.png": encoded(draw_figure().convert("L")),
    "greyscale.jpg": encoded(draw_figure().convert("L"), "JPEG", quality=95),
    "palette.png": encoded(draw_figure().quantize(256)),
    "palette.gif": encoded(draw_figure().quantize(256), "GIF"),
    "alpha.png": encoded(draw_figure().convert("RGBA")),
    "grey-alpha.png": encoded(draw_figure().convert("LA")),
    "cmyk.jpg": encoded(draw_figure().convert("CMYK"), "JPEG", quality=95),
    "16-bit.png": sixteen_bit(),
    "lossless.webp": encoded(draw_figure(), "WEBP", lossless=True),
    "progressive.jpg": encoded(draw_figure(), "JPEG", quality=95, progressive=True),
    "picture.bmp": encoded(draw_figure(), "BMP"),
    "picture.tiff": encoded(draw_figure(), "TIFF"),
}


@pytest.fixture(scope="module")
def slots_by_format(server: Server, pictures: PictureServer) -> dict[str, Any]:
    addresses = [pictures.add(f"/{name}", data) for name, data in FORMATS.items()]
    return dict(zip(FORMATS, server.predict(*addresses), strict=True))


@pytest.mark.parametrize("name", FORMATS)
def test_the_person_is_found_in_every_format(slots_by_format: dict[str, Any], name: str) -> None:
    assert_the_figure(slots_by_format[name])


def bomb(side: int) -> bytes:
    """A PNG of one colour, with `side`² pixels of one bit, in a file of some 100 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packing = zlib.compressobj(1)
    row = bytes(1 + side // 8)
    data = b"".join(packing.compress(row) for _ in range(side)) + packing.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


FAILURES = {
    2: "not_found",
    3: "unreachable",
    4: "not_a_picture",
    5: "broken_picture",
    6: "too_many_pixels",
    8: "no_picture",
    9: "refused",
    10: "bad_address",
    11: "timeout",
    12: "not_a_picture",
    13: "bad_address",
    14: "unreachable",
}
GOOD, ONE_PIXEL = (1, 7, 16), 15
REQUEST = "failures-1"


@pytest.fixture(scope="module")
def before(server: Server) -> dict[str, float]:
    return {reason: counted(server, reason) for reason in FAILURES.values()}


@pytest.fixture(scope="module")
def slots(server: Server, pictures: PictureServer, figure: str, before: dict[str, float]) -> dict[int, Any]:
    jpeg = encoded(draw_figure(), "JPEG", quality=95)
    addresses = [
        figure,
        pictures.url + "/nothing-here.png",
        f"http://127.0.0.1:{free_port()}/closed.png",
        pictures.add("/text.png", b"this is a text, whatever its name says\n" * 50),
        pictures.add("/broken.jpg", jpeg[: len(jpeg) // 2]),
        pictures.add("/bomb.png", bomb(30_000)),
        figure,
        "",
        "http://10.255.255.1/private.png",
        "C:\\pictures\\mine.png",
        pictures.url + "/slow",
        "data:image/png;base64,bm8gcGljdHVyZQ==",
        "javascript:alert(1)\nERROR forged line",
        "http://no-such-host.invalid/a.png",
        pictures.add("/one-pixel.png", encoded(Image.new("RGB", (1, 1)))),
        figure,
    ]
    found = server.predict(*addresses, headers={"X-Request-ID": REQUEST})
    return dict(enumerate(found, 1))


def counted(server: Server, reason: str) -> float:
    return server.metric("rtmlib_tasks_total", outcome="failed", reason=reason)


class TestFailures:
    """One request with a good picture first, last and in the middle, and everything that may go wrong between."""

    def test_the_good_pictures_are_answered(self, slots: dict[int, Any]) -> None:
        for task in GOOD:
            assert_the_figure(slots[task])

    def test_each_failed_slot_is_an_empty_list(self, slots: dict[int, Any]) -> None:
        assert {task for task, slot in slots.items() if slot == []} == set(FAILURES)

    def test_in_a_picture_of_one_pixel_is_nobody(self, slots: dict[int, Any]) -> None:
        assert slots[ONE_PIXEL]["result"] == []
        assert slots[ONE_PIXEL]["model_version"]

    def test_the_log_says_which_task_failed_and_why(self, server: Server, slots: dict[int, Any]) -> None:
        failures = [line for line in server.logged(REQUEST) if " task failed " in line]

        said = {}
        for line in failures:
            _, _, rest = line.partition(" task=")
            said[int(rest.split()[0])] = rest.partition(" reason=")[2].split()[0]
        assert said == FAILURES
        assert all(line.rstrip().endswith((".", "?", "…")) for line in failures), "each ends with a sentence"
        assert "\nERROR forged line" not in server.log()

    def test_the_status_shows_them(self, server: Server, slots: dict[int, Any]) -> None:
        shown = server.ask("GET", "/status").json["last_failures"][-len(FAILURES) :]

        assert {entry["task"]: entry["reason"] for entry in shown} == FAILURES
        assert all(entry["project"] == "1.1795417339" and entry["detail"] for entry in shown)

    def test_the_metrics_count_them(
        self, server: Server, slots: dict[int, Any], before: dict[str, float]
    ) -> None:
        for reason, count in before.items():
            expected = list(FAILURES.values()).count(reason)
            assert counted(server, reason) - count == expected, reason

    def test_no_traceback_is_left(self, server: Server, slots: dict[int, Any]) -> None:
        assert "Traceback" not in server.log()


def full_of_faults(tags: int) -> bytes:
    """A grey TIFF of 8 × 8 pixels with so many more tags, whose texts are together longer than the file."""
    needed = [(256, 3, 8), (257, 3, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 0), (277, 3, 1)]
    needed += [(278, 3, 8), (279, 4, 64)]
    pixels_at = 8 + 2 + 12 * (len(needed) + tags) + 4
    entries = [
        struct.pack("<HHII", tag, kind, 1, pixels_at if tag == 273 else value) for tag, kind, value in needed
    ]
    entries += [struct.pack("<HHII", 1000 + number, 2, 1000, 0) for number in range(tags)]
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return head + b"".join(entries) + bytes(4) + bytes(64)


@pytest.mark.promise("no-log-flood")
def test_a_picture_full_of_faults_leaves_few_lines(server: Server, pictures: PictureServer) -> None:
    before = len(server.log().splitlines())
    server.predict(pictures.add("/faults.tif", full_of_faults(10_000)))

    assert len(server.log().splitlines()) - before < 20
