"""The functions that isolated processes run on pictures."""

from adapters.isolation.blocking_channel import BlockingChannel
from adapters.pictures.decoding.decode import decode_stored, measure_other
from adapters.pictures.errors import PictureError


def measure_here(channel: BlockingChannel, data: bytes, *, max_pixels: int) -> None:
    """Send the header of a picture, or the error."""
    try:
        header = measure_other(data, max_pixels=max_pixels)
    except PictureError as error:
        _send_error(channel, error)
        return
    channel.send(
        {
            "width": header.size.width,
            "height": header.size.height,
            "decoder_bytes": header.decoder_bytes,
            "pixel_bytes": header.pixel_bytes,
        }
    )


def decode_here(channel: BlockingChannel, data: bytes, *, max_pixels: int) -> None:
    """Send the stored pixels of a picture, not turned upright, or the error."""
    try:
        stored = decode_stored(data, max_pixels=max_pixels)
    except PictureError as error:
        _send_error(channel, error)
        return
    del data
    channel.send_header(
        {"width": stored.width, "height": stored.height, "orientation": stored.orientation},
        3 * stored.width * stored.height,
    )
    for rows in stored.rows:
        channel.send_piece(rows.data)


def _send_error(channel: BlockingChannel, error: PictureError) -> None:
    channel.send({"reason": error.reason, "sentence": str(error)})
