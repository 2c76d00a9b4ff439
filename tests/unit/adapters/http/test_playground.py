"""The playground's page: what the server writes into it, and that it needs nobody else."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from adapters.http.example import example_picture
from adapters.http.playground.pages import PATH, page, playground_routes, request_label_config
from adapters.label_studio.label_config.parsing import parse_label_config
from adapters.label_studio.label_config.template import Selection
from wholebody.palette import BOX_COLOUR, keypoint_colour
from wholebody.schema import KEYPOINTS
from wholebody.strokes import STROKES, Pen


@pytest.fixture(scope="module")
def schema() -> Any:
    (text,) = re.findall(r'<script type="application/json" id="schema">(.*?)</script>', page(), re.DOTALL)
    return json.loads(text)


@pytest.fixture
async def client() -> Any:
    routes = [Route(path, answer) for path, answer in playground_routes().items()]
    transport = httpx.ASGITransport(app=Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://backend") as client:
        yield client


def test_the_page_knows_all_keypoints_and_the_example(schema: Any) -> None:
    assert [keypoint["name"] for keypoint in schema["keypoints"]] == [keypoint.name for keypoint in KEYPOINTS]
    assert schema["example"] == example_picture()


def test_the_page_draws_in_the_colours_and_widths_of_overlays(schema: Any) -> None:
    for keypoint in KEYPOINTS:
        assert schema["keypoints"][keypoint.index]["colour"] == keypoint_colour(keypoint.index)
    for drawn, stroke in zip(schema["strokes"], STROKES, strict=True):
        assert drawn["colour"] == stroke.colour
        assert drawn["keypoints"] == list(stroke.keypoints)
        assert [tuple(bone) for bone in drawn["bones"]] == list(stroke.bones)
        pen = Pen(drawn["line"], drawn["thinnest"], drawn["opacity"])
        assert pen == stroke.pen
    assert schema["box"]["colour"] == BOX_COLOUR


def test_it_asks_for_all_keypoints_whatever_their_score(schema: Any) -> None:
    (image,) = parse_label_config(request_label_config()).images

    assert schema["requestLabelConfig"] == request_label_config()
    assert {control.keypoint_threshold for control in image.keypoints} == {0}
    asked = [label.index for control in image.keypoints for label in control.labels]
    assert sorted(asked) == list(range(len(KEYPOINTS)))
    assert image.box is not None


def test_it_offers_every_label_config_that_the_command_line_offers(schema: Any) -> None:
    assert schema["labelConfigs"].keys() == set(Selection)
    for config in schema["labelConfigs"].values():
        assert parse_label_config(config).problems == ()


def test_no_text_in_the_page_can_end_its_script_element() -> None:
    (inside,) = re.findall(r'id="schema">(.*?)</script>', page(), re.DOTALL)

    assert "<" not in inside
    assert "\\u003c" in inside


async def test_all_its_addresses_are_relative_and_answered(client: httpx.AsyncClient) -> None:
    """So that it works behind a prefix, offline and under the same password as the rest."""
    start = await client.get(PATH)
    addresses = re.findall(r'(?:src|href)="([^"#]+)"', start.text)

    files = [address for address in addresses if address.startswith("playground/")]
    assert {Path(file).suffix for file in files} == {".css", ".js"}
    for address in addresses:
        assert not re.match(r"/|https?:", address), address
    for file in files:
        assert (await client.get("/" + file)).status_code == 200


async def test_every_module_that_a_script_imports_is_served(client: httpx.AsyncClient) -> None:
    scripts = [path for path in playground_routes() if path.endswith(".js")]

    imported: set[str] = set()
    for path in scripts:
        answer = await client.get(path)
        assert answer.headers["content-type"].startswith("text/javascript")
        imported |= set(re.findall(r'from "(.*?)"', answer.text))
    assert imported
    assert all(f"{PATH}/{module.removeprefix('./')}" in scripts for module in imported)


async def test_no_script_runs_but_its_own(client: httpx.AsyncClient) -> None:
    answer = await client.get(PATH)
    policy = dict(
        directive.strip().split(" ", 1) for directive in answer.headers["content-security-policy"].split(";")
    )

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    # Label configs have styles of their own: as text, they are none of the page's.
    markup = re.sub(
        r'(<script type="application/json".*?>).*?</script>', r"\1</script>", answer.text, flags=re.DOTALL
    )
    assert "labelConfigs" in answer.text
    assert "labelConfigs" not in markup
    assert not re.search(r"<style|\sstyle=|\son\w+=", markup), "the policy would not let it work"
    assert re.findall(r"<script(?! type=\"application/json\")[^>]*>(.+?)</script>", answer.text) == []
