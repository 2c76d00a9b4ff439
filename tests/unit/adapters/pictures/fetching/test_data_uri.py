"""Pictures that stand in the task itself."""

import asyncio
import base64

import pytest

from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.data_uri import read_data_uri
from tests.conftest import Within

PICTURE = bytes(range(256))
BASE64 = base64.b64encode(PICTURE).decode()
LIMIT = 1_000


@pytest.mark.parametrize(
    "uri",
    [
        f"data:image/png;base64,{BASE64}",
        f"DATA:image/png;BASE64,{BASE64}",
        f"data:;base64,{BASE64}",
        f"data:image/png;name=a.png;base64,{BASE64}",
        f"data:text/html;base64,{BASE64}",
        "data:image/png;base64," + BASE64.rstrip("="),
        "data:image/png;base64," + "\r\n".join(BASE64[i : i + 76] for i in range(0, len(BASE64), 76)),
        "data:image/png;base64," + BASE64.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D"),
        "data:image/png;base64, " + BASE64,
        "data:image/png," + "".join(f"%{byte:02x}" for byte in PICTURE),
    ],
)
async def test_every_way_of_writing_it_is_read(uri: str) -> None:
    assert await read_data_uri(uri, LIMIT) == PICTURE


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/png;base64",
        "data:",
        "data:image/png;base64,!!!!",
        "data:image/png;base64,AAAAA",
        "data:image/png;base64,AA=AA",
        "data:image/png;base64,ÄÖÜ=",
        "data:image/png;base64,AAAA\0",
        "data:image/png,\ud800",
        "data:image/png;base64,%41\ud800",
    ],
)
async def test_what_is_not_one_is_said(uri: str) -> None:
    with pytest.raises(PictureError) as caught:
        await read_data_uri(uri, LIMIT)
    assert caught.value.reason == "bad_address"


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize(
    "encode", [lambda b: ";base64," + base64.b64encode(b).decode(), lambda b: "," + "%00" * len(b)]
)
async def test_the_limit_is_exact(encode, excess: int) -> None:
    uri = "data:image/png" + encode(bytes(LIMIT + excess))
    if not excess:
        assert await read_data_uri(uri, LIMIT) == bytes(LIMIT)
        return
    with pytest.raises(PictureError) as caught:
        await read_data_uri(uri, LIMIT)
    assert caught.value.reason == "too_large"


async def test_a_huge_one_is_refused_before_it_is_decoded(within: Within) -> None:
    uri = "data:image/png," + "%00" * 30_000_000
    with within(0.1), pytest.raises(PictureError) as caught:
        await read_data_uri(uri, LIMIT)
    assert caught.value.reason == "too_large"


async def test_millions_of_escapes_are_refused(within: Within) -> None:
    for header in ("data:image/png,", "data:image/png;base64,"):
        with within(0.5), pytest.raises(PictureError, match="base64") as caught:
            await read_data_uri(header + "%41" * 10_000_000, 50_000_000)
        assert caught.value.reason == "too_large"


async def test_a_big_one_does_not_stop_the_event_loop() -> None:
    uri = "data:image/png," + "%41" * 500_000
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    assert len(await read_data_uri(uri, 50_000_000)) == 500_000
    ticking.cancel()
    assert ticks >= 2
