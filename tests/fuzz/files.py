"""Fuzzes the readers of pictures, clips, label configs and contexts with coverage, by atheris (libFuzzer).

`make fuzz-files` runs each for a while. Whatever the bytes are, a reader gives its result or its own error; libFuzzer
adds limits of time and memory. What it finds is kept in build/fuzz: run the module with the file to see it again.
"""

import contextlib
import io
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["adapters", "PIL"], enable_loader_override=False):
    from PIL import Image

    from adapters.label_studio.interactive.context import is_interactive
    from adapters.label_studio.interactive.prompts import PromptError, drawn_on, drawn_prompts
    from adapters.label_studio.label_config.parsing import parse_label_config
    from adapters.label_studio.label_config.template import Selection, label_config_template
    from adapters.label_studio.label_config.tree import LabelConfigError
    from adapters.pictures.decoding.decode import decode, decode_stored, measure
    from adapters.pictures.errors import PictureError
    from adapters.video.clip import Clip
    from adapters.video.errors import VideoError
    from adapters.video.limits import ClipLimits

from tests.support import hostile_files
from tests.support.clips import counting, encoded

BUILD = Path(__file__).parents[2] / "build" / "fuzz"
MAX_PIXELS = 250_000
CLIP_LIMITS = ClipLimits(max_pixels=MAX_PIXELS, max_frames=1_000, index_seconds=2, frame_seconds=2)


def read_picture(data: bytes) -> None:
    """Both decoders, the one for ordinary pictures and Pillow."""
    try:
        size = measure(data, max_pixels=MAX_PIXELS)
        pixels = decode(data, max_pixels=MAX_PIXELS)
        assert pixels.shape == (size.height, size.width, 3)
    except PictureError:
        pass
    try:
        stored = decode_stored(data, max_pixels=MAX_PIXELS)
        assert sum(len(rows) for rows in stored.rows) == stored.height
    except PictureError:
        pass


def read_clip(data: bytes) -> None:
    try:
        with Clip(data, CLIP_LIMITS) as clip:
            time = 0.0
            for _ in range(5):
                frame = clip.next_frame(time)
                if frame is None:
                    break
                assert frame.time >= time - 1e-3
                time = frame.time + 0.1
    except VideoError:
        pass


def read_label_config(data: bytes) -> None:
    with contextlib.suppress(LabelConfigError):
        parse_label_config(data.decode("utf-8", errors="surrogateescape"))


def read_context(data: bytes) -> None:
    try:
        context = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(context, dict) or not is_interactive(context):
        return
    try:
        if drawn_on(context) is not None:
            assert drawn_prompts(context, (640, 480)) is not None
    except PromptError:
        pass


def picture_seeds() -> Iterator[bytes]:
    for mode, kind in (
        ("RGB", "JPEG"),
        ("CMYK", "JPEG"),
        ("L", "PNG"),
        ("RGBA", "PNG"),
        ("P", "GIF"),
        ("1", "BMP"),
        ("P", "BMP"),
        ("RGBA", "WEBP"),
        ("RGB", "WEBP"),
        ("F", "TIFF"),
        ("RGB", "TIFF"),
    ):
        file = io.BytesIO()
        Image.new(mode, (12, 9)).save(file, kind)
        yield file.getvalue()
    yield hostile_files.bmp_header(4, 4, 8, 1, 20, 256) + b"\4\1\0\0" * 4 + b"\0\1"


def clip_seeds() -> Iterator[bytes]:
    yield encoded(counting(8))
    yield encoded(counting(8), container="webm", codec="libvpx")
    yield hostile_files.mp4(hostile_files.mp4_track(1, 10))
    yield hostile_files.matroska()


def label_config_seeds() -> Iterator[bytes]:
    yield label_config_template([Selection.WHOLE]).encode()
    yield b'<View><Video name="v" value="$v"/><VideoRectangle name="b" toName="v"/></View>'


def context_seeds() -> Iterator[bytes]:
    value = {"x": 1, "y": 2, "width": 30, "height": 40, "rotation": 10, "rectanglelabels": ["person"]}
    region = {"id": "a", "type": "rectanglelabels", "from_name": "p", "to_name": "i", "origin": "manual"}
    yield json.dumps({"result": [region | {"value": value}]}).encode()
    point = {"x": 1, "y": 2, "width": 1, "keypointlabels": ["nose"]}
    yield json.dumps({"result": [region | {"type": "keypointlabels", "value": point}]}).encode()


READERS: dict[str, tuple[Callable[[bytes], None], Callable[[], Iterator[bytes]]]] = {
    "picture": (read_picture, picture_seeds),
    "clip": (read_clip, clip_seeds),
    "label_config": (read_label_config, label_config_seeds),
    "context": (read_context, context_seeds),
}


def main() -> None:
    """Arguments: the reader, and libFuzzer's own."""
    name, *options = sys.argv[1:]
    read, seeds = READERS[name]
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (folder / f"seed-{number}").write_bytes(seed)
    warnings.simplefilter("ignore")  # Pillow's, of damage
    found = [f"-artifact_prefix={BUILD}/{name}-"]
    corpus = [] if any(not option.startswith("-") for option in options) else [str(folder)]
    atheris.Setup([sys.argv[0], *found, *options, *corpus], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
