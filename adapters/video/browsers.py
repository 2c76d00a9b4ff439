"""What browsers show of a clip, other than it was decoded here."""

_SHOWN_BY_FEW = {
    "mpeg4": "No browser shows MPEG-4 Visual",
    "hevc": "Not every browser shows H.265",
}


def codec_warning(codec: str) -> str | None:
    """Return a sentence about a codec (FFmpeg's name) that not every browser shows, or None."""
    if (said := _SHOWN_BY_FEW.get(codec)) is None:
        return None
    return (
        f"{said}, so annotators may see no picture. Convert the clip with: "
        "ffmpeg -i clip -c:v libx264 -pix_fmt yuv420p clip.mp4"
    )
