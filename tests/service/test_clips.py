"""Clips over HTTP: fetched, looked at, followed."""

import json
from typing import Any

import pytest

from tests.service.picture_server import PictureServer
from tests.service.server import Server
from tests.support.clips import SIGN_CLIP, Walker, walking

CONFIG = (
    '<View><Video name="video" value="$video" frameRate="25"/><VideoRectangle name="box" toName="video"/>'
    '<Labels name="labels" toName="video"><Label value="person"/></Labels></View>'
)


def predict(server: Server, *addresses: str) -> list[Any]:
    tasks = [{"id": number, "data": {"video": at}} for number, at in enumerate(addresses, 1)]
    body = {"tasks": tasks, "project": "1.1795417339", "label_config": CONFIG}
    answer = server.ask("POST", "/predict", body)
    assert answer.status == 200, answer.text
    return answer.json["results"]


def test_somebody_who_walks_is_one_region(server: Server, pictures: PictureServer) -> None:
    clip = walking([Walker(lambda t: 20 + 150 * t)], 2)

    (slot,) = predict(server, pictures.add("/walk.mp4", clip))

    (region,) = slot["result"]
    assert region["type"] == "videorectangle"
    first, last = region["value"]["sequence"][0], region["value"]["sequence"][-1]
    assert (first["frame"], first["enabled"]) == (1, True)
    assert last["enabled"] is True
    # The figure moves by 150 pixels of 720 in a second.
    moved = 100 * 150 * (last["frame"] - first["frame"]) / 25 / 720
    assert last["x"] - first["x"] == pytest.approx(moved, abs=3)


def test_a_clip_that_is_none_fails_alone(server: Server, pictures: PictureServer) -> None:
    good = pictures.add("/stand.mp4", walking([Walker(lambda t: 200.0)], 0.4))
    bad = pictures.add("/page.mp4", b"<html>")

    refused, answered = predict(server, bad, good)

    assert refused == []
    assert len(answered["result"]) == 1
    assert "not_a_video" in json.dumps(server.ask("GET", "/status").json["last_failures"])


@pytest.mark.skipif(not SIGN_CLIP.exists(), reason="no clip: the folder shared/photos is not there")
def test_the_signer_of_a_real_clip_is_followed(server: Server, pictures: PictureServer) -> None:
    (slot,) = predict(server, pictures.add("/sign.mp4", SIGN_CLIP.read_bytes()))

    (region,) = slot["result"]
    box = region["value"]["sequence"][0]
    assert region["score"] > 0.8
    assert (box["x"], box["width"]) == (pytest.approx(27, abs=3), pytest.approx(40, abs=4))
