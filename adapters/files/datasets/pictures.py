"""Fetches the pictures of a data set into its folder."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.pictures.decoding.decode import suffix_of
from adapters.pictures.errors import PictureError

_AT_ONCE = 8


@dataclass(frozen=True)
class Wanted:
    """A picture to fetch.

    Attributes:
        address: As in the task's data.
        task: Number of the task.
        target: The file, without ending.
    """

    address: str
    task: int
    target: Path


async def fetch_pictures(
    wanted: Sequence[Wanted],
    fetch: Callable[[str, int], Awaitable[bytes]],
    failed: Callable[[Wanted, str], None],
    done: Callable[[], None],
) -> list[Path | None]:
    """Fetch pictures as they are, and write each with the ending of its format.

    Args:
        wanted: The pictures.
        fetch: Returns the bytes at an address of a task, or raises PictureError.
        failed: Takes a picture that cannot be fetched, and why.
        done: Is called after each picture.

    Returns:
        The files, in the same order; None where a picture cannot be fetched.

    Raises:
        OSError: A file cannot be written.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(picture: Wanted) -> Path | None:
        async with places:
            try:
                data = await fetch(picture.address, picture.task)
                file = picture.target.with_name(picture.target.name + ending(data))
            except PictureError as error:
                failed(picture, str(error))
                return None
            else:
                await asyncio.to_thread(file.write_bytes, data)
                return file
            finally:
                done()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(picture)) for picture in wanted]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the others follow from the first
    return [task.result() for task in tasks]


def ending(data: bytes) -> str:
    """Return the usual ending of a picture's format.

    Raises:
        PictureError: It is none that these programs read.
    """
    suffix = suffix_of(data)
    if suffix is None:
        raise PictureError(
            "not_a_picture",
            "The address does not lead to a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF picture. Open it in a browser.",
        )
    return suffix
