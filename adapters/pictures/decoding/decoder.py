"""Decodes pictures so that a hostile one costs little memory and delays no other."""

import asyncio
import os
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from adapters.concurrency.memory_budget import MemoryBudget
from adapters.concurrency.threads import run_in_executor, run_in_thread
from adapters.isolation.processes import IsolatedProcesses, ProcessEndedError
from adapters.observability.progress import timed_stage
from adapters.pictures.decoding.decode import (
    PictureHeader,
    PictureSize,
    decode_ordinary,
    measure_ordinary,
    turn_upright,
)
from adapters.pictures.decoding.isolated import decode_here, measure_here
from adapters.pictures.errors import PictureError

MEBIBYTE = 2**20
BYTES_PER_PIXEL = 4
"""Memory limit of one picture and of all together, per pixel of the largest; three bytes are the pixels."""
LEAST_BYTES = 400_000_000
"""Least memory limit of all pictures together, for a small MAX_IMAGE_PIXELS."""
SMALL_BYTES = 16_000_000
"""A picture of 2.6 megapixels and its copies. Smaller ones never wait for memory: the number of tasks bounds them."""
OVERHEAD_BYTES = 24 * MEBIBYTE
"""Memory that an isolated process may take in addition to its picture."""
MEASURE_CPU_S = 3
DECODE_CPU_S = 10
"""CPU time limit. The slowest picture within the memory limit takes 3 s on a CPU of 2023."""
WALL_FACTOR = 4
"""Wall time limit of an isolated process, as a multiple of its CPU time: after a second it has the lowest priority."""


class PictureDecoder:
    """Decodes ordinary pictures in threads, and all others in isolated processes.

    An async context manager.

    Args:
        max_pixels: Largest picture, width × height.
        processes: Decode all other pictures.
    """

    def __init__(self, max_pixels: int, processes: IsolatedProcesses) -> None:
        self._max_pixels = max_pixels
        self._processes = processes
        self._most_bytes = max(BYTES_PER_PIXEL * max_pixels, LEAST_BYTES)
        self._memory = MemoryBudget(self._most_bytes, SMALL_BYTES)
        # Separate from the event loop's threads, so small pictures and crops do not wait for large ones.
        self._large = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="large-picture")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._large.shutdown(wait=False)

    async def measure(self, data: bytes) -> PictureHeader:
        """Return the header of a picture.

        Raises:
            PictureError: As `decoding.decode`, where the header shows it.
        """
        header = await run_in_thread(measure_ordinary, data, max_pixels=self._max_pixels)
        header = header or await self._measure_other(data)
        needed = header.decoder_bytes + header.pixel_bytes
        if needed > self._most_bytes:
            raise PictureError(
                "too_many_pixels",
                f"Decoding the picture of {header.size.width} x {header.size.height} pixels takes "
                f"{needed // 10**6} MB; the limit is {self._most_bytes // 10**6} MB. Make it smaller, or save it as a "
                "JPEG that is not progressive.",
            )
        return header

    @asynccontextmanager
    async def decoded(self, data: bytes, header: PictureHeader) -> AsyncGenerator[NDArray[np.uint8]]:
        """Decode a picture, and reserve the memory of its pixels until the block ends.

        Args:
            data: The file.
            header: From `measure`.

        Yields:
            (height, width, 3) BGR, contiguous, upright.

        Raises:
            PictureError: As `decoding.decode`, or decoding takes too much time or memory.
        """
        async with self._memory.hold(header.decoder_bytes + header.pixel_bytes) as held:
            with timed_stage("decode"):
                pixels = await self._decode(data, header)
            if pixels is not None:
                held.shrink(pixels.nbytes)
                yield pixels
                return
        # OpenCV failed on a picture that looked ordinary: Pillow may decode it, or its error says more.
        header = await self._measure_other(data)
        async with self._memory.hold(header.decoder_bytes + header.pixel_bytes) as held:
            with timed_stage("decode"):
                pixels = await self._decode_other(data, header)
            held.shrink(pixels.nbytes)
            yield pixels

    async def _decode(self, data: bytes, header: PictureHeader) -> NDArray[np.uint8] | None:
        if header.ordinary is None:
            return await self._decode_other(data, header)
        threads = self._large if header.pixel_bytes > SMALL_BYTES else None
        return await run_in_executor(threads, decode_ordinary, data, header.ordinary)

    async def _measure_other(self, data: bytes) -> PictureHeader:
        said, _ = await self._isolated(measure_here, data, OVERHEAD_BYTES, MEASURE_CPU_S)
        size = PictureSize(said["width"], said["height"])
        return PictureHeader(size, said["decoder_bytes"], said["pixel_bytes"], ordinary=None)

    async def _decode_other(self, data: bytes, header: PictureHeader) -> NDArray[np.uint8]:
        width, height = header.size.width, header.size.height
        memory_bytes = header.decoder_bytes + OVERHEAD_BYTES
        said, pixels = await self._isolated(
            decode_here, data, memory_bytes, DECODE_CPU_S, most_bytes=3 * width * height
        )
        if (
            len(pixels) != 3 * said["width"] * said["height"]
            or said["width"] * said["height"] != width * height
        ):
            raise PictureError(
                "broken_picture", "The picture's size differs from its header. Export it again."
            )
        stored = pixels.reshape(said["height"], said["width"], 3)
        return await run_in_thread(turn_upright, stored, said["orientation"])

    async def _isolated(
        self, function: Any, data: bytes, memory_bytes: int, cpu_seconds: int, most_bytes: int = 0
    ) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        try:
            async with (
                asyncio.timeout(WALL_FACTOR * cpu_seconds),
                self._processes.run(
                    function,
                    data,
                    memory_bytes=memory_bytes,
                    cpu_seconds=cpu_seconds,
                    max_pixels=self._max_pixels,
                ) as channel,
            ):
                said, payload = await channel.receive(most_bytes)
        except (ProcessEndedError, TimeoutError) as error:
            raise PictureError(
                "broken_picture",
                f"Decoding the picture takes more than {cpu_seconds} s or {memory_bytes // 10**6} MB, or crashes. "
                "Export it again.",
            ) from error
        if "reason" in said:
            raise PictureError(said["reason"], said["sentence"])
        return said, payload
