"""Limits on one picture."""

from dataclasses import dataclass

from adapters.label_studio.client.retry import RetryPolicy

_RETRIES = RetryPolicy(attempts=5, longest_pause_s=60)


@dataclass(frozen=True)
class PictureLimits:
    """Limits on every wait and every size while a picture is fetched and decoded.

    Attributes:
        max_bytes: size of the file, as transferred and, if the server compresses it, as decompressed.
        max_pixels: width x height in the header, checked before decoding.
        connect_seconds: time for each attempt to open a connection.
        first_byte_seconds: silence before the response and within it.
        total_seconds: time for one picture, with redirects, repetitions and their pauses, without the wait for a free
            slot.
        slot_seconds: wait for a free slot. Label Studio's timeout is 100 s in any case.
        max_redirects: redirects, each checked like the first address.
        retries: attempts in a row without progress, and the pauses between them. A server that asks for a longer pause
            than the rest of the time is not waited for.
        max_requests: requests for one picture, redirects not counted, however little each of them brings.
        downloads_per_host: concurrent downloads from one host.
        downloads: concurrent downloads from all hosts.
        held_bytes: large files in memory at once; files of a few megabytes are not counted.
    """

    max_bytes: int = 50 * 2**20
    max_pixels: int = 100_000_000
    connect_seconds: float = 5.0
    first_byte_seconds: float = 10.0
    total_seconds: float = 30.0
    slot_seconds: float = 90.0
    max_redirects: int = 3
    retries: RetryPolicy = _RETRIES
    max_requests: int = 40
    downloads_per_host: int = 8
    downloads: int = 32
    held_bytes: int = 150 * 2**20
