"""How much one picture may cost."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PictureLimits:
    """Bounds on every wait and every size while a picture is fetched and decoded.

    Attributes:
        max_bytes: of the file, as transferred and, where a server compresses it, as unpacked.
        max_pixels: width x height, compared with what the header says, before anything is decoded.
        connect_seconds: for each attempt to open a connection.
        first_byte_seconds: of silence, before the answer begins and in the middle of it.
        total_seconds: for one picture, its redirects included, the wait for a free slot not.
        slot_seconds: of waiting for a free slot. Label Studio gives up after 100 s in any case.
        max_redirects: followed, each of them guarded like the first address.
        downloads_per_host: at a time.
        downloads: at a time, from all hosts together.
        held_bytes: of large files that are in memory at a time; a few megabytes each are not counted.
    """

    max_bytes: int = 50 * 2**20
    max_pixels: int = 100_000_000
    connect_seconds: float = 5.0
    first_byte_seconds: float = 10.0
    total_seconds: float = 30.0
    slot_seconds: float = 90.0
    max_redirects: int = 3
    downloads_per_host: int = 8
    downloads: int = 32
    held_bytes: int = 150 * 2**20
