"""The service's decoder: what `decode` gives, whatever the file does."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable

import numpy as np
import psutil
import pytest
from PIL import Image

from adapters.isolation.processes import IsolatedProcesses
from adapters.pictures.decoding import decoder as decoder_module
from adapters.pictures.decoding.decode import decode
from adapters.pictures.decoding.decoder import PictureDecoder
from adapters.pictures.errors import PictureError
from tests.conftest import Within
from tests.support import hostile_files
from tests.support.pictures import encoded
from tests.unit.adapters.pictures.decoding.test_decode import scene, turned

MEGABYTE = 10**6
SLOW = (
    hostile_files.png_of_empty_texts,
    hostile_files.png_of_unknown_chunks,
    hostile_files.jpeg_of_exif_segments,
    hostile_files.bmp_of_runs,
    hostile_files.tiff_of_strips,
)


@pytest.fixture
async def decoder() -> AsyncIterator[PictureDecoder]:
    async with IsolatedProcesses() as processes, PictureDecoder(100_000_000, processes) as opened:
        async with asyncio.timeout(120):
            yield opened


async def decoded(decoder: PictureDecoder, data: bytes) -> np.ndarray:
    header = await decoder.measure(data)
    async with decoder.decoded(data, header) as pixels:
        assert pixels.shape == (header.size.height, header.size.width, 3)
        return pixels


def memory() -> int:
    """Of this process and those that it started; what they share counts once."""
    total = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


@pytest.mark.parametrize("orientation", [1, 2, 6])
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "JPEG"),
        ("CMYK", "JPEG"),
        ("RGB", "PNG"),
        ("RGBA", "PNG"),
        ("LA", "PNG"),
        ("I;16", "PNG"),
        ("RGBA", "WEBP"),
        ("P", "GIF"),
        ("RGB", "BMP"),
        ("RGBA", "TIFF"),
        ("F", "TIFF"),
    ],
)
async def test_every_kind_is_what_decode_gives(
    decoder: PictureDecoder, mode: str, kind: str, orientation: int
) -> None:
    picture = scene(700, 500)
    picture = (
        Image.fromarray(np.arange(350_000, dtype=np.uint16).reshape(500, 700)) if mode == "I;16" else picture
    )
    options = {"exif": turned(orientation)} if kind in {"JPEG", "PNG", "WEBP", "TIFF"} else {}
    data = encoded(picture if mode == "I;16" else picture.convert(mode), kind, **options)
    pixels = await decoded(decoder, data)
    assert np.array_equal(pixels, decode(data))
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("make", SLOW, ids=lambda make: make.__name__)
async def test_a_file_that_is_slow_to_read_is_refused_soon(
    decoder: PictureDecoder, make: Callable[[], bytes], within: Within
) -> None:
    data = make()
    with within(30), pytest.raises(PictureError) as caught:
        await decoded(decoder, data)
    assert caught.value.reason == "broken_picture"


@pytest.mark.promise("endless-decoding-ended")
@pytest.mark.timing
async def test_what_no_bound_refuses_is_ended_and_delays_nobody(decoder: PictureDecoder) -> None:
    data, small = hostile_files.gif_of_sub_blocks(), encoded(scene(), "GIF")
    hostile = [asyncio.create_task(decoded(decoder, data)) for _ in range(4)]
    longest, began = 0.0, time.monotonic()
    while not all(task.done() for task in hostile):
        started = time.monotonic()
        await decoded(decoder, small)
        longest = max(longest, time.monotonic() - started)
    # A busy machine needs longer for all of it.
    assert longest < max(2.0, (time.monotonic() - began) / 2)
    reasons = [error.reason for error in await asyncio.gather(*hostile, return_exceptions=True)]  # type: ignore[union-attr]
    assert reasons == ["broken_picture"] * 4


@pytest.mark.promise("decoding-memory-reserved")
async def test_what_no_bound_refuses_is_ended_beside_others(decoder: PictureDecoder) -> None:
    hostile = asyncio.create_task(decoded(decoder, hostile_files.gif_of_sub_blocks()))
    await decoded(decoder, encoded(scene(), "GIF"))
    with pytest.raises(PictureError) as caught:
        await hostile
    assert caught.value.reason == "broken_picture"


async def test_a_hundred_megapixels_take_less_than_half_a_gigabyte(decoder: PictureDecoder) -> None:
    """Three bytes for each are its pixels; it was twice as much, and five times for other kinds."""
    await decoded(decoder, encoded(scene(), "GIF"))
    for make in (hostile_files.jpeg_large, hostile_files.gif_large):
        data = make()
        before, most, done = memory(), 0, False

        async def watch() -> None:
            nonlocal most
            while not done:  # noqa: B023 - set by the test
                most = max(most, await asyncio.to_thread(memory))
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        assert (await decoded(decoder, data)).shape == (10_000, 10_000, 3)
        done = True
        await watching
        assert most - before < 500 * MEGABYTE


@pytest.mark.promise("decoding-memory-reserved")
@pytest.mark.parametrize("make", [hostile_files.png_transparent, hostile_files.tiff_of_floats])
async def test_pictures_are_weighed_by_what_their_mode_takes(
    decoder: PictureDecoder, make: Callable[[], bytes]
) -> None:
    with pytest.raises(PictureError, match="MB; the limit is 400 MB") as caught:
        await decoder.measure(make())
    assert caught.value.reason == "too_many_pixels"


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("RGBA", "PNG", {"compress_level": 1}),
        ("P", "GIF", {}),
        ("RGB", "BMP", {}),
        ("CMYK", "JPEG", {"progressive": True}),
        ("RGBA", "WEBP", {"lossless": True, "quality": 0, "method": 0}),
        ("RGB", "TIFF", {"compression": "tiff_deflate"}),
        ("RGB", "TIFF", {"compression": "tiff_lzw", "strip_size": 2**30}),
        ("F", "TIFF", {}),
        ("RGB", "TIFF", {"exif": turned(6)}),
    ],
)
async def test_large_pictures_have_the_memory_that_they_need(
    decoder: PictureDecoder, mode: str, kind: str, options: dict[str, object]
) -> None:
    picture = Image.effect_noise((1000, 750), 60).convert("RGB").resize((4000, 3000))
    pixels = await decoded(decoder, encoded(picture.convert(mode), kind, **options))
    assert pixels.size == 3 * 12_000_000


@pytest.mark.promise("small-before-huge")
async def test_a_small_picture_does_not_wait_behind_huge_ones(decoder: PictureDecoder) -> None:
    data = hostile_files.jpeg_large()
    header = await decoder.measure(data)

    async def hold() -> None:
        async with decoder.decoded(data, header):
            await asyncio.sleep(30)

    huge = [asyncio.create_task(hold()) for _ in range(3)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        await decoded(decoder, encoded(scene(640, 480), "JPEG"))
    for task in huge:
        task.cancel()
    await asyncio.gather(*huge, return_exceptions=True)


async def test_memory_that_was_taken_for_decoding_is_given_back_before_the_pixels(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_module, "SMALL_BYTES", 0)
    gc.collect()
    data = encoded(scene(6000, 5000), "JPEG", progressive=True, subsampling=0)  # 270 MB, then 90
    header = await decoder.measure(data)
    async with asyncio.timeout(30), decoder.decoded(data, header), decoder.decoded(data, header):
        pass
